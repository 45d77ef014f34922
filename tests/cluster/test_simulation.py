"""The invariants hold in 5,000 schedules, and each fault that the swarm once had breaks one of them.

`python -m tests.simulation` tries any number of schedules, replays one with its trace, or looks for a fault.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tests.simulation.__main__ import try_seed
from tests.simulation.faults import FOUND_BY, put_back
from tests.simulation.world import World

SCHEDULES = 5000
AT_A_TIME = 250


@pytest.fixture(autouse=True)
def _without_garbage_collection() -> Iterator[None]:
    """A schedule makes no cycles worth collecting; looking for them takes a sixth of its time."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("first", range(0, SCHEDULES, AT_A_TIME))
def test_the_invariants_hold_whatever_goes_wrong(first: int) -> None:
    assert [problem for seed in range(first, first + AT_A_TIME) if (problem := try_seed(seed))] == []


@pytest.mark.parametrize("fault", FOUND_BY)
def test_a_fault_that_is_put_back_is_found(fault: str) -> None:
    seed = FOUND_BY[fault]
    assert try_seed(seed) == ""
    with put_back(fault):
        assert try_seed(seed) != ""


def test_a_seed_is_the_same_each_time() -> None:
    traces: list[list[str]] = [[], []]
    for trace in traces:
        World(7, trace.append).run()
    assert traces[0] == traces[1]
    assert len(traces[0]) > 50


@pytest.mark.parametrize("seed", [4675, 14_925, 97_169, 128_923, 422_996, 438_771])
def test_a_schedule_of_which_one_in_a_hundred_thousand_was_broken_holds(seed: int) -> None:
    """Lost heartbeats of a large swarm, bounds of a loss, few blocks, a trace shorter than `--requests`."""
    assert try_seed(seed) == ""
