from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.load.arrivals import NO_PART, NS_PER_S, ArrivalProcess, Part, Schedule, Share
from inference_swarm.load.stage_text import parse_stages
from inference_swarm.load.stages import Stages

CONSTANT, POISSON, GAMMA = ArrivalProcess.CONSTANT, ArrivalProcess.POISSON, ArrivalProcess.GAMMA
MINUTE_NS = 60 * NS_PER_S


def test_constant_arrivals_are_evenly_spaced_and_exactly_as_many_as_asked() -> None:
    offsets_ns = Schedule(CONSTANT, Stages.constant(2000, 60), seed=1).between(0, 2 * MINUTE_NS).offsets_ns
    assert offsets_ns.tolist() == list(range(0, MINUTE_NS, 500_000))


def test_poisson_gaps_are_exponential() -> None:
    offsets_ns = Schedule(POISSON, Stages.constant(2000, 60), seed=1).between(0, MINUTE_NS).offsets_ns
    assert offsets_ns.size == pytest.approx(120_000, abs=4 * 120_000**0.5)
    gaps_s = np.diff(offsets_ns) / NS_PER_S
    assert scipy.stats.kstest(gaps_s, scipy.stats.expon(scale=1 / 2000).cdf).pvalue > 0.01
    assert abs(np.corrcoef(gaps_s[1:], gaps_s[:-1])[0, 1]) < 0.01
    # Counts of a Poisson process vary as much as they are large on average.
    per_second = np.histogram(offsets_ns, bins=60, range=(0, MINUTE_NS))[0]
    assert 0.5 < per_second.var() / per_second.mean() < 1.7


def test_poisson_arrivals_keep_the_rate_for_any_seed() -> None:
    for seed in range(20):
        schedule = Schedule(POISSON, Stages.constant(2000, 60), seed)
        assert schedule.between(0, MINUTE_NS).offsets_ns.size == pytest.approx(120_000, rel=0.005)


def test_poisson_counts_of_short_stretches_vary_as_they_should() -> None:
    per_100 = [
        np.histogram(Schedule(POISSON, Stages.constant(1000), seed).between(0, MINUTE_NS).offsets_ns, bins=600)[0]
        for seed in range(5)
    ]
    assert np.var(per_100) / np.mean(per_100) == pytest.approx(1, abs=0.1)


def test_poisson_arrivals_follow_a_ramp() -> None:
    rate = parse_stages("10s->1000,10s@0,5s@500")
    times_s = Schedule(POISSON, rate, seed=3).between(0, MINUTE_NS).offsets_ns / NS_PER_S
    counts = [
        np.count_nonzero((times_s >= low) & (times_s < high)) for low, high in ((0, 5), (5, 10), (10, 20), (20, 25))
    ]
    assert counts[2] == 0
    for count, expected in zip(counts, (1250, 3750, 0, 2500), strict=True):
        assert count == pytest.approx(expected, abs=4 * expected**0.5)
    # By the time rescaling theorem the integral of the rate turns them into a process of rate 1.
    gaps = np.diff([rate.amount_until(time_s) for time_s in times_s])
    assert scipy.stats.kstest(gaps, scipy.stats.expon.cdf).pvalue > 0.01


@pytest.mark.parametrize("process", ArrivalProcess)
@pytest.mark.parametrize("workers", [1, 2, 3, 7, 50])
def test_the_shares_of_any_number_of_workers_are_the_whole_schedule(process: ArrivalProcess, workers: int) -> None:
    schedule = Schedule(process, parse_stages("3s->2000,2s@5000"), seed=9)
    whole = schedule.between(0, MINUTE_NS).offsets_ns
    shares = [Share(schedule, Part((index,), workers)).take(MINUTE_NS) for index in range(workers)]
    assert np.array_equal(np.sort(np.concatenate(shares)), whole)
    sizes = [share.size for share in shares]
    assert max(sizes) - min(sizes) <= 1


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(ArrivalProcess),
    st.lists(st.integers(0, 12 * NS_PER_S), max_size=8),
    st.integers(0, 2**64),
)
def test_however_it_is_cut_a_schedule_is_the_same(process: ArrivalProcess, cuts: list[int], seed: int) -> None:
    def rate() -> Stages:
        return parse_stages("4s@1000..3000,1s@0,5s@700")

    whole = Schedule(process, rate(), seed).between(0, 12 * NS_PER_S).offsets_ns
    cut = Schedule(process, rate(), seed)
    edges = [0, *sorted(cuts), 12 * NS_PER_S]
    parts = [cut.between(low, high).offsets_ns for low, high in pairwise(edges)]
    assert np.array_equal(np.concatenate(parts), whole)
    middle = Schedule(process, rate(), seed).between(6 * NS_PER_S, 12 * NS_PER_S).offsets_ns
    assert np.array_equal(middle, whole[whole >= 6 * NS_PER_S])
    assert np.all(np.diff(whole) >= 0)


def test_the_seed_decides_the_poisson_schedule() -> None:
    def first(seed: int) -> list[int]:
        offsets: list[int] = Schedule(POISSON, Stages.constant(1000), seed).between(0, NS_PER_S).offsets_ns.tolist()
        return offsets

    assert first(7) == first(7)
    assert first(7) != first(8)
    # The schedule of a published seed must not change with a new release of NumPy or of ours.
    assert first(7)[:3] == [1489195, 2570699, 2894041]


