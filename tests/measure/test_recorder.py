"""A worker's recorder: what is counted where, and what a report says of the time it is from."""

from __future__ import annotations

import errno
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.measure.counters import RequestCounters, merge_counters
from inference_swarm.measure.phases import Phases, phases_of_run
from inference_swarm.measure.recorder import RunRecorder
from inference_swarm.measure.seconds import SecondCounts
from inference_swarm.measure.snapshot import Snapshot
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.measure.wire_types import MAX_EXAMPLE_ROWS
from inference_swarm.transport.exhaustion import describe_own_error
from inference_swarm.transport.outcome import AttemptError, ErrorKind, Outcome
from inference_swarm.transport.outcome_log import Batch, OutcomeLog

MS = 1_000_000
S = 1000 * MS


def batch(waits_ms: list[float], failures: list[Outcome] | None = None) -> Batch:
    service_ns = np.full(len(waits_ms), 5 * MS, dtype=np.int64)
    latency_ns = service_ns + (np.array(waits_ms) * MS).astype(np.int64)
    return Batch(latency_ns, latency_ns, service_ns, 0, failures or [])


def ended_at(*done_s: float, latency_s: float = 0.0, failures: list[Outcome] | None = None) -> Batch:
    done_ns = np.array([round(at_s * S) for at_s in done_s], dtype=np.int64)
    latency_ns = np.full(len(done_s), round(latency_s * S), dtype=np.int64)
    return Batch(done_ns, latency_ns, latency_ns, 10 * len(done_s), failures or [])


def failure(
    error: int | str,
    intended_ms: int = 0,
    sent_ms: int = 0,
    done_ms: int = 90,
    kind: ErrorKind = ErrorKind.CONNECT,
    explanation: str = "",
    rows: Sequence[int] = (),
) -> Outcome:
    detail = describe_own_error(error, are_ports_in_use=True) if isinstance(error, int) else error
    failed = AttemptError(kind, detail)
    instants_ns = (intended_ms * MS, sent_ms * MS, 0, done_ms * MS)
    return Outcome(*instants_ns, 0, 0, 0, 503, failed, "", explanation, rows=rows, row_count=max(1, len(rows)))


def total(snapshot: Snapshot) -> RequestCounters:
    return merge_counters(snapshot.names().values())


def test_requests_sent_after_the_tolerance_are_late() -> None:
    recorder = RunRecorder("run", "w", 0, late_after_ns=10 * MS)
    recorder.add("x", batch([0, 9.9, 10.1, 50], [failure("status", 20, 31), failure("status", 20, 29)]))
    assert recorder.take_snapshot(MS, 1).names()["x"].late == 3


def test_a_closed_load_has_no_late_requests() -> None:
    recorder = RunRecorder("run", "w", 0)
    recorder.add("x", batch([0, 500]))
    assert recorder.take_snapshot(MS, 1).names()["x"].late == 0


def test_what_has_no_outcome_is_counted_in_the_snapshot_it_belongs_to() -> None:
    recorder = RunRecorder("run", "w", 0)
    recorder.add_dropped("x", [0, 0, 0], 0)
    recorder.add_stale_connections("x", 1, 0)
    recorder.add_connects("x", 4, 0)
    first = recorder.take_snapshot(MS, 1)
    counted = first.names()["x"]
    assert (counted.dropped, counted.stale_connections, counted.connects) == (3, 1, 4)
    assert first.seconds == [SecondCounts(0, 0, 0, 3)]
    assert recorder.take_snapshot(2 * MS, 1).names() == {}


def test_a_dropped_arrival_belongs_to_the_phase_that_wanted_it_and_to_the_second_that_gave_it_up() -> None:
    recorder = RunRecorder("run", "w", 0, phases=phases_of_run([3, 3], warm_up_s=1))
    recorder.add_dropped("x", [round(at_s * S) for at_s in (0.2, 0.9, 1.0, 2.9, 3.0, 3.1, 3.2)], round(3.5 * S))
    snapshot = recorder.take_snapshot(round(3.6 * S), 1)
    dropped = {
        (part.epoch, part.stage): sum(counters.dropped for counters in part.names.values()) for part in snapshot.slices
    }
    assert dropped == {(0, 0): 2, (1, 0): 2, (1, 1): 3}
    assert snapshot.seconds == [SecondCounts(3, 0, 0, 7)]


