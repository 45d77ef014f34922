from __future__ import annotations

import random

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.errors import ProtocolError
from inference_swarm.measure.counters import AddressCounters, FailureRecord, RequestCounters, merge_counters
from inference_swarm.measure.intervals import IntervalSeries
from inference_swarm.measure.seconds import SecondCounts
from inference_swarm.measure.snapshot import OtherCounts, Slice, Snapshot, WorkerHealth, whole_snapshot
from inference_swarm.measure.totals import Applied, SwarmTotals
from inference_swarm.measure.waiting import MAX_WAITING


def counters(*latencies_us: float, failed: int = 0) -> RequestCounters:
    made = RequestCounters(succeeded=len(latencies_us))
    made.latency.record_ns([round(value * 1000) for value in latencies_us])
    if failed:
        made.count_failure("timeout", FailureRecord("timeout", failed))
    return made


def report(worker: str, sequence: int, *latencies_us: float, final: bool = False, name: str = "a") -> Snapshot:
    names = {name: counters(*latencies_us)} if latencies_us else {}
    return whole_snapshot("run", worker, sequence, sequence * 3.0, sequence * 3.0 + 3, names, users=5, is_final=final)


def interval(
    worker: str, start_s: float, end_s: float, users: int = 0, **names: RequestCounters
) -> tuple[str, int, Slice]:
    return worker, users, Slice(start_s, end_s, names)


def test_snapshots_of_all_workers_add_up() -> None:
    totals = SwarmTotals("run")
    for snapshot in (
        report("w1", 0, 400, 500),
        report("w2", 0, 600),
        report("w1", 1, 700, name="b", final=True),
        report("w2", 1, final=True),
    ):
        assert totals.apply(snapshot) is Applied.COUNTED
    assert {name: one.sent for name, one in totals.names.items()} == {"a": 3, "b": 1}
    assert totals.total().latency.percentiles_us([0, 50, 100]) == [400, 500, 700]
    assert totals.is_complete
    assert totals.duration_s == 6
    assert (totals.workers["w1"].sent, totals.workers["w1"].users) == (3, 0)


def test_a_snapshot_that_comes_twice_is_counted_once() -> None:
    totals = SwarmTotals("run")
    totals.apply(report("w1", 0, 400))
    assert totals.apply(report("w1", 0, 400)) is Applied.DUPLICATE
    assert (totals.total().sent, totals.duplicates) == (1, 1)


def test_a_snapshot_of_another_run_is_refused_and_counted() -> None:
    totals = SwarmTotals("other")
    assert totals.apply(report("w1", 0, 400)) is Applied.STALE
    assert (totals.total().sent, totals.stale_reports, totals.workers) == (0, 1, {})


def test_a_lost_report_keeps_the_totals_incomplete_until_it_arrives() -> None:
    totals = SwarmTotals("run")
    totals.apply(report("w1", 0, 400))
    totals.apply(report("w1", 3, 500, final=True))
    assert totals.incomplete_workers() == {"w1": "2 lost reports (1, 2)"}
    totals.apply(report("w1", 2, 600))
    assert totals.apply(report("w1", 2, 600)) is Applied.DUPLICATE
    totals.apply(report("w1", 1, 700))
    assert totals.is_complete
    assert totals.total().sent == 4


def test_which_reports_of_a_worker_are_missing_is_said_in_words() -> None:
    totals = SwarmTotals("run")
    assert not totals.is_complete
    totals.expect("w1")
    totals.apply(report("w2", 0, 400))
    assert totals.incomplete_workers() == {
        "w1": "never reported",
        "w2": "no final report (last one ends at 3.0 s)",
    }


def test_a_final_report_overtaken_by_a_later_one_is_no_final() -> None:
    totals = SwarmTotals("run")
    totals.apply(report("w1", 0, 400, final=True))
    assert totals.is_complete
    totals.apply(report("w1", 1, 400))
    assert not totals.is_complete


def test_a_sequence_number_out_of_all_reason_is_refused() -> None:
    totals = SwarmTotals("run")
    with pytest.raises(ProtocolError, match="sent snapshot 1000000 after -1"):
        totals.apply(report("w1", 10**6))
    assert totals.workers == {}


