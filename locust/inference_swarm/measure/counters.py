"""Counts of one request name: successes and failures, each with their own times, and all that has no outcome.

Every attempt is in exactly one of `succeeded`, `failed` and `abandoned`; an arrival that was never sent is `dropped`.
Adding is exact and, except for the kept examples beyond MAX_FAILURES, independent of the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from inference_swarm.config.documents import Document
from inference_swarm.errors import ProtocolError
from inference_swarm.measure.answers import AnswerCounters
from inference_swarm.measure.histogram import Histogram
from inference_swarm.measure.wire_types import (
    MAX_EXAMPLE_ROWS,
    Count,
    OptionalText,
    Seconds,
    Text,
    WireHistogram,
    cut_text,
    describe_problems,
)

MAX_NAMES: Final = 1000
MAX_FAILURES: Final = 200
MAX_ADDRESSES: Final = 200
OTHER_NAMES: Final = "(other names)"
OTHER_FAILURES: Final = "other failures"


@dataclass(slots=True)
class FailureRecord:
    """Failed attempts with the same error text; instants are in seconds since the run began."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    kind: Text
    """The phase in which they failed, as `transport.outcome.ErrorKind` names it."""
    count: Count = 0
    first_s: Seconds = 0.0
    """When the first of them ended."""
    last_s: Seconds = 0.0
    status: Count = 0
    """HTTP status, 0 where there was none."""
    explanation: OptionalText = ""
    """The first words of an example's response body."""
    rows: Annotated[list[Count], Field(max_length=MAX_EXAMPLE_ROWS)] = field(default_factory=list)
    """The positions of an example's rows in the dataset, where they are known, in the order of its request; of more
    than MAX_EXAMPLE_ROWS the first."""
    row_count: Count = 0
    """The number of rows in that example."""

    def add(self, other: FailureRecord) -> None:
        """Merge another record of the same text; the example is the smallest of those that say most."""
        if other.count:
            self.first_s = min(self.first_s, other.first_s) if self.count else other.first_s
            self.last_s = max(self.last_s, other.last_s)
        self.count += other.count
        self.status = max(self.status, other.status)
        example = min(self, other, key=_example_order)
        self.explanation, self.rows, self.row_count = example.explanation, example.rows, example.row_count


def _example_order(record: FailureRecord) -> tuple[bool, bool, str, list[int], int]:
    return not record.explanation, not record.rows, record.explanation, record.rows, record.row_count


@dataclass(slots=True)
class AddressCounters:
    """Counts of one address of the server's name; `latency` is of its successes."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    requests: Count = 0
    failures: Count = 0
    latency: WireHistogram = field(default_factory=Histogram)

    def add(self, other: AddressCounters) -> None:
        """Merge another address's counters into this one."""
        self.requests += other.requests
        self.failures += other.failures
        self.latency.add(other.latency)


