from __future__ import annotations

from tests.transport.fuzz_response import fuzz


def test_mutated_responses_never_break_the_parser() -> None:
    seen = fuzz(5000, seed=7)
    assert all(count > 100 for count in seen.values()), seen
