"""Datatypes of the Open Inference protocol: which an Arrow column has, and its values as that type. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from inference_swarm.data.arrow_types import is_binary, plain_type
from inference_swarm.data.json_rows import CellEncoder
from inference_swarm.data.json_rows_assembly import Texts
from inference_swarm.data.json_rows_texts import texts_alone, texts_of
from inference_swarm.errors import DataError

ColumnCheck = Callable[[pa.Array, str], None]
"""Raises DataError for values of a column that cannot be sent."""
BYTES: Final = "BYTES"
ARROW_TYPES: Final[dict[str, pa.DataType]] = {
    "BOOL": pa.bool_(),
    "INT8": pa.int8(),
    "INT16": pa.int16(),
    "INT32": pa.int32(),
    "INT64": pa.int64(),
    "UINT8": pa.uint8(),
    "UINT16": pa.uint16(),
    "UINT32": pa.uint32(),
    "UINT64": pa.uint64(),
    "FP16": pa.float16(),
    "FP32": pa.float32(),
    "FP64": pa.float64(),
}
"""Datatypes of one width. The other one is `BYTES`: text."""
DATATYPES: Final = (*ARROW_TYPES, BYTES)
_BY_ARROW_TYPE: Final = {kind: name for name, kind in ARROW_TYPES.items()}


def datatype_of(kind: pa.DataType, name: str) -> str:
    """Return the datatype of a column. Raises DataError for a nested one, which the protocol has no form for."""
    plain = plain_type(kind)
    if plain in _BY_ARROW_TYPE:
        return _BY_ARROW_TYPE[plain]
    if pa.types.is_null(plain):
        return "FP64"
    if pa.types.is_nested(plain) or pa.types.is_interval(plain):
        raise DataError(
            f"Column {name!r} has the type {kind}, which Open Inference has no datatype for.",
            expected="numbers, booleans, text, dates and times.",
            action="leave the column out (--drop-columns), or write it as columns of numbers.",
        )
    return BYTES


def is_fractional(datatype: str) -> bool:
    """Return whether the datatype has a value that says missing: NaN."""
    return datatype.startswith("FP")


def no_check(values: pa.Array, name: str) -> None:
    """Raise nothing."""


def converter(datatype: str) -> Callable[[pa.Array, str], pa.Array]:
    """Return a function from a column, and its name, to an array of that fixed-width datatype.

    NaN becomes null where the datatype has none. It raises DataError for a value that the datatype cannot hold.
    """
    wanted = ARROW_TYPES[datatype]

    def convert(values: pa.Array, name: str) -> pa.Array:
        if values.type == wanted:
            return values
        try:
            return _plain_values(values, datatype).cast(wanted, safe=not is_fractional(datatype))
        except pa.ArrowException as error:
            raise DataError(
                f"Column {name!r} of the type {values.type} cannot be sent as {datatype}: {error}.",
                expected=f"values that are {datatype}, as the server's metadata or --column-type say.",
                action=f"correct the column, or choose another datatype: --column-type {name}=FP64, say.",
            ) from error

    return convert


def _plain_values(values: pa.Array, datatype: str) -> pa.Array:
    """Return the values in a type that casts to a number."""
    if isinstance(values.type, pa.BaseExtensionType):
        values = values.storage
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_floating(values.type) and not is_fractional(datatype):
        return pc.if_else(pc.is_finite(values), values, pa.scalar(None, values.type))
    if pa.types.is_decimal(values.type):
        return values.cast(pa.float64())
    if pa.types.is_temporal(values.type):
        return values.cast(pa.int32() if values.type.bit_width == 32 else pa.int64())
    return values


def json_texts_as(datatype: str, kind: pa.DataType, check: ColumnCheck) -> CellEncoder:
    """Return an encoder of a column of the Arrow type as JSON values of the datatype, once they are checked."""
    if datatype == BYTES:
        return _checked(check, texts_of if _is_text_in_json(kind) else _quoted_texts_of)
    if kind == ARROW_TYPES[datatype]:
        return _checked(check, texts_of)
    convert = converter(datatype)

    def encode_converted(values: pa.Array, name: str) -> Texts:
        values = convert(values, name)
        check(values, name)
        return texts_of(values, name)

    return encode_converted


def text_values(values: pa.Array, name: str) -> pa.Array:
    """Return the values as bytes: text and bytes as they are, anything else as JSON writes it, without quotes."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if is_binary(values.type) or pa.types.is_string(plain_type(values.type)):
        return values.cast(pa.binary())
    texts = texts_of(values, name)
    alone = texts_alone(Texts(texts.pieces, texts.index, has_comma=texts.has_comma), len(values))
    return pc.if_else(values.is_null(), pa.scalar(None, pa.binary()), alone)


def _checked(check: ColumnCheck, encode: CellEncoder) -> CellEncoder:
    if check is no_check:
        return encode

    def encode_checked(values: pa.Array, name: str) -> Texts:
        check(values, name)
        return encode(values, name)

    return encode_checked


def _is_text_in_json(kind: pa.DataType) -> bool:
    plain = plain_type(kind)
    is_text = pa.types.is_string(plain) or is_binary(plain) or pa.types.is_temporal(plain)
    return bool(is_text or isinstance(plain, pa.BaseExtensionType))


def _quoted_texts_of(values: pa.Array, name: str) -> Texts:
    return texts_of(text_values(values, name).cast(pa.string()), name)
