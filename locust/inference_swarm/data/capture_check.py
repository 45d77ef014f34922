"""Records of a capture in, how many of them can be sent out, and why the others cannot. Pure.

DataError names the record that is wrong.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from inference_swarm.data.capture_formats import (
    ERROR_CODES,
    SAMPLING,
    STATUS,
    BadRecord,
    Captured,
    CaptureFormat,
)
from inference_swarm.data.instants import BadInstant, read_times
from inference_swarm.errors import DataError

Where = Callable[[int], str]
"""The place of a record in its file, in words, by its position among those at hand."""
_OK: Final = "200"
# RFC 9110: a field value has visible characters, and spaces and tabs between them.
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?")
_MAX_NAMED: Final = 5


@dataclass(slots=True)
class Tally:
    """What the records of some files are."""

    records: int = 0
    without_body: int = 0
    error_codes: Counter[str] = field(default_factory=Counter)
    """What the capture says about why it has no body."""
    statuses: Counter[str] = field(default_factory=Counter)
    """Of those that are sent: what they were answered with, if not with 200."""
    least_sampling: float = 1.0

    def add(self, other: Tally) -> None:
        """Count the records of another file as well."""
        self.records += other.records
        self.without_body += other.without_body
        self.error_codes += other.error_codes
        self.statuses += other.statuses
        self.least_sampling = min(self.least_sampling, other.least_sampling)

    def notes(self, shown: str) -> tuple[str, ...]:
        """Return what a user must know before the run."""
        lines = []
        if self.without_body:
            why = f" ({_counts(self.error_codes)})" if self.error_codes else ""
            lines.append(
                f"{shown}: not sent: {self.without_body:,} of {self.records:,} recorded requests, whose bodies the "
                f"capture does not have{why}"
            )
        if self.statuses:
            lines.append(
                f"{shown}: sent although their recorded status is not 200: {sum(self.statuses.values()):,} of "
                f"{self.records - self.without_body:,} requests ({_counts(self.statuses)})"
            )
        if self.least_sampling < 1:
            lines.append(
                f"{shown}: the capture is a sample ({SAMPLING} {self.least_sampling:g}): the rate was higher than what "
                "is recorded"
            )
        return tuple(lines)


def lines_at(numbers: Sequence[int]) -> Where:
    """Return the places of lines with these numbers."""
    return lambda place: f"line {numbers[place]}"


def rows_from(first: int) -> Where:
    """Return the places of rows from this one on."""
    return lambda place: f"row {first + place}"


def inside(group: int) -> Where:
    """Return the place of all of a row group, whose rows are not counted from the begin of their file."""
    return lambda _: f"row group {group}"


def read_records(capture: CaptureFormat, batch: pa.RecordBatch, instant: str | None, shown: str, at: Where) -> Captured:
    """Return the requests of records. Raises DataError."""
    try:
        return capture.read(batch, instant)
    except BadRecord as bad:
        raise bad_record(shown, at(bad.place), bad.found, bad.expected) from bad


def count_records(
    capture: CaptureFormat, batch: pa.RecordBatch, instant: str, shown: str, at: Where
) -> tuple[int, Tally]:
    """Return how many of some records can be sent, and what the others are. Raises DataError."""
    captured = read_records(capture, batch, instant, shown, at)
    kept = pc.is_valid(captured.bodies)
    places: list[int] = pc.indices_nonzero(kept).to_pylist()
    assert captured.instants is not None
    if places:
        _check_instants(captured.instants.filter(kept), instant, shown, lambda number: at(places[number]))
    for value in pc.unique(captured.content_types.filter(kept)).to_pylist():
        if value is not None and not _HEADER_VALUE.fullmatch(value):
            place = pc.index(captured.content_types, value).as_py()
            raise bad_record(shown, at(place), f"the content type is {value[:60]!r}", "one such as text/csv")
    tally = Tally(len(batch), len(batch) - len(places))
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    if (codes := columns.get(ERROR_CODES)) is not None and pa.types.is_list(codes.type):
        tally.error_codes = Counter(map(str, codes.filter(pc.invert(kept)).flatten().to_pylist()))
    if (statuses := columns.get(STATUS)) is not None:
        tally.statuses = Counter(map(_status, statuses.filter(kept).drop_null().to_pylist()))
        del tally.statuses[_OK]
    if (shares := columns.get(SAMPLING)) is not None and _is_number(shares.type):
        tally.least_sampling = min([1.0, *map(float, shares.drop_null().to_pylist())])
    return len(places), tally


def bad_record(shown: str, place: str, found: str, expected: str) -> DataError:
    """Return the error for a record that cannot be taken as one."""
    return DataError(
        f"{shown}, {place}: {found}.", expected=f"{expected}.", action="correct the record, or leave it out."
    )


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _status(value: object) -> str:
    """Return a status as text; whole numbers beside empty cells are written as 200.0."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _check_instants(instants: pa.Array, name: str, shown: str, at: Where) -> None:
    try:
        read_times(pa.chunked_array([instants]))
    except BadInstant as bad:
        expected = "a timestamp, ISO 8601, or a number of s, ms, µs or ns"
        raise bad_record(shown, at(bad.place), f"{name} has no instant: {bad.found}", expected) from bad


def _counts(counts: Counter[str]) -> str:
    named = ", ".join(f"{name}: {count:,}" for name, count in counts.most_common(_MAX_NAMED))
    return named if len(counts) <= _MAX_NAMED else f"{named} and others"
