"""An Arrow column in, the JSON texts of its values out, by type and without a Python loop over rows.

Numbers go through orjson's numpy serializer (28 ns a double, 4 ns an integer; Arrow's cast: 100 and 20) in slices that
hold the GIL for about 60 µs. Binary is base64, lists are arrays, structs and maps objects; times: `json_rows_times`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from inference_swarm.data.arrow_types import is_binary, is_list
from inference_swarm.data.json_rows_assembly import (
    Texts,
    assemble,
    binary_array,
    binary_of,
    data_of,
    nulls_of,
    offsets_of,
)
from inference_swarm.data.json_rows_times import temporal_texts
from inference_swarm.data.lists import offsets_and_items
from inference_swarm.data.numpy_values import numpy_of
from inference_swarm.errors import DataError

_GIL_SLICE: Final = 2048  # values per orjson call
_COMMA, _QUOTE, _BACKSLASH, _SPACE = b',"\\ '
_HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)
_TABLE_SPAN: Final = 256  # integers within this span become a table: one piece with its key in front


def texts_of(values: pa.Array, name: str) -> Texts:
    """Texts of one column. DataError, with the column's name, for a type that JSON has no form for."""
    kind = values.type
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.uuid":
            return _uuid_texts(values.storage)
        if kind.extension_name == "arrow.bool8":
            return _boolean_texts(values.storage.cast(pa.bool_()))
        return texts_of(values.storage, name)
    if pa.types.is_null(kind):
        return Texts(pa.array([b"null"], pa.binary()), index=np.zeros(len(values), np.int32))
    if pa.types.is_boolean(kind):
        return _boolean_texts(values)
    if pa.types.is_integer(kind):
        return _integer_texts(values)
    if pa.types.is_floating(kind):
        return number_texts(numpy_of(values), None)
    if pa.types.is_dictionary(kind):
        return _dictionary_texts(values, name)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _string_texts(values, name)
    if pa.types.is_decimal(kind):
        return Texts(binary_of(pc.cast(values, pa.string())), nulls=nulls_of(values))
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        return temporal_texts(values, name)
    if is_binary(kind):
        return _base64_texts(values)
    if pa.types.is_struct(kind):
        return _struct_texts(values, name)
    if pa.types.is_map(kind):
        return _map_texts(values, name)
    if is_list(kind):
        return _list_texts(values, name)
    if pa.types.is_run_end_encoded(kind):
        return texts_of(pc.run_end_decode(values), name)
    raise _unsupported(kind, name)


def texts_alone(texts: Texts, rows: int) -> pa.Array:
    """The text of each row by itself."""
    if texts.has_comma:
        return pc.binary_slice(assemble((b"", b","), (texts,), rows), 0, -1)
    return assemble((b"", b""), (texts,), rows)


def row_fragments(start: bytes, keys: Sequence[bytes], end: bytes, between: bytes = b",") -> tuple[bytes, ...]:
    """The fragments of a row: a start, a key in front of each cell, something between two cells, an end."""
    if not keys:
        return (start + end,)
    return (start + keys[0], *(between + key for key in keys[1:]), end)


def _unsupported(kind: pa.DataType, name: str) -> DataError:
    return DataError(
        f"Column {name!r} has the type {kind}, which JSON has no form for.",
        expected="numbers, booleans, text, dates and times, decimals, binary, categories, lists, structs or maps.",
        action="drop the column or convert it (for example to text) and write the parquet file again.",
    )


def _boolean_texts(values: pa.Array) -> Texts:
    index = numpy_of(pc.fill_null(pc.cast(values, pa.int8()), pa.scalar(2, pa.int8())))
    return Texts(pa.array([b"false", b"true", b"null"], pa.binary()), index=index.astype(np.int32))


def _integer_texts(values: pa.Array) -> Texts:
    nulls = nulls_of(values)
    if nulls is not None:
        if values.null_count == len(values):
            return texts_of(pa.nulls(len(values)), "")
        values = pc.fill_null(values, pc.min(values))
    numbers: NDArray[Any] = numpy_of(values)
    if len(numbers):
        low, high = int(numbers.min()), int(numbers.max())
        if high - low < _TABLE_SPAN:
            unsigned = np.dtype(f"u{numbers.dtype.itemsize}")  # the difference of two int8 may be 255
            index = (numbers.view(unsigned) - numbers.dtype.type(low).view(unsigned)).astype(np.int32)
            if nulls is not None:
                index[nulls] = high - low + 1
            return Texts(_integer_table(low, high), index=index)
    return number_texts(numbers, nulls)


