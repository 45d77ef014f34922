"""The master's record of one worker: which of its reports are in, and how it is. Values only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import ClassVar

from pydantic import ConfigDict

from inference_swarm.config.documents import Document
from inference_swarm.measure.counters import RequestCounters
from inference_swarm.measure.snapshot import Snapshot, WorkerHealth
from inference_swarm.measure.wire_types import Count, Metric, Seconds

_METRICS = tuple(spec.name for spec in fields(WorkerHealth))


@dataclass(slots=True)
class WorkerRecord:
    """The master's record of one worker. `missing` are sequence numbers below `next_sequence` not seen yet.

    `sent`, `succeeded`, `failed` and `abandoned` are of the newest epoch.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    next_sequence: Count = 0
    missing: list[Count] = field(default_factory=list)
    final_sequence: Count | None = None
    duplicates: Count = 0
    start_s: Seconds | None = None
    end_s: Seconds = 0.0
    users: Count = 0
    sent: Count = 0
    succeeded: Count = 0
    failed: Count = 0
    abandoned: Count = 0
    rate_rps: Metric = 0.0
    rows_per_s: Metric = 0.0
    health: WorkerHealth = field(default_factory=WorkerHealth)
    worst_health: WorkerHealth = field(default_factory=WorkerHealth)

    @property
    def is_complete(self) -> bool:
        """True when its final snapshot and every one before it are in."""
        return not self.missing and self.final_sequence is not None and self.next_sequence == self.final_sequence + 1

    def note_latest(self, snapshot: Snapshot) -> None:
        """Take over how the worker is now."""
        self.users = 0 if snapshot.is_final else snapshot.users
        self.health = snapshot.health
        seconds = snapshot.end_s - snapshot.start_s
        counted = [counters for part in snapshot.slices for counters in part.names.values()]
        ended, rows = sum(one.ended_in_time for one in counted), sum(one.rows_in_time for one in counted)
        is_rate = seconds > 0 and not snapshot.is_final
        self.rate_rps, self.rows_per_s = (ended / seconds, rows / seconds) if is_rate else (0.0, 0.0)

    def note_counted(self, snapshot: Snapshot) -> None:
        """Widen the stretch of time that is reported of, and what its health was at worst."""
        self.start_s = snapshot.start_s if self.start_s is None else min(self.start_s, snapshot.start_s)
        self.end_s = max(self.end_s, snapshot.end_s)
        self.worst_health = _worst(self.worst_health, snapshot.health)
        if snapshot.is_final:
            self.final_sequence = snapshot.sequence

    def count(self, counted: Iterable[RequestCounters]) -> None:
        """Add what it reported of the newest epoch."""
        for counters in counted:
            failed = counters.failures if counters.failed else 0
            self.sent += counters.succeeded + failed + counters.abandoned
            self.succeeded += counters.succeeded
            self.failed += failed
            self.abandoned += counters.abandoned

    @property
    def missing_reports(self) -> str:
        """Which of its reports are missing, in words."""
        if not self.next_sequence:
            return "never reported"
        parts = []
        if self.missing:
            shown = ", ".join(str(sequence) for sequence in sorted(self.missing)[:5])
            parts.append(f"{len(self.missing)} lost reports ({shown}{', …' if len(self.missing) > 5 else ''})")
        if self.final_sequence is None or self.final_sequence + 1 != self.next_sequence:
            parts.append(f"no final report (last one ends at {self.end_s:.1f} s)")
        return " and ".join(parts)


def _worst(one: WorkerHealth, other: WorkerHealth) -> WorkerHealth:
    """Return the highest value of each metric; counts (exhaustion) are added up."""
    metrics: Document = {}
    for name in _METRICS:
        first, second = getattr(one, name), getattr(other, name)
        if first is None or second is None:
            metrics[name] = second if first is None else first
        else:
            metrics[name] = first + second if name.endswith("_exhausted") else max(first, second)
    return WorkerHealth(**metrics)