def test_an_abandoned_attempt_is_no_failure() -> None:
    recorder = RunRecorder("run", "w", 0)
    ended = failure("in flight when the run ended", kind=ErrorKind.ABANDONED)
    log = OutcomeLog()
    log.add(ended)
    recorder.add("x", log.take_batch())
    counted = total(recorder.take_snapshot(MS, 1))
    assert (counted.abandoned, counted.failures, counted.failed_latency.count) == (1, 0, 0)


def test_requests_and_latencies_are_counted_by_address() -> None:
    log = OutcomeLog()
    for address, latency_ms in (("a:1", 1), ("b:1", 2), ("b:1", 3)):
        log.lane(address).sent_ns.append(S)
        log.lane(address).done_ns.append(S + latency_ms * MS)
    for address, kind in (("b:1", ErrorKind.STATUS), ("b:1", ErrorKind.ABANDONED), ("", ErrorKind.RESOLVE)):
        log.add(Outcome(S, S, 0, 2 * S, 0, 0, 0, 0, AttemptError(kind, "x"), address))
    recorder = RunRecorder("run", "w", 0)
    recorder.add("x", log.take_batch())
    log.lane("a:1").sent_ns.append(S)
    log.lane("a:1").done_ns.append(S + 5 * MS)
    recorder.add("x", log.take_batch())
    counters = total(Snapshot.from_wire(recorder.take_snapshot(3 * S, 1).to_wire()))
    found = {
        address: (each.requests, each.failures, each.latency.count, round(each.latency.max_us))
        for address, each in counters.addresses.items()
    }
    assert found == {"a:1": (2, 0, 2, 5000), "b:1": (4, 1, 2, 3000)}
    assert (counters.succeeded, counters.latency.count, counters.failures, counters.abandoned) == (4, 4, 2, 1)


def test_connections_that_this_machine_refused_are_told_apart() -> None:
    recorder = RunRecorder("run", "w", 0)
    errors = [errno.EADDRNOTAVAIL, errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ECONNREFUSED]
    recorder.add("x", batch([], [failure(error) for error in errors]))
    assert (recorder.ports_exhausted, recorder.files_exhausted) == (2, 2)
    recorder.take_snapshot(MS, 1)
    assert (recorder.ports_exhausted, recorder.files_exhausted) == (0, 0)


def test_failures_have_their_own_times_their_instants_and_an_example() -> None:
    recorder = RunRecorder("run", "w", 1 * S)
    outcomes = [
        failure("503 Service Unavailable", at, at + 1, at + 4, ErrorKind.STATUS, words, rows)
        for at, words, rows in ((6000, "", [1]), (9000, "overloaded", [2, 9]), (7000, "", [3]))
    ]
    recorder.add("x", ended_at(6.5, latency_s=0.080, failures=outcomes))
    counted = total(recorder.take_snapshot(10 * S, 1))
    record = counted.failed["status: 503 Service Unavailable"]
    assert (record.kind, record.status, record.count) == ("status", 503, 3)
    assert (record.first_s, record.last_s) == (5.004, 8.004)
    assert (record.explanation, record.rows, record.row_count) == ("overloaded", [2, 9], 2)
    assert counted.rows == 5
    assert (counted.latency.min_us, counted.latency.count) == (80_000, 1)
    assert (counted.failed_latency.max_us, counted.failed_service.max_us) == (4000, 3000)
    assert (counted.first_intended_s, counted.last_done_s) == (5.0, 8.004)


def test_what_failed_before_it_was_sent_has_a_latency_but_no_service_time() -> None:
    recorder = RunRecorder("run", "w", 0)
    recorder.add("x", batch([], [failure(errno.ECONNREFUSED, intended_ms=1, done_ms=9001)]))
    counted = total(recorder.take_snapshot(10 * S, 1))
    assert (counted.failed_latency.count, counted.failed_latency.max_us) == (1, 9_000_000)
    assert counted.failed_service.count == 0