def test_the_worst_health_of_a_worker_is_kept_and_exhaustion_is_added() -> None:
    totals = SwarmTotals("run")
    healths = [
        WorkerHealth(loop_lag_max_ms=9, cpu_percent=50, ports_exhausted=2),
        WorkerHealth(loop_lag_max_ms=1, open_files=30, ports_exhausted=1),
    ]
    for sequence, health in enumerate(healths):
        totals.apply(whole_snapshot("run", "w1", sequence, 0.0, 3.0, {}, health))
    record = totals.workers["w1"]
    assert record.health == healths[1]
    assert record.worst_health == WorkerHealth(loop_lag_max_ms=9, cpu_percent=50, open_files=30, ports_exhausted=3)


reports = st.lists(
    st.tuples(st.sampled_from("abc"), st.lists(st.integers(0, 10**6), max_size=5)), min_size=1, max_size=20
)


@settings(deadline=None)
@given(reports, st.randoms(use_true_random=False), st.lists(st.integers(0, 19), max_size=5), st.integers(0, 20))
def test_order_duplicates_and_a_restart_of_the_master_change_nothing(
    sent: list[tuple[str, list[int]]], shuffler: random.Random, again: list[int], restart_at: int
) -> None:
    sequences = dict.fromkeys("abc", -1)
    snapshots = []
    for worker, latencies in sent:
        sequences[worker] += 1
        snapshots.append(report(worker, sequences[worker], *latencies))
    in_order = SwarmTotals("run")
    for snapshot in snapshots:
        in_order.apply(snapshot)

    arriving = snapshots + [snapshots[index] for index in again if index < len(snapshots)]
    shuffler.shuffle(arriving)
    shuffled = SwarmTotals("run")
    for index, snapshot in enumerate(arriving):
        if index == restart_at:
            shuffled = SwarmTotals.from_state(msgpack.loads(msgpack.dumps(shuffled.to_state())))
        shuffled.apply(snapshot)
    assert shuffled.names == in_order.names
    assert shuffled.duplicates == len(arriving) - len(snapshots)
    assert [(i.first, i.names()) for i in shuffled.series.intervals()] == [
        (i.first, i.names()) for i in in_order.series.intervals()
    ]


def test_saved_totals_of_another_kind_are_refused() -> None:
    state = SwarmTotals("run").to_state()
    for change, message in (
        ({"version": 9}, "version: Input should be less than or equal to 3"),
        ({"extra": 1}, "extra: Unexpected keyword argument"),
        ({"series": {}}, "series: Value error"),
        ({"series": {"width_s": 3.0, "intervals": [{"first": 0}]}}, "series: Value error"),
    ):
        with pytest.raises(ProtocolError, match=message):
            SwarmTotals.from_state(state | change)


def test_intervals_hold_the_reports_whose_middle_they_contain() -> None:
    series = IntervalSeries(width_s=3.0)
    series.add(*interval("w1", 0.0, 3.1, 2, a=counters(400, 500)))
    series.add(*interval("w2", 0.0, 1.6, 3, a=counters(600)))
    series.add(*interval("w1", 3.1, 6.1, b=counters(700)))
    first, second = series.intervals()
    assert (first.total().sent, first.coverage.users, second.start_s) == (3, 5, 3.0)
    assert first.per_s(3) == pytest.approx(3 * 2 / (3.1 + 1.6))
    assert second.names()["b"].latency.max_us == 700


def test_the_oldest_intervals_of_a_long_run_are_joined_and_nothing_is_lost() -> None:
    series = IntervalSeries(width_s=3.0, max_intervals=10)
    for sequence in range(101):
        series.add("w1", 5, report("w1", sequence, 100 + sequence).slices[0])
    intervals = series.intervals()
    assert len(intervals) == 10
    assert intervals[0].length_s > intervals[-1].length_s
    assert [one.start_s + one.length_s for one in intervals[:-1]] == [one.start_s for one in intervals[1:]]
    assert [one.total().sent for one in intervals] == [one.span for one in intervals[:-1]] + [
        intervals[-1].total().sent
    ]
    assert sum(one.total().sent for one in intervals) == 101
    series.add("w2", 5, report("w2", 0, 50).slices[0])
    assert series.intervals()[0].total().latency.min_us == 50
    assert intervals[-1].total().latency.max_us == 200


