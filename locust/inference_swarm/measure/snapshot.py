"""A worker's report: counters of one interval by request name, and the health of the worker itself.

Travels under one key of Locust's stats message, is read strictly, and is all that the master learns about requests.
The counters stand in slices with instants of their own, each of one phase (`measure.phases`) and at most a few seconds
long, so that the report of a worker that was stopped for a while does not put all its requests into one interval.
Knows no clock, socket or Locust. docs/protocol.md has the fields for readers of other languages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from inference_swarm.config.documents import Document
from inference_swarm.errors import ProtocolError
from inference_swarm.measure.counters import MAX_NAMES, RequestCounters, add_counters
from inference_swarm.measure.histogram_batch import HistogramWriter, read_histograms
from inference_swarm.measure.phases import NS_PER_S, Phase
from inference_swarm.measure.seconds import SecondCounts
from inference_swarm.measure.wire_types import Count, Metric, Seconds, Text, describe_problems

SNAPSHOT_KEY = "inference_swarm"
SNAPSHOT_VERSION: Final = 5
MAX_SLICES: Final = 4000
MAX_PHASE: Final = 100_000
MAX_RECORDED_BYTES: Final = 14 << 20


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """The health of the load generator in an interval; None where platform or load mode has no such metric."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    loop_lag_max_ms: Metric | None = None
    loop_lag_p99_ms: Metric | None = None
    scheduling_lag_max_ms: Metric | None = None
    scheduling_lag_p99_ms: Metric | None = None
    cpu_percent: Metric | None = None
    open_files: Count | None = None
    open_files_limit: Count | None = None
    ports_exhausted: Count = 0
    files_exhausted: Count = 0


@dataclass(frozen=True, slots=True)
class OtherCounts:
    """What is in Locust's tables only: requests of users that are no InferenceUsers, and what any user raised."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    requests: Count = 0
    failures: Count = 0
    """Of these requests."""
    exceptions: Count = 0

    def plus(self, other: OtherCounts) -> OtherCounts:
        """Return the sums."""
        return OtherCounts(
            self.requests + other.requests, self.failures + other.failures, self.exceptions + other.exceptions
        )


@dataclass(frozen=True, slots=True)
class Slice:
    """The counters of one phase in one stretch of time; `start_s` and `end_s` in seconds since the run began."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    start_s: Seconds
    end_s: Seconds
    names: Annotated[dict[Text, RequestCounters], Field(max_length=MAX_NAMES + 1)] = field(default_factory=dict)
    epoch: Annotated[int, Field(strict=True, ge=0, le=MAX_PHASE)] = 0
    """Of what counts: `measure.phases`."""
    stage: Annotated[int, Field(strict=True, ge=0, le=MAX_PHASE)] = 0


def slice_of(start_ns: int, end_ns: int, phase: Phase, names: dict[str, RequestCounters]) -> Slice:
    """Make a slice of instants in ns since the run began."""
    return Slice(max(0, start_ns) / NS_PER_S, max(0, end_ns) / NS_PER_S, names, phase.epoch, phase.stage)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One report of one worker: `start_s` and `end_s` in seconds since the run began, `sequence` from 0 in each run."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    run_id: Text
    worker: Text
    sequence: Count
    start_s: Seconds
    end_s: Seconds
    slices: Annotated[list[Slice], Field(max_length=MAX_SLICES)] = field(default_factory=list)
    seconds: Annotated[list[SecondCounts], Field(max_length=1 << 20)] = field(default_factory=list)
    """Requests of all names and phases by the second in which they ended."""
    health: WorkerHealth = field(default_factory=WorkerHealth)
    users: Count = 0
    in_flight: Count = 0
    """Requests under way at its end, and arrivals that are due and wait for a user."""
    user_seconds: Metric = 0.0
    """Users times the seconds they ran."""
    possible_duplicates: Count = 0
    """Arrivals that another worker may have sent as well."""
    others: OtherCounts = field(default_factory=OtherCounts)
    recorded: Annotated[bytes, Field(strict=True, max_length=MAX_RECORDED_BYTES)] = b""
    """Answers that were recorded, as `measure.recorded` packs them."""
    is_final: Annotated[bool, Field(strict=True)] = False
    version: Literal[5] = SNAPSHOT_VERSION

    @property
    def ended(self) -> int:
        """Requests with an outcome, whatever it is."""
        return sum(counters.sent for part in self.slices for counters in part.names.values())

    @property
    def newest_epoch(self) -> int:
        """The newest epoch of which it holds a part."""
        return max((part.epoch for part in self.slices), default=0)

    def names(self) -> dict[str, RequestCounters]:
        """The counters of all slices together, by request name."""
        merged: dict[str, RequestCounters] = {}
        for one in self.slices:
            add_counters(merged, one.names)
        return merged

    def to_wire(self) -> Document:
        """A dict that msgpack can carry; of counters what is not as in new ones, and all histograms in one piece."""
        histograms = HistogramWriter()
        wire: Document = _SNAPSHOT.dump_python(self, context=histograms)
        for part in wire["slices"]:
            part["names"] = {name: _without_defaults(counters) for name, counters in part["names"].items()}
        return {**wire, "histograms": histograms.to_wire()}

    @classmethod
    def from_wire(cls, wire: object) -> Snapshot:
        """Read a worker's dict; raises ProtocolError that names every field that is wrong."""
        if not isinstance(wire, dict):
            raise ProtocolError(f"a snapshot is a {type(wire).__name__}", expected="a dict made by Snapshot.to_wire")
        if wire.get("version") != SNAPSHOT_VERSION:
            raise ProtocolError(
                f"snapshot of version {wire.get('version')!r} from worker {str(wire.get('worker'))[:80]!r}",
                expected=f"version {SNAPSHOT_VERSION}",
                action="run the same release of inference-swarm on master and workers",
            )
        histograms = read_histograms(wire.get("histograms"))
        plain = {name: value for name, value in wire.items() if name != "histograms"}
        try:
            snapshot = _SNAPSHOT.validate_python(plain, context=histograms)
        except ValidationError as error:
            raise ProtocolError(
                f"snapshot that cannot be used: {describe_problems(error)}", expected="a dict made by Snapshot.to_wire"
            ) from error
        spans = [(snapshot.start_s, snapshot.end_s), *((part.start_s, part.end_s) for part in snapshot.slices)]
        for start_s, end_s in spans:
            if end_s < start_s:
                raise ProtocolError(
                    f"snapshot of worker {snapshot.worker!r} ends at {end_s} s and starts at {start_s} s",
                    expected="an end after its start",
                )
        return snapshot


_SNAPSHOT = TypeAdapter(Snapshot)
_NEW: Document = TypeAdapter(RequestCounters).dump_python(RequestCounters(), context=HistogramWriter())


def _without_defaults(counters: Document) -> Document:
    return {name: value for name, value in counters.items() if value != _NEW[name]}


def whole_snapshot(
    run_id: str, worker: str, sequence: int, start_s: float, end_s: float, names: dict[str, RequestCounters],
    health: WorkerHealth | None = None, users: int = 0, is_final: bool = False,
) -> Snapshot:  # fmt: skip
    """Make a snapshot of one slice, from counters of a whole interval."""
    return Snapshot(
        run_id,
        worker,
        sequence,
        start_s,
        end_s,
        [Slice(start_s, end_s, names)],
        health=health or WorkerHealth(),
        users=users,
        is_final=is_final,
    )
