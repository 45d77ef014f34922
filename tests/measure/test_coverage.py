"""Of many workers the sums are kept: rates and users of an interval stay what they were."""

from __future__ import annotations

import pytest

from inference_swarm.measure.coverage import MANY_WORKERS, Coverage
from inference_swarm.measure.intervals import Interval


def covered(workers: int, seconds: float, users: int) -> Coverage:
    coverage = Coverage()
    for worker in range(workers):
        coverage.add(f"w{worker}", seconds, users)
    return coverage


def sums(coverage: Coverage) -> tuple[int, float, int]:
    return coverage.worker_count, coverage.seconds, coverage.users


@pytest.mark.parametrize(("workers", "kept"), [(MANY_WORKERS, MANY_WORKERS), (MANY_WORKERS + 1, 0)])
def test_the_sums_are_those_of_the_workers_whether_they_are_kept_or_not(workers: int, kept: int) -> None:
    coverage = covered(workers, 3.0, 5)
    before = sums(coverage)
    coverage.pack()
    assert sums(coverage) == before == (workers, 3.0 * workers, 5 * workers)
    assert len(coverage.by_worker) == kept


def test_a_rate_of_many_workers_is_the_same_when_it_is_packed_and_read_again() -> None:
    interval = Interval(0, 1, 3.0)
    interval.coverage = covered(500, 1.5, 2)
    assert interval.per_s(3000) == 2000.0
    interval.pack()
    again = Interval.from_wire(interval.to_wire(), 3.0)
    assert (again.per_s(3000), again.coverage.users) == (2000.0, 1000)
    assert sum(len(part) for part in (interval.to_wire()["covered_s"], interval.to_wire()["users"])) == 0


def test_a_checkpoint_of_an_earlier_release_is_read() -> None:
    wire = {"first": 0, "span": 1, "covered_s": {"a": 3.0, "b": 1.0}, "users": {"a": 2}, "names": {}}
    assert sums(Interval.from_wire(wire, 3.0).coverage) == (2, 4.0, 2)


@pytest.mark.parametrize("workers", [2, 500])
def test_joined_intervals_of_the_same_workers_have_their_rate(workers: int) -> None:
    first, later = covered(workers, 3.0, 5), covered(workers, 3.0, 7)
    for one in (first, later):
        one.pack()
    first.follow_with(later)
    assert sums(first) == (workers, 6.0 * workers, 7 * workers)


def test_a_late_report_of_few_workers_is_of_one_that_is_known() -> None:
    coverage = covered(2, 1.0, 5)
    coverage.pack()
    coverage.add("w1", 2.0, 6)
    assert sums(coverage) == (2, 4.0, 11)