def test_a_gap_in_a_long_run_does_not_stop_the_joining() -> None:
    series = IntervalSeries(width_s=3.0, max_intervals=4)
    for sequence in (0, 5, 6, 20, 21, 40, 41, 90):
        series.add("w1", 5, report("w1", sequence, 100).slices[0])
    assert len(series) == 4
    assert sum(one.total().sent for one in series.intervals()) == 8


def epoch_report(sequence: int, *epochs: int, final: bool = False) -> Snapshot:
    """One success of each epoch, at the second of its number."""
    slices = [Slice(epoch, epoch + 1.0, {"a": counters(100 * epoch + 100)}, epoch) for epoch in epochs]
    return Snapshot("run", "w1", sequence, 0.0, 3.0, slices, [SecondCounts(0, len(epochs))], is_final=final)


def test_what_was_before_the_newest_epoch_is_left_out_of_everything_and_shown() -> None:
    totals = SwarmTotals("run", is_staged=True)
    totals.apply(epoch_report(0, 0))
    totals.start_epoch(1.0)
    totals.apply(epoch_report(1, 0, 1, 1, final=True))
    assert totals.names["a"].latency.percentiles_us([0, 100]) == [200, 200]
    assert totals.total().sent == totals.workers["w1"].sent == 2
    assert merge_counters(totals.left_out.values()).sent == 2
    assert sum(one.total().sent for one in totals.series.intervals()) == 2
    assert totals.stages[0]["a"].sent == 2
    assert totals.duration_s == 2.0
    assert sum(row.ended for row in totals.seconds.rows()) == 4


def test_a_reset_leaves_everything_before_it_out() -> None:
    totals = SwarmTotals("run")
    totals.start_epoch(1.0)
    totals.apply(epoch_report(0, 0, 1))
    totals.start_epoch(2.0)
    assert (totals.total().sent, merge_counters(totals.left_out.values()).sent) == (0, 2)
    totals.apply(epoch_report(1, 1, 2))
    assert totals.names["a"].latency.max_us == 300
    assert (totals.total().sent, merge_counters(totals.left_out.values()).sent) == (1, 3)


def test_requests_of_other_users_are_those_since_the_warm_up_or_the_reset() -> None:
    totals = SwarmTotals("run")
    for number, (epoch, requests) in enumerate(((0, 5), (1, 7), (1, 9))):
        if number == 1:
            totals.start_epoch(3.0)
        part = Slice(3.0 * number, 3.0 * number + 3, {}, epoch=epoch)
        others = OtherCounts(requests, 1, 2)
        totals.apply(Snapshot("run", "w", number, part.start_s, part.end_s, [part], others=others))
        assert totals.others.requests == {0: 5, 1: 7, 2: 16}[number]
    late = Snapshot("run", "late", 0, 0.0, 3.0, [Slice(0.0, 3.0)], others=OtherCounts(100))
    totals.apply(late)
    assert totals.others == OtherCounts(16, 2, 4)
    assert SwarmTotals.from_state(totals.to_state()).others == OtherCounts(16, 2, 4)


def test_a_report_of_an_epoch_that_nobody_began_is_refused_and_changes_nothing() -> None:
    totals = SwarmTotals("run")
    with pytest.raises(ProtocolError, match="reported of epoch 1"):
        totals.apply(epoch_report(0, 0, 1))
    assert (totals.names, totals.workers) == ({}, {})


def test_arrivals_that_nobody_reported_are_unaccounted_for() -> None:
    totals = SwarmTotals("run", names={"a": RequestCounters(succeeded=5, abandoned=2, dropped=1)})
    assert (totals.unaccounted(10), totals.unaccounted(7)) == (2, 0)
    totals.possible_duplicates = 3
    assert (totals.unaccounted(10), totals.unaccounted(5)) == (5, 0)


