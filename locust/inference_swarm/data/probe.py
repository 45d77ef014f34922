"""Examines the values of columns whose type does not say what they are, once, before the run.

Bytes without an annotation may be text (old writers, and enums of some), and an INT96 timestamp may have more digits,
or a wider range, than one unit of Arrow's holds. In: such a column's values. Out: the type in which it is sent. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from inference_swarm.data.arrow_types import holds_binary, is_binary, is_list, text_type
from inference_swarm.data.conform import cast
from inference_swarm.data.numpy_values import numpy_of
from inference_swarm.errors import DataError

# At most this much of a column is examined; a worker that finds other bytes later refuses them by name.
MAX_PROBED_BYTES: Final = 1024 * 1024 * 1024
_NS_RANGE_US: Final = (-(2**63) // 1000, (2**63 - 1) // 1000)


class BinaryProbe:
    """Whether a column of bytes, or the bytes inside of it, are text. `type` is a plain type that has bytes."""

    def __init__(self, kind: pa.DataType) -> None:
        self.type = kind
        self._candidate = text_type(kind)
        self._seen_bytes = 0

    @property
    def is_decided(self) -> bool:
        """True when further values change nothing, or enough were seen."""
        return self._candidate == self.type or self._seen_bytes > MAX_PROBED_BYTES

    def look(self, values: pa.Array) -> None:
        """Look at some of the column's values."""
        if not self.is_decided:
            self._candidate = _narrow(self._candidate, values)
            self._seen_bytes += values.nbytes

    def result(self) -> tuple[pa.DataType, str]:
        """The plain type with text in the place of what is UTF-8 throughout, and words that say so."""
        candidate = self._candidate
        if candidate == self.type:
            return self.type, "holds bytes that are not text and is sent in base64"
        if self._seen_bytes > MAX_PROBED_BYTES:
            return candidate, f"holds bytes whose first {self._seen_bytes >> 20} MiB are UTF-8 and is sent as text"
        if holds_binary(candidate):
            return candidate, "holds bytes: where all are UTF-8 they are sent as text, else in base64"
        return candidate, "holds bytes that are all UTF-8 and is sent as text"


class Int96Probe:
    """Which unit holds all INT96 timestamps of a column. `type` is a plain type that has timestamps."""

    def __init__(self, kind: pa.DataType) -> None:
        self.type = kind
        self._has_nanoseconds = self._is_out_of_range = False

    def look(self, in_ns: pa.Array, in_us: pa.Array) -> None:
        """Look at some of the column's values in both units."""
        for ns, us in zip(_instants(in_ns), _instants(in_us), strict=True):
            # The value in nanoseconds has wrapped around where it is out of range; its last digits are right.
            self._has_nanoseconds |= bool((ns != us * 1000).any())
            self._is_out_of_range |= bool(((us < _NS_RANGE_US[0]) | (us > _NS_RANGE_US[1])).any())

    def unit(self, name: str) -> str:
        """Microseconds, which hold every year; nanoseconds if some value has such digits and all are in their range.

        DataError when both are needed.
        """
        if self._has_nanoseconds and self._is_out_of_range:
            raise DataError(
                f"Column {name!r} has INT96 timestamps with digits below a microsecond, and others outside of the "
                "years 1678 to 2261.",
                expected="either the one or the other: no 64-bit timestamp holds both.",
                action="leave it out with --drop-columns, or write it again as text.",
            )
        return "ns" if self._has_nanoseconds else "us"


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
        numbers: NDArray[Any] = numpy_of(pc.fill_null(pc.cast(values, pa.int64()), 0))
        yield numbers
    elif pa.types.is_struct(kind):
        for child in values.flatten():
            yield from _instants(child)
    elif pa.types.is_map(kind):
        yield from _instants(values.keys)
        yield from _instants(values.items)
    elif is_list(kind):
        yield from _instants(values.flatten())
