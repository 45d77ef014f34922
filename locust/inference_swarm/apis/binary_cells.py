"""Columns in, the bytes of their values out, as Open Inference has them. Pure.

Numbers are little-endian, and a text has its length in four bytes in front of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from inference_swarm.apis.datatypes import ARROW_TYPES, BYTES, ColumnCheck, converter, text_values
from inference_swarm.data.json_rows_assembly import binary_array, binary_of
from inference_swarm.data.numpy_values import numpy_of

Octets = NDArray[np.uint8]
"""A line of bytes for each row."""


def width_of(datatype: str) -> int:
    """Return the bytes of a value; 0 for text."""
    if datatype == BYTES:
        return 0
    return 1 if datatype == "BOOL" else int(ARROW_TYPES[datatype].bit_width) // 8


def fixed_octets(values: pa.Array, name: str, datatype: str, check: ColumnCheck) -> Octets:
    """Return the bytes of numbers; null in a fractional column is NaN, elsewhere `check` refuses it."""
    numbers = converter(datatype)(values, name)
    check(numbers, name)
    if numbers.null_count:
        numbers = pc.fill_null(numbers, pa.scalar(float("nan")).cast(numbers.type))
    little = np.dtype(ARROW_TYPES[datatype].to_pandas_dtype()).newbyteorder("<")
    return _lines(numpy_of(numbers).astype(little, copy=False), width_of(datatype))


def sized_texts(values: pa.Array, name: str, check: ColumnCheck) -> tuple[pa.Array, NDArray[np.uint32]]:
    """Return texts, each with its length in front, and their sizes with it."""
    check(values, name)
    texts = binary_of(text_values(values, name))
    lengths: NDArray[np.uint32] = numpy_of(pc.binary_length(texts)).astype("<u4")
    sized = pc.binary_join_element_wise(cells_of(_lines(lengths, 4)), texts, pa.scalar(b"", pa.binary()))
    return sized, lengths + np.uint32(4)


def size_octets(sizes: NDArray[np.uint32]) -> Octets:
    """Return sizes in four bytes each."""
    return _lines(sizes.astype("<u4"), 4)


def size_digits(sizes: NDArray[np.uint32], digits: int) -> pa.Array:
    """Return sizes in decimal digits behind spaces."""
    return binary_of(pc.utf8_lpad(pc.cast(pa.array(sizes), pa.string()), width=digits))


def side_by_side(octets: list[Octets], rows: int) -> Octets:
    """Return the lines of all, one after the other in each row."""
    joined = np.empty((rows, sum(part.shape[1] for part in octets)), np.uint8)
    begin = 0
    for part in octets:
        joined[:, begin : begin + part.shape[1]] = part
        begin += part.shape[1]
    return joined


def cells_of(octets: Octets) -> pa.Array:
    """Return a binary array with a cell for each line."""
    rows, width = octets.shape
    return binary_array(np.arange(0, width * rows + 1, max(width, 1), dtype=np.int32)[: rows + 1], octets.tobytes())


def _lines(numbers: NDArray[Any], width: int) -> Octets:
    return np.ascontiguousarray(numbers).view(np.uint8).reshape(len(numbers), width)
