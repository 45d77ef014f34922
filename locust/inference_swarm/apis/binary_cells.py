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
from inference_swarm.data.json_rows import CellEncoder
from inference_swarm.data.json_rows_assembly import Texts, binary_array, binary_of


def width_of(datatype: str) -> int:
    """Return the bytes of a value; 0 for text."""
    if datatype == BYTES:
        return 0
    return 1 if datatype == "BOOL" else int(ARROW_TYPES[datatype].bit_width) // 8


def fixed_cells(datatype: str, check: ColumnCheck) -> CellEncoder:
    """Return an encoder of numbers; null in a fractional column is NaN, elsewhere `check` refuses it."""
    convert, width = converter(datatype), width_of(datatype)
    little = np.dtype(ARROW_TYPES[datatype].to_pandas_dtype()).newbyteorder("<")

    def encode(values: pa.Array, name: str) -> Texts:
        numbers = convert(values, name)
        check(numbers, name)
        if numbers.null_count:
            numbers = pc.fill_null(numbers, pa.scalar(float("nan")).cast(numbers.type))
        return _cells_of(numbers.to_numpy(zero_copy_only=False).astype(little, copy=False), width)

    return encode


def size_cells(check: ColumnCheck, digits: int) -> CellEncoder:
    """Return an encoder of the sizes of texts with their lengths in front, in decimal digits behind spaces."""

    def encode(values: pa.Array, name: str) -> Texts:
        check(values, name)
        sizes = pc.add(pc.binary_length(text_values(values, name)), 4)
        return Texts(binary_of(pc.utf8_lpad(pc.cast(sizes, pa.string()), width=digits)))

    return encode


def length_cells(check: ColumnCheck) -> CellEncoder:
    """Return an encoder of the lengths of texts, in four bytes."""

    def encode(values: pa.Array, name: str) -> Texts:
        check(values, name)
        return _lengths_of(text_values(values, name))

    return encode


def text_cells(values: pa.Array, name: str) -> Texts:
    """Encode texts by themselves."""
    return Texts(binary_of(text_values(values, name)))


def sized_text_cells(values: pa.Array, name: str) -> Texts:
    """Encode texts, each with its length in front."""
    texts = binary_of(text_values(values, name))
    return Texts(pc.binary_join_element_wise(_lengths_of(texts).pieces, texts, pa.scalar(b"", pa.binary())))


def _lengths_of(texts: pa.Array) -> Texts:
    return _cells_of(pc.binary_length(texts).to_numpy(zero_copy_only=False).astype("<u4"), 4)


def _cells_of(numbers: NDArray[Any], width: int) -> Texts:
    offsets = np.arange(0, width * len(numbers) + 1, width, dtype=np.int32)
    return Texts(binary_array(offsets, numbers.tobytes()))