@lru_cache(maxsize=256)
def _integer_table(low: int, high: int) -> pa.Array:
    """`low` to `high`, then `null`; kept, because the next block's integers often have the same span."""
    return pa.array([*(b"%d" % number for number in range(low, high + 1)), b"null"], pa.binary())


def number_texts(numbers: NDArray[Any], nulls: NDArray[np.bool_] | None = None) -> Texts:
    """Texts that end with a comma, just as orjson writes them: `1.5,-2.0,null,`; NaN and infinity become null."""
    numbers = np.ascontiguousarray(numbers)
    parts = [
        orjson.dumps(numbers[start : start + _GIL_SLICE], option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
        for start in range(0, len(numbers), _GIL_SLICE)
    ]
    joined = b",".join([*parts, b""])
    offsets = np.zeros(len(numbers) + 1, np.int32)
    np.add(np.flatnonzero(np.frombuffer(joined, np.uint8) == _COMMA), 1, out=offsets[1:], casting="unsafe")
    return Texts(binary_array(offsets, joined), nulls=nulls, has_comma=True)


def _dictionary_texts(values: pa.Array, name: str) -> Texts:
    """The dictionary's values are encoded once; its last entry stands for null rows."""
    dictionary = values.dictionary
    if len(dictionary) > len(values):  # a slice of a column with many categories must not pay for all of them
        return texts_of(pc.take(dictionary, values.indices), name)
    texts = texts_of(pa.concat_arrays([dictionary, pa.nulls(1, dictionary.type)]), name)
    table = texts_alone(texts, len(dictionary) + 1)
    codes = pc.fill_null(pc.cast(values.indices, pa.int32()), pa.scalar(len(dictionary), pa.int32()))
    index: NDArray[np.int32] = numpy_of(codes)
    if len(index) and not 0 <= int(index.min()) <= int(index.max()) <= len(
        dictionary
    ):  # else we would read wild memory
        raise DataError(
            f"Column {name!r} of the type {values.type} has a code that is not in its dictionary of {len(dictionary)}.",
            expected="codes of the dictionary's values.",
            action="write the parquet file again; this one is damaged.",
        )
    return Texts(table, index=index)


def _string_texts(values: pa.Array, name: str) -> Texts:
    nulls = nulls_of(values)
    pieces = binary_of(values)
    offsets = offsets_of(pieces)
    used = data_of(pieces)[offsets[0] : offsets[-1]]
    if used.size:
        if used.max() >= 0x80:
            _check_utf8(values, name)
        has_control = bool((used < _SPACE).any())
        if has_control or (used == _QUOTE).any() or (used == _BACKSLASH).any():
            pieces = _escaped(pieces, used, has_control)
    return Texts(pieces, nulls=nulls, opening=b'"', closing=b'"')


def _check_utf8(values: pa.Array, name: str) -> None:
    try:
        values.validate(full=True)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"Column {name!r} holds text that is not UTF-8 ({error}).",
            expected="UTF-8, as Arrow's string type promises.",
            action="write the column again as UTF-8 text, or as binary, which is sent in base64.",
        ) from error


def _escaped(pieces: pa.Array, used: NDArray[np.uint8], has_control: bool) -> pa.Array:
    escapes = [(b"\\", b"\\\\"), (b'"', b'\\"')]
    if has_control:
        escapes += [(bytes([c]), json.dumps(chr(c))[1:-1].encode()) for c in np.unique(used[used < _SPACE]).tolist()]
    for pattern, replacement in escapes:
        if (used == pattern[0]).any():
            pieces = pc.replace_substring(pieces, pattern=pattern, replacement=replacement)
    return binary_of(pieces)