def test_a_connection_of_the_warm_up_was_a_connection() -> None:
    totals = SwarmTotals("run", names={"a": RequestCounters(succeeded=1, connects=1)})
    totals.start_epoch(1.0)
    assert totals.has_connected
    assert not SwarmTotals("run", names={"a": RequestCounters(succeeded=1)}).has_connected


def reports_of_everything() -> list[Snapshot]:
    """Three workers, two epochs, two stages, two names; histograms as they come from workers."""
    made = []
    for number in range(24):
        worker, sequence = f"w{number % 3}", number // 3
        epoch, stage = min(1, sequence // 2), sequence // 4
        names = {"a": counters(100 + number), f"b{number % 2}": counters(2000 + number, 7)}
        part = Slice(3.0 * sequence, 3.0 * sequence + 3, names, epoch, stage)
        snapshot = Snapshot("run", worker, sequence, part.start_s, part.end_s, [part], users=number)
        made.append(Snapshot.from_wire(snapshot.to_wire()))
    return made


def test_sums_are_the_same_whether_reports_waited_to_be_added_up_or_not() -> None:
    totals = [SwarmTotals("run", is_staged=True) for _ in range(3)]
    totals[1].settle_for_good()
    for one in totals:
        for number, snapshot in enumerate(reports_of_everything()):
            if number == 6:
                one.start_epoch(6.0)
            assert one.apply(snapshot) is Applied.COUNTED
            if one is totals[2]:
                assert one.total().sent == sum(record.sent for record in one.workers.values())
    assert [len(one.waiting.parts) for one in totals] == [18, 0, 0]
    states = [msgpack.dumps(one.to_state()) for one in totals]
    assert states[0] == states[1] == states[2]
    waited = totals[0]
    assert (waited.total().sent, merge_counters(waited.left_out.values()).sent) == (18 * 3, 6 * 3)
    assert [waited.stages[stage]["a"].sent for stage in (0, 1)] == [6, 12]
    assert waited.names["a"].latency.percentiles_us([0, 100]) == [106, 123]
    assert [one.coverage.users for one in waited.series.intervals()][:2] == [6 + 7 + 8, 9 + 10 + 11]


@pytest.mark.parametrize("field", ["names", "left_out", "stages", "series"])
def test_whoever_reads_a_sum_finds_all_that_was_counted_in_it(field: str) -> None:
    totals = SwarmTotals("run", is_staged=True)
    for number, snapshot in enumerate(reports_of_everything()[:12]):
        totals.apply(snapshot)
        if number == 5:
            totals.start_epoch(6.0)
    found = getattr(totals, field)
    sums = {
        "names": lambda: merge_counters(found.values()),
        "left_out": lambda: merge_counters(found.values()),
        "stages": lambda: merge_counters(found[0].values()),
        "series": lambda: merge_counters(one.total() for one in found.intervals()),
    }
    assert sums[field]().sent == 6 * 3


def test_many_counters_do_not_wait_for_somebody_to_read_them() -> None:
    totals = SwarmTotals("run")
    names = {str(number): RequestCounters(succeeded=1) for number in range(1000)}
    for sequence in range(4):
        totals.apply(whole_snapshot("run", "w", sequence, 0.0, 3.0, names))
        assert totals.waiting.size < MAX_WAITING
    assert len(totals.waiting.parts) == 1
    assert totals.total().succeeded == 4000


def test_addresses_and_error_texts_do_not_wait_beyond_the_same_limit() -> None:
    """A server of many addresses, or of many errors: what waits would be most of a master's memory."""
    many = RequestCounters(succeeded=1)
    for number in range(150):
        many.count_at(f"10.0.0.{number}", AddressCounters(requests=1))
        many.count_failure(f"error {number}", FailureRecord("status", 1))
    totals = SwarmTotals("run")
    for sequence in range(30):
        totals.apply(whole_snapshot("run", "w", sequence, 0.0, 3.0, {"a": many}))
        assert len(totals.waiting.parts) <= MAX_WAITING // 299
    assert totals.total().failed["error 7"].count == 30
