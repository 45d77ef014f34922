"""One worker's side of the numbers: batches of attempts in, numbered snapshots out. Knows no clock and no Locust."""

from __future__ import annotations

import errno
import os

import numpy as np

from inference_swarm.measure.snapshot import RequestTally, Snapshot, WorkerHealth
from inference_swarm.transport.outcome_log import Batch

NS_PER_S = 1_000_000_000
# What the transport says when this machine, not the server, refused a connection.
PORTS_EXHAUSTED = os.strerror(errno.EADDRNOTAVAIL)
FILES_EXHAUSTED = (os.strerror(errno.EMFILE), os.strerror(errno.ENFILE))


class RunRecorder:
    """Everything this process notes in one run. `began_ns` and all instants are on the same monotonic clock."""

    def __init__(
        self, run_id: str, worker: str, began_ns: int, *, start_ns: int | None = None, late_after_ns: int | None = None
    ) -> None:
        """`start_ns` is when this worker joined, if later; `late_after_ns` makes an open load's requests late."""
        self.run_id = run_id
        self.worker = worker
        self.is_closed = False
        self.ports_exhausted = 0
        self.files_exhausted = 0
        self._late_after_ns = late_after_ns
        self._began_ns = began_ns
        self._interval_start_ns = max(began_ns, start_ns or began_ns)
        self._sequence = 0
        self._names: dict[str, RequestTally] = {}

    def add(self, name: str, batch: Batch) -> None:
        """Counts a batch of one request name; failed attempts have a latency and a service time as well."""
        if not batch.success_count and not batch.failures:
            return
        tally = self._names.setdefault(name, RequestTally())
        tally.sent += batch.success_count + len(batch.failures)
        tally.succeeded += batch.success_count
        tally.answer_bytes += batch.body_bytes
        tally.latency.record_ns(batch.latency_ns)
        tally.service.record_ns(batch.service_ns)
        if self._late_after_ns is not None:
            tally.late += int(np.count_nonzero(batch.latency_ns - batch.service_ns > self._late_after_ns))
        if batch.failures:
            tally.latency.record_ns([outcome.latency_ns for outcome in batch.failures])
            tally.service.record_ns([outcome.service_ns for outcome in batch.failures])
            for outcome in batch.failures:
                assert outcome.error is not None
                tally.count_failure(outcome.error.kind.value)
                self.ports_exhausted += outcome.error.detail == PORTS_EXHAUSTED
                self.files_exhausted += outcome.error.detail in FILES_EXHAUSTED
                if self._late_after_ns is not None and outcome.sent_ns:
                    tally.late += outcome.sent_ns - outcome.intended_ns > self._late_after_ns

    def add_dropped(self, name: str, count: int) -> None:
        """Counts arrivals that were never sent."""
        if count:
            self._names.setdefault(name, RequestTally()).dropped += count

    def add_connects(self, name: str, count: int) -> None:
        """Counts connections that were opened."""
        if count:
            self._names.setdefault(name, RequestTally()).connects += count

    def take_snapshot(
        self, now_ns: int, users: int, health: WorkerHealth | None = None, *, is_final: bool = False
    ) -> Snapshot:
        """All since the last one. After the final one nothing more may be taken."""
        if self.is_closed:
            raise RuntimeError("the final snapshot of this run has been taken")
        self.is_closed = is_final
        # The beginning may lie ahead: an open load is announced before it begins.
        now_ns = max(now_ns, self._interval_start_ns)
        snapshot = Snapshot(
            run_id=self.run_id,
            worker=self.worker,
            sequence=self._sequence,
            start_s=(self._interval_start_ns - self._began_ns) / NS_PER_S,
            end_s=(now_ns - self._began_ns) / NS_PER_S,
            names=self._names,
            health=health or WorkerHealth(),
            users=users,
            is_final=is_final,
        )
        self._sequence += 1
        self._interval_start_ns = now_ns
        self._names = {}
        self.ports_exhausted = self.files_exhausted = 0
        return snapshot