def _uuid_texts(values: pa.Array) -> Texts:
    """`5c2b1f0e-…`, from 16 bytes each."""
    rows = len(values)
    data = values.buffers()[1]
    if data is None:
        return Texts(pa.array([b""] * rows, pa.binary()), nulls=nulls_of(values))
    octets = np.frombuffer(data, np.uint8, 16 * rows, 16 * values.offset).reshape(rows, 16)
    digits = np.empty((rows, 32), np.uint8)
    digits[:, 0::2], digits[:, 1::2] = _HEX[octets >> 4], _HEX[octets & 15]
    text = np.full((rows, 36), ord("-"), np.uint8)
    for begin, end, dashes in ((0, 8, 0), (8, 12, 1), (12, 16, 2), (16, 20, 3), (20, 32, 4)):
        text[:, begin + dashes : end + dashes] = digits[:, begin:end]
    pieces = binary_array(np.arange(0, 36 * rows + 1, 36, dtype=np.int32), text.tobytes())
    return Texts(pieces, nulls=nulls_of(values), opening=b'"', closing=b'"')


def _base64_texts(values: pa.Array) -> Texts:
    """Python's base64 value by value: Arrow has no kernel for it, and binary features are rare."""
    encoded = [base64.b64encode(value or b"") for value in values.to_pylist()]
    return Texts(pa.array(encoded, pa.binary()), nulls=nulls_of(values), opening=b'"', closing=b'"')


def _struct_texts(values: pa.Array, name: str) -> Texts:
    fields = [values.type.field(number) for number in range(values.type.num_fields)]
    names = [field.name for field in fields]
    if len(set(names)) < len(names):
        raise DataError(
            f"Column {name!r} has the type {values.type}, in which a field name occurs twice.",
            expected="every field of a struct to have a name of its own.",
            action="rename the fields and write the parquet file again.",
        )
    children = [texts_of(child, f"{name}.{field.name}") for field, child in zip(fields, values.flatten(), strict=True)]
    keys = [json.dumps(field.name, ensure_ascii=False).encode() + b":" for field in fields]
    fragments = row_fragments(b"{", keys, b"}")
    return Texts(assemble(fragments, children, len(values)), nulls=nulls_of(values))


def _map_texts(values: pa.Array, name: str) -> Texts:
    offsets = numpy_of(values.offsets)
    start, length = int(offsets[0]), int(offsets[-1] - offsets[0])
    keys, items = values.keys.slice(start, length), values.items.slice(start, length)
    if not (pa.types.is_string(keys.type) or pa.types.is_temporal(keys.type) or is_binary(keys.type)):
        try:
            keys = pc.cast(keys, pa.string())
        except pa.ArrowNotImplementedError as error:
            raise _unsupported(values.type, name) from error
    pairs = assemble((b"", b":", b","), (texts_of(keys, name), texts_of(items, name)), length)
    return _nested_texts(pairs, offsets - start, nulls_of(values), b"{", b"}")


def _list_texts(values: pa.Array, name: str) -> Texts:
    offsets, items = offsets_and_items(values)
    texts = texts_of(items, name)
    if texts.has_comma and texts.nulls is None and offsets_of(texts.pieces)[0] == 0:
        pieces = texts.pieces
    else:
        pieces = assemble((b"", b","), (texts,), len(items))
    return _nested_texts(pieces, offsets, nulls_of(values), b"[", b"]")


def _nested_texts(
    items: pa.Array, offsets: NDArray[Any], nulls: NDArray[np.bool_] | None, opening: bytes, closing: bytes
) -> Texts:
    """Neighbouring items `1,2,3,` already are a list's text: only its last comma becomes the closing bracket."""
    ends = offsets_of(items)[offsets].astype(np.int32)
    is_empty = offsets[1:] == offsets[:-1]
    data = data_of(items).copy()
    data[ends[1:][~is_empty] - 1] = closing[0]
    pieces = binary_array(ends, data)
    if not is_empty.any():
        return Texts(pieces, nulls=nulls, opening=opening)
    table = pa.concat_arrays([pieces, pa.array([closing], pa.binary())])
    index = np.where(is_empty, np.int32(len(pieces)), np.arange(len(pieces), dtype=np.int32))
    return Texts(table, index=index, nulls=nulls, opening=opening)