def test_the_example_of_a_failure_has_words_and_a_row_if_any_has_both() -> None:
    recorder = RunRecorder("run", "w", 0)
    outcomes = [
        failure("500", rows=[1]),
        failure("500", explanation="a"),
        failure("500", explanation="b", rows=range(900)),
        failure("500"),
    ]
    recorder.add("x", batch([], outcomes[:2]))
    recorder.add("x", batch([], outcomes[2:]))
    (record,) = total(recorder.take_snapshot(S, 1)).failed.values()
    assert (record.count, record.explanation, record.row_count) == (4, "b", 900)
    assert record.rows == list(range(MAX_EXAMPLE_ROWS))


def test_times_count_from_the_beginning_of_the_run_for_a_worker_that_joins_late() -> None:
    recorder = RunRecorder("run", "w", 1_000 * MS, start_ns=5_000 * MS)
    snapshot = recorder.take_snapshot(7_000 * MS, 1)
    assert (snapshot.start_s, snapshot.end_s) == (4.0, 6.0)


def test_a_report_before_an_open_load_begins_is_empty_and_not_negative() -> None:
    recorder = RunRecorder("run", "w", 5_000 * MS, start_ns=4_000 * MS)
    snapshot = recorder.take_snapshot(4_500 * MS, 1)
    assert (snapshot.start_s, snapshot.end_s) == (0.0, 0.0)


def test_what_ends_after_the_load_is_counted_and_in_no_rate() -> None:
    recorder = RunRecorder("run", "w", 0)
    recorder.end_load(3 * S)
    recorder.add("x", ended_at(1, 2, 4, 4, 4, 4, failures=[failure("x", done_ms=5000)]))
    snapshot = recorder.take_snapshot(6 * S, 0, is_final=True)
    assert (snapshot.start_s, snapshot.end_s) == (0.0, 3.0)
    counted = total(snapshot)
    assert (counted.ended, counted.succeeded_after, counted.failed_after, counted.ended_in_time) == (7, 4, 1, 2)


def test_the_end_of_a_schedule_is_the_end_of_its_load() -> None:
    recorder = RunRecorder("run", "w", 0, load_end_ns=3 * S)
    recorder.add("x", ended_at(2.9, 3.05))
    recorder.end_load(4 * S)
    assert total(recorder.take_snapshot(4 * S, 0)).succeeded_after == 1


def test_a_worker_that_was_frozen_says_when_its_requests_ended() -> None:
    recorder = RunRecorder("run", "w", 0)
    recorder.add("x", ended_at(*np.arange(0, 2, 0.01).tolist()))
    recorder.add("x", ended_at(*np.arange(8.5, 10, 0.01).tolist()))
    snapshot = recorder.take_snapshot(10 * S, 1)
    ended = [(part.start_s, part.end_s, sum(c.ended for c in part.names.values())) for part in snapshot.slices]
    assert ended == [(0, 4, 200), (4, 8, 0), (8, 10, 150)]
    totals = SwarmTotals("run")
    totals.apply(snapshot)
    rates = [one.per_s(one.total().ended) for one in totals.series.intervals()]
    assert rates == [50, 0, 75]
    assert [(row.second, row.ended) for row in snapshot.seconds] == [(0, 100), (1, 100), (8, 50), (9, 100)]


def test_a_report_at_the_usual_time_is_one_slice() -> None:
    recorder = RunRecorder("run", "w", 0)
    recorder.add("x", ended_at(0.1, 2.9))
    assert len(recorder.take_snapshot(round(3.2 * S), 1).slices) == 1


def test_a_worker_that_was_frozen_for_days_still_reports() -> None:
    recorder = RunRecorder("run", "w", 0)
    recorder.add("x", ended_at(1, 300_000))
    snapshot = Snapshot.from_wire(recorder.take_snapshot(300_001 * S, 1).to_wire())
    assert len(snapshot.slices) <= 500
    assert total(snapshot).ended == 2


