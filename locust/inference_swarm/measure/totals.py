"""The master's sum of all snapshots: each counted once, stale ones of other runs refused, completeness known.

`names` holds what counts: the newest epoch (`measure.phases`). What was before it, the warm-up and whatever a reset of
the statistics left behind, is in `left_out` and in nothing else. Exact in whatever order reports arrive. Goes to and
comes from a msgpack dict, so that an interrupted run keeps its results.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, ConfigDict, Field, InstanceOf, PlainSerializer, TypeAdapter, ValidationError

from inference_swarm.config.documents import Document
from inference_swarm.errors import ProtocolError
from inference_swarm.measure.counters import MAX_NAMES, RequestCounters, add_counters, merge_counters
from inference_swarm.measure.intervals import IntervalSeries
from inference_swarm.measure.seconds import SecondSeries
from inference_swarm.measure.snapshot import OtherCounts, Slice, Snapshot
from inference_swarm.measure.waiting import Part, Place, Waiting, sum_of
from inference_swarm.measure.wire_types import Count, Seconds, Text, describe_problems
from inference_swarm.measure.worker_record import WorkerRecord

STATE_VERSION = 3
# A worker reports every few seconds: a jump this far is a broken message, not lost reports.
MAX_SEQUENCE_JUMP = 100_000

CountersByName = Annotated[dict[Text, RequestCounters], Field(max_length=MAX_NAMES + 1)]


class Applied(Enum):
    """The result of applying a snapshot."""

    COUNTED = "counted"
    DUPLICATE = "duplicate"
    STALE = "stale"


def _read_series(value: object) -> IntervalSeries:
    if isinstance(value, IntervalSeries):
        return value
    try:
        return IntervalSeries.from_wire(value)
    except ProtocolError as error:
        raise ValueError(str(error)) from error


def _read_seconds(value: object) -> SecondSeries:
    if isinstance(value, SecondSeries):
        return value
    try:
        return SecondSeries.from_wire(value)
    except ProtocolError as error:
        raise ValueError(str(error)) from error


WireSeries = Annotated[
    InstanceOf[IntervalSeries], BeforeValidator(_read_series), PlainSerializer(IntervalSeries.to_wire)
]
WireSeconds = Annotated[InstanceOf[SecondSeries], BeforeValidator(_read_seconds), PlainSerializer(SecondSeries.to_wire)]


class _Waits:
    """A base without fields: what waits is in no saved state."""

    __slots__ = ("may_wait", "waiting")

    waiting: Waiting
    """Parts that are counted and in no sum yet."""
    may_wait: bool

    def _begin(self) -> None:
        self.waiting, self.may_wait = Waiting(), True

    def _end_waiting(self) -> None:
        self.may_wait = False


@dataclass(slots=True)
class SwarmTotals(_Waits):
    """Sums of one run by request name, its workers, and its intervals."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    run_id: Text
    epoch: Count = 0
    """The epoch that counts."""
    epoch_start_s: Seconds = 0.0
    """When it begins, in seconds since the run began."""
    is_staged: bool = False
    """Whether counters are kept by stage as well."""
    names: CountersByName = field(default_factory=dict)
    """What counts, by request name."""
    left_out: CountersByName = field(default_factory=dict)
    """What was intended in earlier epochs; it is in no metric."""
    stages: dict[Count, CountersByName] = field(default_factory=dict)
    """What counts, by stage and request name."""
    workers: dict[Text, WorkerRecord] = field(default_factory=dict)
    possible_duplicates: Count = 0
    """Arrivals that two workers may have sent."""
    others: OtherCounts = field(default_factory=OtherCounts)
    """What is in Locust's tables only."""
    stale_reports: Count = 0
    """Reports of other runs."""
    series: WireSeries = field(default_factory=IntervalSeries)
    """What counts, over time."""
    seconds: WireSeconds = field(default_factory=SecondSeries)
    """All that ended by second, of all epochs."""
    version: Annotated[int, Field(ge=STATE_VERSION, le=STATE_VERSION)] = STATE_VERSION

    def __post_init__(self) -> None:
        self._begin()

    def expect(self, worker: str) -> None:
        """Expect a worker's final snapshot: the totals are not complete without it."""
        self.workers.setdefault(worker, WorkerRecord())

    def start_epoch(self, start_s: float) -> None:
        """Count only requests intended after this instant: a warm-up ends then, or a reset was made."""
        self.settle()
        self.epoch += 1
        self.epoch_start_s = start_s
        add_counters(self.left_out, self.names)
        self.names, self.stages, self.series = {}, {}, IntervalSeries(self.series.width_s)
        self.others = OtherCounts()
        for record in self.workers.values():
            record.sent = record.succeeded = record.failed = record.abandoned = 0

    def apply(self, snapshot: Snapshot) -> Applied:
        """Count a snapshot unless it was counted before or belongs to another run."""
        if snapshot.run_id != self.run_id:
            self.stale_reports += 1
            return Applied.STALE
        record = self.workers.get(snapshot.worker, WorkerRecord())
        sequence = snapshot.sequence
        self._check(snapshot, record)
        self.workers[snapshot.worker] = record
        if sequence >= record.next_sequence:
            record.missing.extend(range(record.next_sequence, sequence))
            record.next_sequence = sequence + 1
            record.note_latest(snapshot)
        elif sequence in record.missing:
            record.missing.remove(sequence)
        else:
            record.duplicates += 1
            return Applied.DUPLICATE
        self._count(record, snapshot)
        return Applied.COUNTED

    def _check(self, snapshot: Snapshot, record: WorkerRecord) -> None:
        if snapshot.sequence - record.next_sequence > MAX_SEQUENCE_JUMP:
            raise ProtocolError(
                f"worker {snapshot.worker!r} sent snapshot {snapshot.sequence} after {record.next_sequence - 1}",
                expected=f"a sequence number at most {MAX_SEQUENCE_JUMP} above the last",
            )
        if snapshot.newest_epoch > self.epoch:
            raise ProtocolError(
                f"worker {snapshot.worker!r} reported of epoch {snapshot.newest_epoch}",
                expected=f"at most epoch {self.epoch}",
            )

    def _count(self, record: WorkerRecord, snapshot: Snapshot) -> None:
        record.note_counted(snapshot)
        if snapshot.newest_epoch >= self.epoch:
            self.others = self.others.plus(snapshot.others)
        self.seconds.add(snapshot.seconds)
        self.possible_duplicates += snapshot.possible_duplicates
        for part in snapshot.slices:
            if part.epoch >= self.epoch:
                record.count(part.names.values())
            if self.waiting.add(Part(snapshot.worker, snapshot.users, part)) or not self.may_wait:
                self.settle()

    def settle(self) -> None:
        """Add up what waits; whoever reads a sum need not ask for it."""
        if self.waiting.parts:
            for place, parts in self.waiting.take(self._place_of).items():
                self._add_up(place, parts)

    def settle_for_good(self) -> None:
        """From now on nothing waits: the sums are read in another thread."""
        self._end_waiting()
        self.settle()

    def _place_of(self, part: Slice) -> Place:
        is_left_out = part.epoch < self.epoch
        return Place(is_left_out, 0 if is_left_out else self.series.slot_of(part), part.stage if self.is_staged else 0)

    def _add_up(self, place: Place, parts: list[Part]) -> None:
        names = sum_of(parts)
        if place.is_left_out:
            add_counters(self.left_out, names)
            return
        add_counters(self.names, names)
        if self.is_staged and names:
            add_counters(self.stages.setdefault(place.stage, {}), names)
        covered = [(part.worker, part.counted.end_s - part.counted.start_s, part.users) for part in parts]
        self.series.add_sum(place.slot, names, covered)

    @property
    def is_complete(self) -> bool:
        """True with at least one worker when every snapshot of every worker is in."""
        return bool(self.workers) and all(record.is_complete for record in self.workers.values())

    def incomplete_workers(self) -> dict[str, str]:
        """Return the missing reports of each incomplete worker, in words."""
        return {worker: record.missing_reports for worker, record in self.workers.items() if not record.is_complete}

    def is_complete_for(self, worker: str) -> bool:
        """Return whether the worker's final snapshot and every one before it are in."""
        record = self.workers.get(worker)
        return record is not None and record.is_complete

    def has_counted(self, worker: str, sequence: int) -> bool:
        """Return whether this snapshot of the worker is in."""
        record = self.workers.get(worker)
        return record is not None and sequence < record.next_sequence and sequence not in record.missing

    def has_workers(self) -> bool:
        """True when some worker takes part."""
        return bool(self.workers)

    def arrivals_accounted(self) -> int:
        """Arrivals of an open load that were sent or dropped, in all epochs."""
        counters = [one for names in (self.names, self.left_out) for one in names.values()]
        return sum(one.sent + one.dropped for one in counters) - self.possible_duplicates

    @property
    def duplicates(self) -> int:
        """Reports that came more than once and were counted once."""
        return sum(record.duplicates for record in self.workers.values())

    @property
    def duration_s(self) -> float:
        """The time from the first report, or the begin of the epoch, to the last one; 0 before any."""
        starts = [record.start_s for record in self.workers.values() if record.start_s is not None]
        if not starts:
            return 0.0
        end_s = max(record.end_s for record in self.workers.values())
        return max(0.0, end_s - max(self.epoch_start_s, min(starts)))

    @property
    def has_connected(self) -> bool:
        """True when some worker has opened a connection to the server, in any epoch."""
        return any(counters.connects for names in (self.names, self.left_out) for counters in names.values())

    def unaccounted(self, wanted: int) -> int:
        """Return how many of the scheduled arrivals no worker reported; possible duplicates hide none."""
        known = sum(counters.sent + counters.dropped for counters in self.names.values())
        return max(0, wanted - known + self.possible_duplicates)

    def reported_until_s(self) -> float:
        """The instant until which every worker has reported; later requests may be known in part."""
        ends = [record.end_s for record in self.workers.values() if record.final_sequence is None]
        return min(ends) if ends else 0.0

    def total(self) -> RequestCounters:
        """All request names together."""
        return merge_counters(self.names.values())

    def to_state(self) -> Document:
        """A dict that msgpack can carry, for the master to write at every report."""
        state: Document = _TOTALS.dump_python(self)
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


class _Settled:
    """A field of sums, which whoever reads it finds complete."""

    def __init__(self, slot: Any) -> None:
        self._slot = slot

    def __get__(self, totals: SwarmTotals | None, kind: type) -> Any:
        if totals is None:
            return self
        totals.settle()
        return self._slot.__get__(totals, kind)

    def __set__(self, totals: SwarmTotals, value: Any) -> None:
        self._slot.__set__(totals, value)


for _name in ("names", "left_out", "stages", "series"):
    setattr(SwarmTotals, _name, _Settled(getattr(SwarmTotals, _name)))
_TOTALS = TypeAdapter(SwarmTotals)
