"""A worker's recorder: late requests, dropped arrivals, what the machine itself refused."""

from __future__ import annotations

import errno
import os

import numpy as np

from inference_swarm.measure.recorder import RunRecorder
from inference_swarm.transport.outcome import AttemptError, ErrorKind, Outcome
from inference_swarm.transport.outcome_log import Batch

MS = 1_000_000


def batch(waits_ms: list[float], failures: list[Outcome] | None = None) -> Batch:
    service_ns = np.full(len(waits_ms), 5 * MS, dtype=np.int64)
    latency_ns = service_ns + (np.array(waits_ms) * MS).astype(np.int64)
    return Batch(latency_ns, latency_ns, service_ns, 0, failures or [])


def failure(error: int | str, intended_ms: int = 0, sent_ms: int = 0) -> Outcome:
    detail = os.strerror(error) if isinstance(error, int) else error
    return Outcome(intended_ms * MS, sent_ms * MS, 0, 90 * MS, 0, 0, 0, 0, AttemptError(ErrorKind.CONNECT, detail))


def test_requests_sent_after_the_tolerance_are_late() -> None:
    recorder = RunRecorder("run", "w", 0, late_after_ns=10 * MS)
    recorder.add("x", batch([0, 9.9, 10.1, 50], [failure("status", 20, 31), failure("status", 20, 29)]))
    assert recorder.take_snapshot(MS, 1).names["x"].late == 3


def test_a_closed_load_has_no_late_requests() -> None:
    recorder = RunRecorder("run", "w", 0)
    recorder.add("x", batch([0, 500]))
    assert recorder.take_snapshot(MS, 1).names["x"].late == 0


def test_dropped_arrivals_are_counted_in_the_snapshot_they_belong_to() -> None:
    recorder = RunRecorder("run", "w", 0)
    recorder.add_dropped("x", 3)
    assert recorder.take_snapshot(MS, 1).names["x"].dropped == 3
    assert recorder.take_snapshot(2 * MS, 1).names == {}


def test_connections_that_this_machine_refused_are_told_apart() -> None:
    recorder = RunRecorder("run", "w", 0)
    errors = [errno.EADDRNOTAVAIL, errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ECONNREFUSED]
    recorder.add("x", batch([], [failure(error) for error in errors]))
    assert (recorder.ports_exhausted, recorder.files_exhausted) == (2, 2)
    recorder.take_snapshot(MS, 1)
    assert (recorder.ports_exhausted, recorder.files_exhausted) == (0, 0)


def test_times_count_from_the_beginning_of_the_run_for_a_worker_that_joins_late() -> None:
    recorder = RunRecorder("run", "w", 1_000 * MS, start_ns=5_000 * MS)
    snapshot = recorder.take_snapshot(7_000 * MS, 1)
    assert (snapshot.start_s, snapshot.end_s) == (4.0, 6.0)


def test_a_report_before_an_open_load_begins_is_empty_and_not_negative() -> None:
    recorder = RunRecorder("run", "w", 5_000 * MS, start_ns=4_000 * MS)
    snapshot = recorder.take_snapshot(4_500 * MS, 1)
    assert (snapshot.start_s, snapshot.end_s) == (0.0, 0.0)
