"""Examines the values of columns whose type does not say what they are, once, before the run.

Bytes without an annotation may be text (old writers, and enums of some), and an INT96 timestamp may have more digits,
or a wider range, than one unit of Arrow's holds. In: such a column's values. Out: the type in which it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from inference_swarm.data.arrow_types import holds_binary, is_binary, is_list, text_type, with_timestamp_unit
from inference_swarm.data.conform import cast
from inference_swarm.errors import DataError

# At most this much of a column is examined; a worker that finds other bytes later refuses them by name.
MAX_PROBED_BYTES: Final = 1024 * 1024 * 1024
_NS_RANGE_US: Final = (-(2**63) // 1000, (2**63 - 1) // 1000)

Columns = Callable[[pa.DataType], Iterator[pa.Array]]
"""The column's values in all files, with timestamps in the unit of that type."""


def probe_binary(kind: pa.DataType, columns: Iterable[pa.Array]) -> tuple[pa.DataType, str]:
    """The plain type with text in the place of what is UTF-8 throughout, and a line that says so."""
    candidate = text_type(kind)
    seen_bytes = 0
    for values in columns:
        candidate = _narrow(candidate, values)
        seen_bytes += values.nbytes
        if candidate == kind:
            return kind, "holds bytes that are not text and is sent in base64"
        if seen_bytes > MAX_PROBED_BYTES:
            return candidate, f"holds bytes whose first {seen_bytes >> 20} MiB are UTF-8 and is sent as text"
    if holds_binary(candidate):
        return candidate, "holds bytes: where all are UTF-8 they are sent as text, else in base64"
    return candidate, "holds bytes that are all UTF-8 and is sent as text"


def probe_int96(name: str, kind: pa.DataType, columns: Columns) -> pa.DataType:
    """Microseconds, which hold every year; nanoseconds if some value has such digits and all are in their range.

    DataError when both are needed.
    """
    finer, coarser = with_timestamp_unit(kind, "ns"), with_timestamp_unit(kind, "us")
    has_nanoseconds = is_out_of_range = False
    for in_ns, in_us in zip(columns(finer), columns(coarser), strict=True):
        for ns, us in zip(_instants(in_ns), _instants(in_us), strict=True):
            # The value in nanoseconds has wrapped around where it is out of range; its last digits are right.
            has_nanoseconds |= bool((ns != us * 1000).any())
            is_out_of_range |= bool(((us < _NS_RANGE_US[0]) | (us > _NS_RANGE_US[1])).any())
    if has_nanoseconds and is_out_of_range:
        raise DataError(
            f"Column {name!r} has INT96 timestamps with digits below a microsecond, and others outside of the years "
            "1678 to 2261.",
            expected="either the one or the other: no 64-bit timestamp holds both.",
            action="leave it out with --drop-columns, or write it again as text.",
        )
    return finer if has_nanoseconds else coarser


def _narrow(candidate: pa.DataType, values: pa.Array) -> pa.DataType:
    """Return the candidate with bytes again where some value is not UTF-8."""
    if isinstance(values.type, pa.BaseExtensionType):
        return candidate if candidate == values.type else _narrow(candidate, values.storage)
    try:
        cast(values, candidate)
    except pa.ArrowException:
        pass
    else:
        return candidate
    if pa.types.is_dictionary(values.type):
        return _narrow(candidate, values.dictionary)
    if pa.types.is_run_end_encoded(values.type):
        return _narrow(candidate, values.values)
    if pa.types.is_struct(candidate):
        fields = [candidate.field(number) for number in range(candidate.num_fields)]
        children = zip(fields, values.flatten(), strict=True)
        return pa.struct([pa.field(field.name, _narrow(field.type, child)) for field, child in children])
    if pa.types.is_map(candidate):
        return pa.map_(_narrow(candidate.key_type, values.keys), _narrow(candidate.item_type, values.items))
    if is_list(candidate):
        return pa.list_(_narrow(candidate.value_type, values.flatten()))
    if not is_binary(values.type):
        return candidate
    return values.type if pa.types.is_fixed_size_binary(values.type) else pa.binary()


def _instants(values: pa.Array) -> Iterator[NDArray[np.int64]]:
    """The numbers of all timestamps in a column, however nested; null is 0."""
    kind = values.type
    if pa.types.is_timestamp(kind):
        numbers: NDArray[Any] = pc.fill_null(pc.cast(values, pa.int64()), 0).to_numpy()
        yield numbers
    elif pa.types.is_struct(kind):
        for child in values.flatten():
            yield from _instants(child)
    elif pa.types.is_map(kind):
        yield from _instants(values.keys)
        yield from _instants(values.items)
    elif is_list(kind):
        yield from _instants(values.flatten())
