"""The schedule of a trace behaves as that of any open load: cut anywhere, divided among any number of workers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_swarm.data.trace import Trace
from inference_swarm.load.arrivals import NS_PER_S, Part, Share
from inference_swarm.load.trace_schedule import TraceSchedule

GAPS = st.lists(st.integers(1, 3 * NS_PER_S), min_size=0, max_size=40)


def trace_of(gaps: list[int]) -> Trace:
    return Trace(np.cumsum([0, *gaps]).astype(np.int64), None, 0)


def seconds(*offsets_s: float) -> Trace:
    return Trace(np.array([round(at_s * NS_PER_S) for at_s in offsets_s], np.int64), None, 0)


@given(gaps=GAPS, cuts=st.lists(st.integers(0, 100 * NS_PER_S), max_size=8), is_repeated=st.booleans())
def test_however_it_is_cut_it_is_the_same(gaps: list[int], cuts: list[int], is_repeated: bool) -> None:
    schedule = TraceSchedule(trace_of(gaps), is_repeated=is_repeated, length_s=100.0)
    edges = sorted({0, *cuts, 100 * NS_PER_S})
    whole = schedule.between(0, 100 * NS_PER_S)
    parts = [schedule.between(*pair) for pair in pairwise(edges)]
    assert np.concatenate([part.offsets_ns for part in parts]).tolist() == whole.offsets_ns.tolist()
    assert np.concatenate([part.numbers for part in parts]).tolist() == list(range(len(whole.numbers)))
    assert schedule.count_until(100 * NS_PER_S) == len(whole.numbers)
    assert [schedule.number_at(at_ns) for at_ns in whole.offsets_ns.tolist()] == whole.numbers.tolist()
    assert (np.diff(whole.offsets_ns) > 0).all()


@given(gaps=GAPS, workers=st.integers(1, 5))
def test_the_shares_of_any_number_of_workers_are_the_whole_trace(gaps: list[int], workers: int) -> None:
    schedule = TraceSchedule(trace_of(gaps))
    shares = [Share(schedule, Part((index,), workers)) for index in range(workers)]
    taken = np.concatenate([share.take(500 * NS_PER_S) for share in shares])
    assert sorted(taken.tolist()) == np.cumsum([0, *gaps]).tolist()
    assert all(share.is_over for share in shares)


def test_it_ends_with_the_trace_the_time_or_the_number_whichever_comes_first() -> None:
    trace = seconds(0, 1, 2, 5)
    assert TraceSchedule(trace).end_ns == 5 * NS_PER_S + 1
    assert TraceSchedule(trace, length_s=3).end_ns == 3 * NS_PER_S
    assert TraceSchedule(trace, length_s=30).end_ns == 5 * NS_PER_S + 1
    by_number = TraceSchedule(trace, length_s=30, limit=2)
    assert (by_number.end_ns, by_number.count_until(99 * NS_PER_S)) == (NS_PER_S + 1, 2)
    assert TraceSchedule(trace, limit=9).end_ns == 5 * NS_PER_S + 1


def test_a_repeated_trace_begins_again_a_mean_gap_after_its_end() -> None:
    schedule = TraceSchedule(seconds(0, 1, 2, 6), is_repeated=True)
    assert schedule.end_ns is None
    offsets_s = (schedule.between(0, 15 * NS_PER_S).offsets_ns / NS_PER_S).tolist()
    assert offsets_s == [0, 1, 2, 6, 8, 9, 10, 14]
    assert TraceSchedule(seconds(0, 1, 2, 6), is_repeated=True, limit=6).end_ns == 9 * NS_PER_S + 1
    assert TraceSchedule(seconds(0), is_repeated=True).count_until(3 * NS_PER_S) == 3


def test_the_rate_is_the_recorded_one() -> None:
    schedule = TraceSchedule(seconds(*np.arange(0, 2, 0.01), *np.arange(2, 4, 0.1)))
    assert schedule.rate.value_at(1.0) == pytest.approx(100)
    assert schedule.rate.value_at(3.0) == pytest.approx(10)
    assert schedule.rate.value_at(9.0) is None
    assert (schedule.rate.amount_until(2.0), schedule.rate.amount) == (200, 220)
    assert schedule.rate.duration_s == pytest.approx(3.9)


def test_parts_change_at_an_instant_and_nothing_is_sent_twice() -> None:
    schedule = TraceSchedule(trace_of([10**7] * 499))
    one, other = Share(schedule, Part((0,), 2)), Share(schedule, Part((1,), 2))
    taken = [*one.take(NS_PER_S), *other.take(NS_PER_S)]
    one.change(Part((0,), 1), 2 * NS_PER_S)
    other.change(Part(), 2 * NS_PER_S)
    taken += [*one.take(9 * NS_PER_S), *other.take(9 * NS_PER_S)]
    assert sorted(taken) == schedule.trace.offsets_ns.tolist()
    assert one.possible_duplicates == other.possible_duplicates == 0
