"""Columns of timestamps, dates, times and durations in, their JSON texts out.

ISO 8601 with all digits of the column's unit. Timestamps with a time zone carry their offset; durations are in seconds
(`PT93784.5S`), which pandas, pydantic and ISO 8601 itself all read.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from inference_swarm.data.json_rows_assembly import (
    Texts,
    binary_array,
    binary_of,
    data_of,
    nulls_of,
    offsets_of,
)
from inference_swarm.data.numpy_values import numpy_of
from inference_swarm.errors import DataError

_SPACE, _LESS_THAN = b" <"
_UNITS_PER_S: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def temporal_texts(values: pa.Array, name: str) -> Texts:
    """Texts of a timestamp, date, time or duration column. DataError for a value that the type cannot hold."""
    kind = values.type
    nulls = nulls_of(values)
    if pa.types.is_duration(kind):
        return Texts(_duration_pieces(values), nulls=nulls, opening=b'"', closing=b'"')
    pieces = _timestamp_pieces(values) if pa.types.is_timestamp(kind) else binary_of(pc.cast(values, pa.string()))
    if (data_of(pieces) == _LESS_THAN).any():  # Arrow writes `<value out of range: -1>`
        raise DataError(
            f"Column {name!r} of the type {kind} holds a value outside of the type's range.",
            expected="times of one day, and dates of the years -32767 to 32767.",
            action="correct the value and write the parquet file again.",
        )
    return Texts(pieces, nulls=nulls, opening=b'"', closing=b'"')


def _timestamp_pieces(values: pa.Array) -> pa.Array:
    """`2024-07-03T09:46:40.123456+02:00`: local time with its offset; `Z` for UTC; neither without a time zone."""
    kind = values.type
    if kind.tz is None:
        return _with_t(values)
    naive_type = pa.timestamp(kind.unit)
    utc = pc.fill_null(pc.cast(values, pa.int64()), 0)
    if kind.tz in ("UTC", "Z", "+00:00", "Etc/UTC"):
        return _joined(_with_t(utc.cast(naive_type)), pa.scalar(b"Z", pa.binary()))
    local = pc.cast(pc.local_timestamp(utc.cast(kind)), pa.int64())
    offset_s: NDArray[np.int64] = (numpy_of(local) - numpy_of(utc)) // _UNITS_PER_S[kind.unit]
    # Offsets of old local mean times have seconds, which ISO 8601 cannot write: those instants are given in UTC.
    odd = offset_s % 60 != 0
    if odd.any():
        local = pa.array(np.where(odd, numpy_of(utc), numpy_of(local)))
        offset_s = np.where(odd, 0, offset_s)
    distinct, index = np.unique(offset_s, return_inverse=True)
    table = [
        b"%c%02d:%02d" % (b"-"[0] if offset < 0 else b"+"[0], abs(offset) // 3600, abs(offset) // 60 % 60)
        for offset in distinct.tolist()
    ]
    offsets = pc.take(pa.array(table, pa.binary()), pa.array(index.astype(np.int32)))
    return _joined(_with_t(local.cast(naive_type)), offsets)


def _with_t(values: pa.Array) -> pa.Array:
    """Arrow puts a space between date and time: the byte at position 10 unless a year has more than four digits."""
    pieces = binary_of(pc.cast(values, pa.string()))
    data, offsets = data_of(pieces), offsets_of(pieces)
    spaces = offsets[:-1][np.diff(offsets) > 0] + 10  # a null row has no text
    if len(spaces) and spaces[-1] < len(data) and (data[spaces] == _SPACE).all():
        data = data.copy()
        data[spaces] = ord("T")
        return binary_array(offsets, data)
    return binary_of(pc.replace_substring(pieces, pattern=b" ", replacement=b"T", max_replacements=1))


def _duration_pieces(values: pa.Array) -> pa.Array:
    counts: NDArray[np.int64] = numpy_of(pc.fill_null(pc.cast(values, pa.int64()), 0))
    per_s = _UNITS_PER_S[values.type.unit]
    magnitude = np.abs(counts).view(np.uint64)  # the lowest int64 has no positive twin, as uint64 it is right
    whole = pc.cast(pa.array(magnitude // np.uint64(per_s)), pa.string())
    parts = [pa.array(np.where(counts < 0, "-PT", "PT"), pa.string()), whole]
    if per_s > 1:
        fraction = pc.cast(pa.array(magnitude % np.uint64(per_s)), pa.string())
        parts += [pa.scalar(".", pa.string()), pc.utf8_lpad(fraction, width=len(str(per_s)) - 1, padding="0")]
    return binary_of(pc.binary_join_element_wise(*parts, pa.scalar("S"), ""))


def _joined(left: pa.Array, right: pa.Array | pa.Scalar) -> pa.Array:
    return binary_of(pc.binary_join_element_wise(left, right, pa.scalar(b"", pa.binary())))