def test_nothing_is_lost_or_sent_twice_when_shares_change_at_an_agreed_instant() -> None:
    schedule = Schedule(POISSON, Stages.constant(500, 30), seed=2)
    one, two, three = Share(schedule, Part((0,), 2)), Share(schedule, Part((1,), 2)), Share(schedule, NO_PART)
    taken = [share.take(9 * NS_PER_S) for share in (one, two)]
    joined_ns, left_ns = 10 * NS_PER_S, 20 * NS_PER_S
    for share, indexes in ((one, (0, 2)), (two, (1,)), (three, (3,))):
        share.change(Part(indexes, 4), joined_ns)
    taken += [share.take(left_ns - NS_PER_S) for share in (one, two, three)]
    one.change(NO_PART, left_ns)
    two.change(Part((0,), 2), left_ns)
    three.change(Part((1,), 2), left_ns)
    taken += [share.take(MINUTE_NS) for share in (one, two, three)]
    assert np.array_equal(np.sort(np.concatenate(taken)), schedule.between(0, MINUTE_NS).offsets_ns)
    assert one.is_over
    assert taken[-3].max() < left_ns
    assert [share.possible_duplicates for share in (one, two, three)] == [0, 0, 0]


def test_a_change_that_comes_too_late_holds_from_now_on_and_counts_what_others_may_have_sent_too() -> None:
    share = Share(Schedule(CONSTANT, Stages.constant(10), seed=0), Part((0,), 1))
    share.take(5 * NS_PER_S)
    share.change(Part((1,), 2), 3 * NS_PER_S)
    # Of the 20 arrivals of the two seconds that were taken already every other one had passed to somebody else.
    assert share.possible_duplicates == 10
    assert share.take(6 * NS_PER_S).tolist() == [round((5 + n / 10) * NS_PER_S) for n in (1, 3, 5, 7, 9)]
    assert not share.is_over


def test_a_later_announcement_replaces_what_was_to_hold_after_its_instant() -> None:
    share = Share(Schedule(CONSTANT, Stages.constant(10), seed=0), Part((0,), 1))
    share.change(NO_PART, 2 * NS_PER_S)
    share.change(Part((0,), 2), NS_PER_S)
    assert (share.take(3 * NS_PER_S) // (NS_PER_S // 10)).tolist() == [*range(10), *range(10, 30, 2)]
    assert share.possible_duplicates == 0


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 24).flatmap(lambda count: st.tuples(st.just(count), st.sets(st.integers(0, count - 1)))),
    st.integers(0, 3 * NS_PER_S),
)
def test_a_part_and_its_complement_are_the_whole_schedule(part: tuple[int, set[int]], from_ns: int) -> None:
    count, indexes = part
    rest = set(range(count)) - indexes
    schedule = Schedule(POISSON, Stages.constant(400, 3), seed=5)
    shares = [Share(schedule, Part(tuple(sorted(chosen)), count), from_ns) for chosen in (indexes, rest)]
    taken = [share.take(MINUTE_NS) for share in shares]
    assert np.array_equal(np.sort(np.concatenate(taken)), schedule.between(from_ns, MINUTE_NS).offsets_ns)


@pytest.mark.parametrize(("indexes", "count"), [((2,), 2), ((-1,), 2), ((1,), 0), ((0,), -1), ((0, 5), 3)])
def test_a_part_that_does_not_exist_is_refused(indexes: tuple[int, ...], count: int) -> None:
    with pytest.raises(ValueError, match="no part"):
        Part(indexes, count)


@given(
    process=st.sampled_from(ArrivalProcess),
    text=st.sampled_from(["30s@500", "3s@20,2s@0,4s->3000", "1s@1", "20s@10000"]),
    until_s=st.floats(0, 40),
)
@settings(max_examples=60, deadline=None)
def test_the_count_until_an_instant_is_the_number_of_arrivals_before_it(
    process: ArrivalProcess, text: str, until_s: float
) -> None:
    schedule = Schedule(process, parse_stages(text), seed=3)
    until_ns = round(until_s * 1e9)
    assert schedule.count_until(until_ns) == schedule.between(0, until_ns).offsets_ns.size


def test_what_is_due_before_a_worker_has_begun_comes_late_and_is_not_lost() -> None:
    schedule = Schedule(CONSTANT, Stages.constant(100), seed=0)
    share = Share(schedule, NO_PART, 5 * NS_PER_S)
    share.take(5 * NS_PER_S + 1)
    share.change(Part((0,), 2), NS_PER_S)  # known only now
    assert share.take(6 * NS_PER_S).size == 250
    share.change(NO_PART, 6 * NS_PER_S)
    share.take(8 * NS_PER_S)
    share.change(Part((0,), 2), 7 * NS_PER_S)  # what it has given up is others' until it is told otherwise
    assert share.take(9 * NS_PER_S).size == 50


def test_arrivals_up_to_a_change_are_counted_by_the_part_that_sends_them() -> None:
    schedule = Schedule(CONSTANT, Stages.constant(100), seed=0, limit=500)
    share = Share(schedule, Part((0,), 2))
    share.take(NS_PER_S)
    assert share.count_ahead(10.0) == (200, True)
    share.change(NO_PART, round(1.4 * NS_PER_S))
    assert share.count_ahead(10.0) == (20, True)
    share.change(Part((0, 1), 2), 2 * NS_PER_S)
    assert share.count_ahead(10.0) == (20 + 300, True)
    share.take(2 * NS_PER_S)
    assert share.count_ahead(10.0) == (300, True)
