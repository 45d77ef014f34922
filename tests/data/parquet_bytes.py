"""A parquet file of one column, byte by byte: physical and logical types that no library at hand writes.

Thrift's compact protocol and one uncompressed data page of PLAIN values (parquet-format, parquet.thrift).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from decimal import Decimal

BOOLEAN, INT32, INT64, INT96, FLOAT, DOUBLE, BYTE_ARRAY, FIXED = range(8)
UTF8, ENUM, DECIMAL, DATE, JSON, BSON, INTERVAL = 0, 4, 5, 6, 19, 20, 21
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12

Field = tuple[int, int, object]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _value(kind: int, value: object) -> bytes:
    if kind in (_I32, _I64):
        assert isinstance(value, int)
        return _varint(value << 1 if value >= 0 else (-value << 1) - 1)
    if kind == _BINARY:
        assert isinstance(value, bytes)
        return _varint(len(value)) + value
    if kind == _STRUCT:
        assert isinstance(value, list)
        return _struct(value)
    assert isinstance(value, tuple)
    inner, items = value
    return bytes([len(items) << 4 | inner]) + b"".join(_value(inner, item) for item in items)


def _struct(fields: Sequence[Field]) -> bytes:
    out, last = b"", 0
    for number, kind, value in fields:
        if value is None:
            continue
        out += bytes([number - last << 4 | kind]) + _value(kind, value)
        last = number
    return out + b"\0"


def byte_array(value: bytes) -> bytes:
    """A value of BYTE_ARRAY."""
    return struct.pack("<I", len(value)) + value


def decimal_bytes(value: Decimal) -> bytes:
    """The unscaled value as short as it goes, most significant byte first, as in a BYTE_ARRAY decimal."""
    sign, digits, _ = value.as_tuple()
    unscaled = (-1) ** sign * int("".join(map(str, digits)))
    return unscaled.to_bytes((unscaled.bit_length() + 8) // 8, "big", signed=True)


def one_column(
    physical: int,
    values: Sequence[bytes],
    annotation: int | None = None,
    *,
    scale: int | None = None,
    precision: int | None = None,
    width: int | None = None,
    logical: int | None = None,
) -> bytes:
    """The file: a required column `x`. `annotation` is a ConvertedType; `logical` the number of a LogicalType."""
    data = b"".join(values)
    header = _struct(
        [
            (1, _I32, 0),
            (2, _I32, len(data)),
            (3, _I32, len(data)),
            (5, _STRUCT, [(1, _I32, len(values)), (2, _I32, 0), (3, _I32, 3), (4, _I32, 3)]),
        ]
    )
    size = len(header) + len(data)
    column = [
        (1, _I32, physical),
        (2, _LIST, (_I32, [0])),
        (3, _LIST, (_BINARY, [b"x"])),
        (4, _I32, 0),
        (5, _I64, len(values)),
        (6, _I64, size),
        (7, _I64, size),
        (9, _I64, 4),
    ]
    schema = [
        [(4, _BINARY, b"root"), (5, _I32, 1)],
        [
            (1, _I32, physical),
            (2, _I32, width),
            (3, _I32, 0),
            (4, _BINARY, b"x"),
            (6, _I32, annotation),
            (7, _I32, scale),
            (8, _I32, precision),
            (10, _STRUCT, None if logical is None else [(logical, _STRUCT, [])]),
        ],
    ]
    group = [(1, _LIST, (_STRUCT, [[(2, _I64, 4), (3, _STRUCT, column)]])), (2, _I64, size), (3, _I64, len(values))]
    footer = _struct(
        [
            (1, _I32, 1),
            (2, _LIST, (_STRUCT, schema)),
            (3, _I64, len(values)),
            (4, _LIST, (_STRUCT, [group])),
        ]
    )
    return b"PAR1" + header + data + footer + struct.pack("<I", len(footer)) + b"PAR1"
