"""The invariants hold in a few hundred schedules; `python -m tests.simulation` tries as many as there is time for."""

from __future__ import annotations

import pytest

from tests.simulation.__main__ import try_seed


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_the_invariants_hold_whatever_goes_wrong(first: int) -> None:
    assert [problem for seed in range(first, first + 50) if (problem := try_seed(seed))] == []
