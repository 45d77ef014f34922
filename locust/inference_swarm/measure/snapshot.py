"""What a worker reports: counts and histograms of one interval by request name, and how well the worker itself ran.

Travels under one key of Locust's stats message, is read strictly, and is all that the master learns about requests.
Knows no clock, socket or Locust. docs/protocol.md has the fields for readers of other languages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field, InstanceOf, PlainSerializer, TypeAdapter, ValidationError

from inference_swarm.errors import ProtocolError
from inference_swarm.measure.histogram import Histogram

SNAPSHOT_KEY = "inference_swarm"
SNAPSHOT_VERSION: Final = 1
MOST_NAMES = 1000
MOST_ERROR_KINDS = 200

Count = Annotated[int, Field(strict=True, ge=0, le=1 << 62)]
Figure = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(strict=True, ge=0, le=1e9, allow_inf_nan=False)]
Text = Annotated[str, Field(strict=True, min_length=1, max_length=400)]


def _read_histogram(value: object) -> Histogram:
    if isinstance(value, Histogram):
        return value
    try:
        return Histogram.from_wire(value)
    except ProtocolError as error:
        raise ValueError(str(error)) from error


WireHistogram = Annotated[InstanceOf[Histogram], BeforeValidator(_read_histogram), PlainSerializer(Histogram.to_wire)]


@dataclass(slots=True)
class RequestTally:
    """Counts and times of one request name; the times of failed requests are in them, as in Locust's table."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    sent: Count = 0
    succeeded: Count = 0
    failed: Annotated[dict[Text, Count], Field(max_length=MOST_ERROR_KINDS)] = field(default_factory=dict)
    late: Count = 0
    dropped: Count = 0
    request_bytes: Count = 0
    answer_bytes: Count = 0
    connects: Count = 0
    latency: WireHistogram = field(default_factory=Histogram)
    service: WireHistogram = field(default_factory=Histogram)

    @property
    def failures(self) -> int:
        return sum(self.failed.values())

    @property
    def ended(self) -> int:
        """Requests with an outcome; `sent` minus these are still in flight."""
        return self.succeeded + self.failures

    def count_failure(self, kind: str, count: int = 1) -> None:
        """Count failed requests under their error kind."""
        self.failed[kind] = self.failed.get(kind, 0) + count

    def add(self, other: RequestTally) -> None:
        """Merge another tally into this one; exact in any order."""
        self.sent += other.sent
        self.succeeded += other.succeeded
        for kind, count in other.failed.items():
            self.count_failure(kind, count)
        self.late += other.late
        self.dropped += other.dropped
        self.request_bytes += other.request_bytes
        self.answer_bytes += other.answer_bytes
        self.connects += other.connects
        self.latency.add(other.latency)
        self.service.add(other.service)


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """How the load generator itself fared in an interval; None where platform or load mode has no such figure."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    loop_lag_max_ms: Figure | None = None
    loop_lag_p99_ms: Figure | None = None
    scheduling_lag_max_ms: Figure | None = None
    scheduling_lag_p99_ms: Figure | None = None
    cpu_percent: Figure | None = None
    open_files: Count | None = None
    open_files_limit: Count | None = None
    ports_exhausted: Count = 0
    files_exhausted: Count = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One report of one worker: `start_s` and `end_s` in seconds since the run began, `sequence` from 0 in each run."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    run_id: Text
    worker: Text
    sequence: Count
    start_s: Seconds
    end_s: Seconds
    names: Annotated[dict[Text, RequestTally], Field(max_length=MOST_NAMES)] = field(default_factory=dict)
    health: WorkerHealth = field(default_factory=WorkerHealth)
    users: Count = 0
    is_final: Annotated[bool, Field(strict=True)] = False
    version: Literal[1] = SNAPSHOT_VERSION

    def to_wire(self) -> dict[str, Any]:
        """A dict that msgpack can carry."""
        wire: dict[str, Any] = _SNAPSHOT.dump_python(self)
        return wire

    @classmethod
    def from_wire(cls, wire: object) -> Snapshot:
        """Read a worker's dict; raises ProtocolError that names every field that is wrong."""
        if isinstance(wire, dict) and wire.get("version") != SNAPSHOT_VERSION:
            raise ProtocolError(
                f"snapshot of version {wire.get('version')!r} from worker {str(wire.get('worker'))[:80]!r}",
                expected=f"version {SNAPSHOT_VERSION}",
                action="run the same release of inference-swarm on master and workers",
            )
        try:
            snapshot = _SNAPSHOT.validate_python(wire)
        except ValidationError as error:
            raise ProtocolError(
                f"snapshot that cannot be used: {describe_problems(error)}", expected="a dict made by Snapshot.to_wire"
            ) from error
        if snapshot.end_s < snapshot.start_s:
            raise ProtocolError(
                f"snapshot of worker {snapshot.worker!r} ends at {snapshot.end_s} s and starts at {snapshot.start_s} s",
                expected="an end after its start",
            )
        return snapshot


_SNAPSHOT = TypeAdapter(Snapshot)
_TALLIES = TypeAdapter(dict[Text, RequestTally])


def write_tallies(tallies: Mapping[str, RequestTally]) -> dict[str, Any]:
    """Tallies by name as a dict that msgpack can carry."""
    wire: dict[str, Any] = _TALLIES.dump_python(dict(tallies))
    return wire


def read_tallies(wire: object) -> dict[str, RequestTally]:
    """Read what `write_tallies` wrote; raises ProtocolError."""
    try:
        return _TALLIES.validate_python(wire)
    except ValidationError as error:
        raise ProtocolError(f"tallies that cannot be used: {describe_problems(error)}") from error


def merge_tallies(tallies: Iterable[RequestTally]) -> RequestTally:
    """All of them as one new tally."""
    total = RequestTally()
    for tally in tallies:
        total.add(tally)
    return total


def describe_problems(error: ValidationError, limit: int = 5) -> str:
    """The first few problems, each with the path of its field; values stay out, they may be large."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    words = []
    for problem in problems[:limit]:
        path = ".".join(str(part)[:60] for part in problem["loc"]) or "message"
        words.append(f"{path}: {' '.join(problem['msg'].split())}")
    more = f" and {len(problems) - limit} more" if len(problems) > limit else ""
    return "; ".join(words) + more