def test_a_warm_up_holds_what_was_intended_in_it() -> None:
    recorder = RunRecorder("run", "w", 0, phases=phases_of_run([], 2.0))
    recorder.add("x", ended_at(1.0, 1.9, 2.1, 2.4, 3.0, latency_s=0.3))
    early, late = recorder.take_snapshot(3 * S, 1).slices
    assert (early.epoch, early.start_s, early.end_s, early.names["x"].succeeded) == (0, 0, 2, 3)
    assert (late.epoch, late.start_s, late.end_s, late.names["x"].succeeded) == (1, 2, 3, 2)


def test_a_warm_up_request_that_ends_long_after_it_still_belongs_to_it() -> None:
    recorder = RunRecorder("run", "w", 0, phases=phases_of_run([], 2.0))
    recorder.take_snapshot(3 * S, 1)
    recorder.add("x", ended_at(4.0, 5.0, latency_s=2.5))
    parts = recorder.take_snapshot(6 * S, 1).slices
    by_epoch = {part.epoch: (part.end_s - part.start_s, sum(c.ended for c in part.names.values())) for part in parts}
    assert by_epoch == {0: (0, 1), 1: (3, 1)}


def test_a_reset_begins_another_epoch_at_its_instant() -> None:
    recorder = RunRecorder("run", "w", 0)
    recorder.add("x", ended_at(1.0))
    recorder.set_phases(Phases.from_seconds([2.0]))
    recorder.add("x", ended_at(1.5, 2.5))
    assert recorder.epoch_start_ns == 2 * S
    assert [(part.epoch, part.names["x"].succeeded) for part in recorder.take_snapshot(3 * S, 1).slices] == [
        (0, 2), (1, 1),
    ]  # fmt: skip


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 9000), st.booleans()), max_size=40),
    st.lists(st.integers(1, 39_000), max_size=4),
    st.sampled_from([(), (5.0,), (5.0, 12.5)]),
    st.sampled_from([(), (10.0, 20.0)]),
)
def test_nothing_is_lost_or_counted_twice_however_reports_and_phases_cut_a_run(
    attempts: list[tuple[int, int, bool]],
    reports_ms: list[int],
    epochs: tuple[float, ...],
    stages: tuple[float, ...],
) -> None:
    phases = Phases.from_seconds(epochs, stages)
    recorder = RunRecorder("run", "w", 0, phases=phases)
    totals = SwarmTotals("run", is_staged=bool(stages))
    for start_s in epochs:
        totals.start_epoch(start_s)
    reports = [*sorted(set(reports_ms)), 41_000]
    for number, end_ms in enumerate(reports):
        begin_ms = reports[number - 1] if number else 0
        chosen = [one for one in attempts if begin_ms <= one[0] < end_ms]
        good = np.array([done for done, _, is_good in chosen if is_good], dtype=np.int64) * MS
        took = np.array([latency for _, latency, is_good in chosen if is_good], dtype=np.int64) * MS
        took = np.minimum(took, good)
        bad = [failure("x", max(0, done - latency), 0, done) for done, latency, is_good in chosen if not is_good]
        recorder.add("x", Batch(good, took, took, 0, bad))
        snapshot = recorder.take_snapshot(end_ms * MS, 1, is_final=end_ms == 41_000)
        assert sum(part.end_s - part.start_s for part in snapshot.slices) == pytest.approx((end_ms - begin_ms) / 1000)
        totals.apply(Snapshot.from_wire(snapshot.to_wire()))
    start_ms = 1000 * epochs[-1] if epochs else 0
    counted = [one for one in attempts if max(0, one[0] - one[1]) >= start_ms]
    measured, left_out = totals.total(), merge_counters(totals.left_out.values())
    assert (measured.succeeded, measured.failures) == (
        sum(one[2] for one in counted), sum(not one[2] for one in counted),
    )  # fmt: skip
    assert measured.ended + left_out.ended == len(attempts)
    assert sum(row.ended for row in totals.seconds.rows()) == len(attempts)
    assert sum(one.total().ended for one in totals.series.intervals()) == measured.ended
    if stages:
        by_stage = [sum(c.ended for c in names.values()) for _, names in sorted(totals.stages.items())]
        assert sum(by_stage) == measured.ended
        last = [one for one in counted if max(0, one[0] - one[1]) >= 1000 * stages[-1]]
        assert sum(c.ended for c in totals.stages.get(len(stages), {}).values()) == len(last)