@dataclass(slots=True)
class RequestCounters:
    """Counts and times of one request name. Times of failures are apart from those of successes."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    succeeded: Count = 0
    failed: Annotated[dict[Text, FailureRecord], Field(max_length=MAX_FAILURES + 1)] = field(default_factory=dict)
    """By error text."""
    abandoned: Count = 0
    """Attempts in flight when their user was stopped for good: sent, and without an outcome."""
    dropped: Count = 0
    """Arrivals of an open load that were never sent."""
    late: Count = 0
    """Attempts of an open load that were sent later than `--late-after`."""
    rows: Count = 0
    """Rows of the requests that ended, well or not."""
    rows_after: Count = 0
    """Of `rows`, those of requests that ended after the load."""
    succeeded_after: Count = 0
    """Of `succeeded`, those that ended after the load: they are in no rate."""
    failed_after: Count = 0
    """Of `failed`, those that ended after the load."""
    response_bytes: Count = 0
    """Bodies of responses."""
    connects: Count = 0
    """Connections opened."""
    stale_connections: Count = 0
    """Requests sent again because the server had closed the idle connection before it could have read them."""
    first_intended_s: Seconds | None = None
    """The intended instant of the first attempt that ended, in seconds since the run began."""
    last_done_s: Seconds | None = None
    """When the last attempt ended."""
    latency: WireHistogram = field(default_factory=Histogram)
    """From the intended instant, of successes."""
    service: WireHistogram = field(default_factory=Histogram)
    """From the send, of successes."""
    failed_latency: WireHistogram = field(default_factory=Histogram)
    failed_service: WireHistogram = field(default_factory=Histogram)
    addresses: Annotated[dict[Text, AddressCounters], Field(max_length=MAX_ADDRESSES)] = field(default_factory=dict)
    """What each address of the server got."""
    answers: AnswerCounters | None = None
    """Of requests whose answers were looked at; None: nobody looked."""

    @property
    def failures(self) -> int:
        return sum(record.count for record in self.failed.values())

    @property
    def failed_by_kind(self) -> dict[str, int]:
        """The number of failures by phase."""
        kinds: dict[str, int] = {}
        for record in self.failed.values():
            kinds[record.kind] = kinds.get(record.kind, 0) + record.count
        return kinds

    @property
    def ended(self) -> int:
        """Attempts with an outcome of their own."""
        return self.succeeded + self.failures

    @property
    def ended_in_time(self) -> int:
        """Attempts that ended before the load did; what a rate counts."""
        return self.ended - self.succeeded_after - self.failed_after

    @property
    def rows_in_time(self) -> int:
        """Rows of the requests that ended before the load did."""
        return self.rows - self.rows_after

    @property
    def succeeded_in_time(self) -> int:
        return self.succeeded - self.succeeded_after

    @property
    def sent(self) -> int:
        """Attempts that were begun and are not in flight any more."""
        return self.ended + self.abandoned

    @property
    def unserved(self) -> int:
        """Everything that was asked for and did not succeed."""
        return self.failures + self.abandoned + self.dropped

    @property
    def sending_s(self) -> float | None:
        """From the first attempt's intended instant to the end of the last one; None without any."""
        if self.first_intended_s is None or self.last_done_s is None:
            return None
        return max(1e-6, self.last_done_s - self.first_intended_s)

    def count_failure(self, text: str, record: FailureRecord) -> None:
        """Add failed attempts under their error text; beyond MAX_FAILURES texts, under a common one."""
        known = self.failed.get(text)
        if known is None:
            text = cut_text(text)
            if len(self.failed) >= MAX_FAILURES and text not in self.failed:
                text = OTHER_FAILURES
            known = self.failed.setdefault(text, FailureRecord(record.kind))
        known.add(record)

    def count_at(self, address: str, counters: AddressCounters) -> None:
        """Add the counts of one address; beyond MAX_ADDRESSES addresses they are in none."""
        if address in self.addresses or len(self.addresses) < MAX_ADDRESSES:
            self.addresses.setdefault(address, AddressCounters()).add(counters)

    def note_span(self, first_intended_s: float, last_done_s: float) -> None:
        """Widen the time in which attempts were made."""
        known_first_s, known_last_s = self.first_intended_s, self.last_done_s
        self.first_intended_s = first_intended_s if known_first_s is None else min(known_first_s, first_intended_s)
        self.last_done_s = last_done_s if known_last_s is None else max(known_last_s, last_done_s)

    def add(self, other: RequestCounters) -> None:
        """Merge other counters into these."""
        for text, record in other.failed.items():
            self.count_failure(text, record)
        self.succeeded += other.succeeded
        self.abandoned += other.abandoned
        self.dropped += other.dropped
        self.late += other.late
        self.rows += other.rows
        self.rows_after += other.rows_after
        self.succeeded_after += other.succeeded_after
        self.failed_after += other.failed_after
        self.response_bytes += other.response_bytes
        self.connects += other.connects
        self.stale_connections += other.stale_connections
        if other.first_intended_s is not None and other.last_done_s is not None:
            self.note_span(other.first_intended_s, other.last_done_s)
        self.latency.add(other.latency)
        self.service.add(other.service)
        self.failed_latency.add(other.failed_latency)
        self.failed_service.add(other.failed_service)
        for address, counters in other.addresses.items():
            self.count_at(address, counters)
        if other.answers is not None:
            self.count_answers().add(other.answers)

    def histograms(self) -> list[Histogram]:
        """All of them, those of addresses too."""
        whole = [self.latency, self.service, self.failed_latency, self.failed_service]
        return whole + [one.latency for one in self.addresses.values()]

    def count_answers(self) -> AnswerCounters:
        """Return the counters of answers, made when there were none."""
        if self.answers is None:
            self.answers = AnswerCounters()
        return self.answers


_BY_NAME = TypeAdapter(Annotated[dict[Text, RequestCounters], Field(max_length=MAX_NAMES + 1)])


def counters_of(counters: dict[str, RequestCounters], name: str) -> RequestCounters:
    """Return the counters of a request name, made when it is new; beyond MAX_NAMES names, those of all others."""
    known = counters.get(name)
    if known is None:
        name = cut_text(name) or "(no name)"
        if len(counters) >= MAX_NAMES and name not in counters:
            name = OTHER_NAMES
        known = counters.setdefault(name, RequestCounters())
    return known


def add_counters(counters: dict[str, RequestCounters], others: Mapping[str, RequestCounters]) -> None:
    """Merge counters by request name into others."""
    for name, other in others.items():
        counters_of(counters, name).add(other)


def merge_counters(counters: Iterable[RequestCounters]) -> RequestCounters:
    """Return the sum as new counters."""
    total = RequestCounters()
    for one in counters:
        total.add(one)
    return total


def write_counters(counters: Mapping[str, RequestCounters]) -> Document:
    """Counters by name as a dict that msgpack can carry."""
    wire: Document = _BY_NAME.dump_python(dict(counters))
    return wire


def read_counters(wire: object) -> dict[str, RequestCounters]:
    """Read what `write_counters` wrote; raises ProtocolError."""
    try:
        return _BY_NAME.validate_python(wire)
    except ValidationError as error:
        raise ProtocolError(f"counters that cannot be used: {describe_problems(error)}") from error
