"""Which row a failure is an example of: looked for seldom, however many fail."""

from __future__ import annotations

import pytest

from inference_swarm.load.example_rows import MAX_TEXTS, PERIOD_NS, ExampleRows
from inference_swarm.transport.outcome import AttemptError, ErrorKind, Outcome


def failed(detail: str, done_ns: int) -> Outcome:
    return Outcome(0, 0, 0, done_ns, 0, 0, 0, 500, AttemptError(ErrorKind.STATUS, detail))


@pytest.fixture
def looked() -> list[bytes]:
    return []


@pytest.fixture
def examples(looked: list[bytes]) -> ExampleRows:
    def find_rows(request: bytes) -> tuple[int]:
        looked.append(request)
        return (int(request),)

    return ExampleRows(find_rows)


def test_a_kind_of_failure_has_a_row_at_most_once_a_second(examples: ExampleRows, looked: list[bytes]) -> None:
    outcomes = [failed("500", at * PERIOD_NS // 10) for at in range(25)] + [failed("404", 5)]
    for number, outcome in enumerate(outcomes):
        examples.note(outcome, b"%d" % number)
    assert [outcome.rows for outcome in outcomes if outcome.rows] == [(0,), (10,), (20,), (25,)]
    assert looked == [b"0", b"10", b"20", b"25"]


def test_a_server_that_words_each_failure_differently_is_not_looked_after_for_ever(
    examples: ExampleRows, looked: list[bytes]
) -> None:
    for number in range(2 * MAX_TEXTS):
        examples.note(failed(str(number), 0), b"%d" % number)
    assert len(looked) == MAX_TEXTS
