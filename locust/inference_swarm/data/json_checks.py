"""A piece of JSON lines in, refusals out: of what Arrow would change in silence, or what would end the process. Pure.

Arrow (26.0) crashes on a first line that is `null` and on deep nesting, makes a row of nulls of any other line `null`,
and doubles of integers that no 64 bits hold or that stand among fractions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa

from inference_swarm.config.redaction import without_secrets
from inference_swarm.data.arrow_types import MAX_NESTING, is_list, too_deep
from inference_swarm.data.text_pieces import Piece
from inference_swarm.errors import DataError

_LONG_INTEGER: Final = re.compile(rb"[:\[,]\s*(-?\d{19,})(?=\s*[,\]}])")
_NULL_LINE: Final = re.compile(rb"\n[ \t\r]*null\b")
_NOT_SPACE: Final = re.compile(r"\S")
_TEXT: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')
# Arrow's parser needs 0.8 KB of stack for a level: it ends the process at some 10,000. Shorter lines have fewer.
_MAX_LEVELS: Final = 1000
_LONG_LINE_BYTES: Final = 2 * _MAX_LEVELS


def check_piece(location: str, piece: Piece) -> None:
    """Raise DataError for a piece that Arrow must not see."""
    shown, data = without_secrets(location), piece.data
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{shown} has bytes that are not UTF-8 at byte {piece.offset + error.start}.",
            expected="UTF-8 text with an object in each line.",
            action="save the file again as UTF-8.",
        ) from error
    if _NULL_LINE.search(data) or data.lstrip().startswith(b"null"):
        raise DataError(
            f"{shown} has a line that is null instead of an object, behind byte {piece.offset}.",
            expected="an object in each line; one without keys, {}, is a row of nulls.",
            action="remove the line, or write {} there.",
        )
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    starts = np.concatenate([[0], ends + 1])
    sizes = np.diff(np.concatenate([starts, [len(data)]]))
    for number in np.flatnonzero(sizes > _LONG_LINE_BYTES).tolist():
        line = data[starts[number] : starts[number] + sizes[number]]
        if _levels(line) > _MAX_LEVELS and _levels(_TEXT.sub(b"", line)) > _MAX_LEVELS:
            raise too_deep(shown, f"at byte {piece.offset + int(starts[number])}", MAX_NESTING)


def check_integers(location: str, piece: Piece) -> None:
    """Refuse integers that Arrow would turn into doubles, which do not keep their digits."""
    long: set[int] | None = None  # those that are no part of a text
    for match in _LONG_INTEGER.finditer(piece.data):
        if -(2**63) <= int(match[1]) < 2**63:
            continue
        if long is None:
            long = set()
            for _ in _objects(piece.data, long):
                pass
        if int(match[1]) in long:
            raise DataError(
                f"{without_secrets(location)} has an integer of more than 64 bits at byte "
                f"{piece.offset + match.start(1)}.",
                expected="integers from -2^63 to 2^63 - 1.",
                action="write it as text, or convert the file to parquet with a decimal.",
            )


def check_doubles(location: str, piece: Piece, name: str, kind: pa.DataType) -> None:
    """Refuse a column of fractions and of integers that would change as doubles; `kind` is that of the whole column."""
    key = json.dumps(name, ensure_ascii=False)[1:-1].encode()
    if key not in piece.data and b"\\u" not in piece.data:
        return
    for row in _objects(piece.data):
        changed = next(_rounded(row.get(name), kind), None)
        if changed is not None:
            raise DataError(
                f"{without_secrets(location)}: {name!r} has fractions and the integer {changed}, which no double "
                "holds.",
                expected="integers of at most 2^53 among fractions.",
                action="write the column as text, or convert the file to parquet with a decimal.",
            )


def _rounded(value: Any, kind: pa.DataType) -> Iterator[int]:
    """Yield the integers, here or inside, that a double of this type would change."""
    if pa.types.is_floating(kind):
        if isinstance(value, int) and int(float(value)) != value:
            yield value
    elif isinstance(value, dict) and pa.types.is_struct(kind):
        for field in kind:
            yield from _rounded(value.get(field.name), field.type)
    elif isinstance(value, list) and is_list(kind):
        for item in value:
            yield from _rounded(item, kind.value_type)


def _objects(data: bytes, long: set[int] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the objects of a piece that Arrow has read, wherever their lines end. Long integers are added to `long`."""

    def whole(digits: str) -> int:
        number = int(digits)
        if long is not None and not -(2**63) <= number < 2**63:
            long.add(number)
        return number

    decoder = json.JSONDecoder(parse_int=whole, strict=False)
    text, at = data.decode(), 0
    while start := _NOT_SPACE.search(text, at):
        row, at = decoder.raw_decode(text, start.start())
        yield row


def _levels(line: bytes) -> int:
    view = np.frombuffer(line, np.uint8)
    opens, closes = (np.isin(view, np.frombuffer(some, np.uint8)) for some in (b"[{", b"]}"))
    levels = np.cumsum(opens.astype(np.int32) - closes)
    return int(levels.max()) if len(levels) else 0
