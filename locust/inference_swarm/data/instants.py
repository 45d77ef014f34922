"""Columns with the instant of each row in, ns since 1970 out: timestamps, texts, and numbers of any epoch unit. Pure.

A time without a zone is taken for UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from inference_swarm.errors import DataError

Nanoseconds = npt.NDArray[np.int64]
Times = npt.NDArray[Any]
"""int64 in ns since 1970, or numbers (int64 or float64) whose unit is not known yet."""
NS_PER_S: Final = 1_000_000_000
# Seconds since 1970 stay below the first until the year 5138, and so on.
_UNITS: Final = ((1e11, NS_PER_S, "s"), (1e14, 1_000_000, "ms"), (1e17, 1000, "µs"))
_EXPECTED: Final = (
    "a timestamp or a date, text in ISO 8601 such as 2024-05-01T12:00:00.250+02:00, or a number of s, ms, µs or ns"
)
_TOO_FAR: Final = "which does not fit into 64 bits of ns since 1970"
_LIMIT: Final = 2.0**63
_HAS_ZONE: Final = r"([Zz]|[+-]\d\d(:?\d\d)?)$"


class BadInstant(ValueError):
    """A value that is no instant: its position in the column, and what is wrong with it."""

    def __init__(self, place: int, found: str) -> None:
        super().__init__(found)
        self.place = place
        self.found = found


def check_time_type(name: str, kind: pa.DataType, shown: str = "") -> None:
    """Raise DataError for a type that cannot hold an instant; `shown` is the file that has it."""
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not (is_number or is_text or pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        raise DataError(
            f"{f'{shown}: the column' if shown else '--time-column'} {name!r} has the type {kind}, which is no time.",
            expected=f"{_EXPECTED}.",
            action="name the column with the instants, or convert it.",
        )


def read_times(column: pa.ChunkedArray) -> Times:
    """Return a part of a column: ns since 1970, or numbers whose unit only the whole shows. Raises BadInstant."""
    if column.null_count:
        place = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise BadInstant(place, "it is empty")
    kind = column.type
    if pa.types.is_dictionary(kind):
        return read_times(column.cast(kind.value_type))
    if pa.types.is_string_view(kind):
        return read_times(column.cast(pa.large_string()))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _read_texts(column)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _to_ns(column)
    if pa.types.is_integer(kind):
        integers = column.to_numpy()
        if integers.dtype == np.uint64:
            _check_size(integers, 1)
        values: npt.NDArray[np.int64] = integers.astype(np.int64)
        return values
    return _finite(column.cast(pa.float64(), safe=False).to_numpy())


def join_times(parts: Sequence[Times], kind: pa.DataType) -> Nanoseconds:
    """Return ns since 1970 of a column whose parts `read_times` has read; numbers have the unit of the largest.

    Raises BadInstant, with the position in the whole column.
    """
    values: Times = np.concatenate(parts)
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    is_numeric_text = values.dtype == np.float64
    if not (is_number or is_numeric_text):
        return values.astype(np.int64)
    largest = _largest(values)
    factor = next((factor for below, factor, _ in _UNITS if largest < below), 1)
    if factor > 1:
        _check_size(values, factor)
    if values.dtype == np.int64:
        return values * factor
    whole = np.floor(values)  # a product of the whole number would lose some hundred ns
    nanoseconds: Nanoseconds = whole.astype(np.int64) * factor + np.rint((values - whole) * factor).astype(np.int64)
    return nanoseconds


def spread_seconds(instants: Nanoseconds) -> tuple[Nanoseconds, bool]:
    """Return instants of whole seconds with those of each second spread evenly over it, and whether that was done."""
    if instants.size < 2 or bool((instants % NS_PER_S).any()):
        return instants, False
    order = np.argsort(instants, kind="stable")
    _, begins, counts = np.unique(instants[order], return_index=True, return_counts=True)
    if int(counts.max()) == 1:
        return instants, False
    places = np.arange(instants.size) - np.repeat(begins, counts)
    spread = instants.copy()
    spread[order] += places * NS_PER_S // np.repeat(counts, counts)
    return spread, True


def unit_of(values: Times) -> str:
    """Return the epoch unit that numbers are taken for, by the largest of them."""
    largest = _largest(values)
    return next((unit for below, _, unit in _UNITS if largest < below), "ns")


def _to_ns(column: pa.ChunkedArray) -> Nanoseconds:
    zone = column.type.tz if pa.types.is_timestamp(column.type) else None
    try:
        instants = column.cast(pa.timestamp("ns", tz=zone))
    except pa.ArrowInvalid as error:  # before 1677 or after 2262
        raise BadInstant(_first_too_far(column), f"it is a time {_TOO_FAR}") from error
    values: Nanoseconds = instants.cast(pa.int64()).to_numpy()
    return values


def _first_too_far(column: pa.ChunkedArray) -> int:
    kind = column.type
    is_days = pa.types.is_date32(kind)
    number_ns = (
        86_400 * NS_PER_S if is_days else {"s": NS_PER_S, "ms": 1_000_000, "us": 1000}[getattr(kind, "unit", "ms")]
    )
    numbers = column.cast(pa.int32() if is_days else pa.int64()).to_numpy().astype(np.float64)
    return int(np.argmax(np.abs(numbers) * number_ns >= _LIMIT))


def _largest(values: Times) -> float:
    """Return the largest absolute value; that of the least int64 is no int64."""
    return max(abs(float(values.max(initial=0))), abs(float(values.min(initial=0))))


def _finite(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if not np.isfinite(numbers).all():
        place = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise BadInstant(place, f"it is {numbers[place]}")
    _check_size(numbers, 1)
    return numbers


def _check_size(values: npt.NDArray[Any], factor: int) -> None:
    """Raise BadInstant for a number of so many ns that an int64 of them would be another one."""
    if _largest(values) * factor < _LIMIT:
        return
    place = int(np.argmax(np.abs(values.astype(np.float64)) * factor >= _LIMIT))
    raise BadInstant(place, f"it is {values[place]}, {_TOO_FAR}")


def _read_texts(column: pa.ChunkedArray) -> Times:
    texts = pc.utf8_trim_whitespace(column)
    is_number = pc.match_substring_regex(texts, r"^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$")
    if pc.all(is_number).as_py():
        return _finite(texts.cast(pa.float64()).to_numpy())
    texts = pc.replace_substring_regex(texts, r"\s*(UTC|GMT|z)$", "Z")
    texts = pc.replace_substring_regex(texts, r"\s+([+-]\d\d(:?\d\d)?)$", r"\1")
    has_time = pc.match_substring_regex(texts, r":")
    has_zone = pc.and_(has_time, pc.match_substring_regex(texts, _HAS_ZONE)).to_numpy()
    values = np.zeros(len(texts), np.int64)
    for is_zoned, kind in ((True, pa.timestamp("ns", tz="UTC")), (False, pa.timestamp("ns"))):
        chosen = np.flatnonzero(has_zone == is_zoned)
        if not chosen.size:
            continue
        part = texts.take(pa.array(chosen))
        try:
            values[chosen] = part.cast(kind).cast(pa.int64()).to_numpy()
        except pa.ArrowInvalid:
            raise _first_bad(column, part, chosen, kind) from None
    return values


def _first_bad(
    column: pa.ChunkedArray, part: pa.ChunkedArray, chosen: npt.NDArray[np.intp], kind: pa.DataType
) -> BadInstant:
    for place, text in zip(chosen.tolist(), part, strict=True):
        try:
            text.cast(kind)
        except pa.ArrowInvalid:
            return BadInstant(place, f"it is {str(column[place].as_py())[:100]!r}")
    return BadInstant(int(chosen[0]), "it cannot be read")
