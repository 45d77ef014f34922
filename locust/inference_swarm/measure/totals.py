"""The master's sum of all snapshots: each counted once, strays of other runs refused, completeness known.

Exact in whatever order reports arrive. Goes to and comes from a msgpack dict, so that an interrupted run keeps its
results.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, ConfigDict, Field, InstanceOf, PlainSerializer, TypeAdapter, ValidationError

from inference_swarm.errors import ProtocolError
from inference_swarm.measure.intervals import IntervalSeries
from inference_swarm.measure.snapshot import (
    Count,
    Figure,
    RequestTally,
    Seconds,
    Snapshot,
    Text,
    WorkerHealth,
    describe_problems,
    merge_tallies,
)

STATE_VERSION = 1
# A worker reports every few seconds: a jump this far is a broken message, not lost reports.
LARGEST_SEQUENCE_JUMP = 100_000


class Applied(Enum):
    """What became of a snapshot."""

    COUNTED = "counted"
    DUPLICATE = "duplicate"
    STRAY = "stray"


@dataclass(slots=True)
class WorkerRecord:
    """What the master knows of one worker. `missing` are sequence numbers below `next_sequence` not seen yet."""

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
    rate_rps: Figure = 0.0
    health: WorkerHealth = field(default_factory=WorkerHealth)
    worst_health: WorkerHealth = field(default_factory=WorkerHealth)

    @property
    def is_complete(self) -> bool:
        """Its final snapshot and every one before it are in."""
        return not self.missing and self.final_sequence is not None and self.next_sequence == self.final_sequence + 1


def _read_series(value: object) -> IntervalSeries:
    if isinstance(value, IntervalSeries):
        return value
    try:
        return IntervalSeries.from_wire(value)
    except ProtocolError as error:
        raise ValueError(str(error)) from error


WireSeries = Annotated[
    InstanceOf[IntervalSeries], BeforeValidator(_read_series), PlainSerializer(IntervalSeries.to_wire)
]


@dataclass(slots=True)
class SwarmTotals:
    """Sums of one run by request name, its workers, and its intervals."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    run_id: Text
    names: dict[Text, RequestTally] = field(default_factory=dict)
    workers: dict[Text, WorkerRecord] = field(default_factory=dict)
    strays: Count = 0
    series: WireSeries = field(default_factory=IntervalSeries)
    version: Annotated[int, Field(ge=STATE_VERSION, le=STATE_VERSION)] = STATE_VERSION

    def expect(self, worker: str) -> None:
        """A worker takes part: the totals are not complete without its final snapshot."""
        self.workers.setdefault(worker, WorkerRecord())

    def apply(self, snapshot: Snapshot) -> Applied:
        """Count a snapshot unless it was counted before or belongs to another run."""
        if snapshot.run_id != self.run_id:
            self.strays += 1
            return Applied.STRAY
        record = self.workers.get(snapshot.worker, WorkerRecord())
        sequence = snapshot.sequence
        if sequence - record.next_sequence > LARGEST_SEQUENCE_JUMP:
            raise ProtocolError(
                f"worker {snapshot.worker!r} sent snapshot {sequence} after {record.next_sequence - 1}",
                expected=f"a sequence number at most {LARGEST_SEQUENCE_JUMP} above the last",
            )
        self.workers[snapshot.worker] = record
        if sequence >= record.next_sequence:
            record.missing.extend(range(record.next_sequence, sequence))
            record.next_sequence = sequence + 1
            _note_latest(record, snapshot)
        elif sequence in record.missing:
            record.missing.remove(sequence)
        else:
            record.duplicates += 1
            return Applied.DUPLICATE
        self._count(record, snapshot)
        return Applied.COUNTED

    def _count(self, record: WorkerRecord, snapshot: Snapshot) -> None:
        record.start_s = snapshot.start_s if record.start_s is None else min(record.start_s, snapshot.start_s)
        record.end_s = max(record.end_s, snapshot.end_s)
        record.worst_health = _worst(record.worst_health, snapshot.health)
        if snapshot.is_final:
            record.final_sequence = snapshot.sequence
        for name, tally in snapshot.names.items():
            self.names.setdefault(name, RequestTally()).add(tally)
            record.sent += tally.sent
            record.succeeded += tally.succeeded
            record.failed += tally.failures
        self.series.add(snapshot)

    @property
    def is_complete(self) -> bool:
        """At least one worker, and every snapshot of every worker is in."""
        return bool(self.workers) and all(record.is_complete for record in self.workers.values())

    def incomplete_workers(self) -> dict[str, str]:
        """What each worker that is not complete still owes, in words."""
        return {worker: _owed(record) for worker, record in self.workers.items() if not record.is_complete}

    @property
    def duplicates(self) -> int:
        return sum(record.duplicates for record in self.workers.values())

    @property
    def duration_s(self) -> float:
        """From the first worker's first report to the last one's last; 0 before any."""
        starts = [record.start_s for record in self.workers.values() if record.start_s is not None]
        return max(record.end_s for record in self.workers.values()) - min(starts) if starts else 0.0

    def total(self) -> RequestTally:
        """All request names together."""
        return merge_tallies(self.names.values())

    def to_state(self) -> dict[str, Any]:
        """A dict that msgpack can carry, for the master to write at every report."""
        state: dict[str, Any] = _TOTALS.dump_python(self)
        return state

    @classmethod
    def from_state(cls, state: object) -> Self:
        """Read what `to_state` wrote; raises ProtocolError that names what is wrong."""
        try:
            totals = _TOTALS.validate_python(state)
        except ValidationError as error:
            raise ProtocolError(
                f"saved totals that cannot be used: {describe_problems(error)}",
                expected=f"what SwarmTotals.to_state of version {STATE_VERSION} wrote",
            ) from error
        return totals  # type: ignore[return-value]


_TOTALS = TypeAdapter(SwarmTotals)


def _note_latest(record: WorkerRecord, snapshot: Snapshot) -> None:
    record.users = 0 if snapshot.is_final else snapshot.users
    record.health = snapshot.health
    seconds = snapshot.end_s - snapshot.start_s
    ended = sum(tally.ended for tally in snapshot.names.values())
    record.rate_rps = ended / seconds if seconds > 0 and not snapshot.is_final else 0.0


def _worst(one: WorkerHealth, other: WorkerHealth) -> WorkerHealth:
    """The highest of each figure; what was counted (exhaustion) is added up."""
    figures: dict[str, Any] = {}
    for spec in fields(WorkerHealth):
        values = [value for value in (getattr(one, spec.name), getattr(other, spec.name)) if value is not None]
        figures[spec.name] = sum(values) if spec.name.endswith("_exhausted") else max(values, default=None)
    return WorkerHealth(**figures)


def _owed(record: WorkerRecord) -> str:
    if not record.next_sequence:
        return "never reported"
    parts = []
    if record.missing:
        shown = ", ".join(str(sequence) for sequence in sorted(record.missing)[:5])
        parts.append(f"{len(record.missing)} lost reports ({shown}{', …' if len(record.missing) > 5 else ''})")
    if record.final_sequence is None or record.final_sequence + 1 != record.next_sequence:
        parts.append(f"no final report (last one ends at {record.end_s:.1f} s)")
    return " and ".join(parts)
