"""A request body in, rows of plain values in column order out; the four body shapes and what may be wrong with them.

Time and message are linear in the body: whoever sends nonsense does not hold up the others.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import orjson

from server.errors import RequestError, nearest, shown

SHAPES = 'one row {"column": value, …}, a list of rows, {"instances": [rows]}, or {"columns": […], "data": [[…]]}'
_SHOWN = 8

_STRING_OR_CONSTANT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|-?\b(?:NaN|Infinity)\b', re.DOTALL)
"""Strings are matched as well, and whole, so that a NaN in one of them is none."""


def read_rows(body: bytes, names: tuple[str, ...]) -> list[list[Any]]:
    """Every row's values in the order of `names`; raises RequestError with what was found and expected."""
    document = parse_json(body)
    if isinstance(document, dict):
        if document.keys() == {"instances"} and _is_wrapper(document, names):
            return rows_from_list(document["instances"], names, '"instances"')
        is_split = {"columns", "data"} <= document.keys() <= {"columns", "data", "index"}
        if is_split and _is_wrapper(document, names):
            return rows_from_split(document["columns"], document["data"], names)
        return [_from_object(document, names, 0)]
    if isinstance(document, list):
        return rows_from_list(document, names, "the body")
    raise RequestError(422, f"The body is {describe(document)}; expected {SHAPES}.")


def describe(value: Any) -> str:
    """A JSON value in the words of an error message, shortened."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    kind = {bool: "the boolean", int: "the number", float: "the number", str: "the string"}[type(value)]
    text = json.dumps(value, ensure_ascii=False)
    return f"{kind} {text if len(text) <= 60 else text[:60] + '…'}"


def _is_wrapper(document: dict[str, Any], names: tuple[str, ...]) -> bool:
    """False for a row of a model whose columns are called like the parts of a wrapper: no value of a row is a list."""
    return set(names) != document.keys() or all(isinstance(value, list) for value in document.values())


def parse_json(body: bytes) -> Any:
    """The document. The literals NaN and ±Infinity, which pandas writes, are missing values like null."""
    if not body.strip():
        raise RequestError(400, f"The body is empty; expected JSON: {SHAPES}.")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if body[:2] == b"\x1f\x8b":
            sentence = "The body is compressed with gzip; expected plain JSON without Content-Encoding."
            raise RequestError(415, sentence) from None
        reason = error
    if b"NaN" in body or b"Infinity" in body:
        try:
            return orjson.loads(_STRING_OR_CONSTANT.sub(_as_null, body))
        except orjson.JSONDecodeError:
            pass  # the first reason is about what was sent
    raise RequestError(400, f"The body is not JSON ({reason}); it begins with {_beginning(body)}; expected {SHAPES}.")


def _as_null(match: re.Match[bytes]) -> bytes:
    return match[0] if match[0].startswith(b'"') else b"null"


def _beginning(body: bytes) -> str:
    text = body[:40].decode("utf-8", errors="replace")
    return json.dumps(text if len(body) <= 40 else text + "…", ensure_ascii=False)


def rows_from_list(rows: Any, names: tuple[str, ...], where: str) -> list[list[Any]]:
    if not isinstance(rows, list):
        raise RequestError(422, f"{where} is {describe(rows)}; expected a list of rows.")
    if not rows:
        raise RequestError(422, f"{where.capitalize()} is an empty list; expected at least one row.")
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise RequestError(422, f"Row {number} of {where} is {describe(row)}; expected an object of columns.")
    return [_from_object(row, names, number) for number, row in enumerate(rows)]


def _from_object(row: dict[str, Any], names: tuple[str, ...], number: int) -> list[Any]:
    if len(row) == len(names):
        try:
            return [row[name] for name in names]
        except KeyError:
            pass  # explained below, off the fast path
    raise _wrong_columns(list(row), names, f"Row {number}")


def rows_from_split(columns: Any, data: Any, names: tuple[str, ...]) -> list[list[Any]]:
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise RequestError(422, f'"columns" is {describe(columns)}; expected a list of column names.')
    if len(set(columns)) != len(columns) or set(columns) != set(names):
        raise _wrong_columns(columns, names, '"columns"')
    if not isinstance(data, list):
        raise RequestError(422, f'"data" is {describe(data)}; expected a list of rows, each a list of values.')
    if not data:
        raise RequestError(422, '"data" is an empty list; expected at least one row.')
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(columns):
            found = f"has {len(row)} values" if isinstance(row, list) else f"is {describe(row)}"
            raise RequestError(422, f'Row {number} of "data" {found}; expected a list of {len(columns)} values.')
    order = [columns.index(name) for name in names]
    return [[row[position] for position in order] for row in data]


def rows_from_records(rows: Any, names: tuple[str, ...], where: str) -> list[list[Any]]:
    """Like `rows_from_list`, for APIs whose servers ignore what a model does not know; what it lacks is refused."""
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        found = "an empty list" if rows == [] else describe(rows)
        raise RequestError(422, f"{where} is {found}; expected a list of rows, each an object of columns.")
    try:
        return [[row[name] for name in names] for row in rows]
    except KeyError:
        number = next(number for number, row in enumerate(rows) if not row.keys() >= set(names))
        raise _missing_columns(rows[number], names, f"Row {number} of {where}") from None


def rows_from_columns(columns: dict[str, list[Any]], names: tuple[str, ...], where: str) -> list[list[Any]]:
    """Values by column, all equally many. Columns that a model does not know are ignored."""
    if not columns.keys() >= set(names):
        raise _missing_columns(columns, names, where)
    lengths = {name: len(columns[name]) for name in names}
    if len(set(lengths.values())) > 1 or not all(lengths.values()):
        found = ", ".join(f"'{name}' {length}" for name, length in list(lengths.items())[:_SHOWN])
        raise RequestError(422, f"The columns of {where} have these numbers of values: {found}; expected one number.")
    return [list(row) for row in zip(*(columns[name] for name in names), strict=True)]


def _missing_columns(found: Collection[str], names: tuple[str, ...], where: str) -> RequestError:
    missing = [name for name in names if name not in found]
    plural = "s" if len(missing) > 1 else ""
    return RequestError(422, f"{where} lacks the column{plural} {_listed(missing)}; expected {_listed(names)}.")


def _wrong_columns(found: list[str], names: tuple[str, ...], where: str) -> RequestError:
    counts, known = Counter(found), set(names)
    missing = [name for name in names if name not in counts]
    extra = [name for name in counts if name not in known]
    repeated = [name for name, count in counts.items() if count > 1]
    parts = []
    if missing:
        parts.append(f"lacks the column{'s' if len(missing) > 1 else ''} {_listed(missing)}")
    if extra:
        hints = [f"'{shown(name)}'{nearest(name, missing)}" for name in extra[:_SHOWN]]
        rest = f" and {len(extra) - _SHOWN} more" if len(extra) > _SHOWN else ""
        parts.append(f"has the unknown column{'s' if len(extra) > 1 else ''} {', '.join(hints)}{rest}")
    if repeated:
        parts.append(f"has {_listed(repeated)} more than once")
    return RequestError(422, f"{where} {' and '.join(parts)}; expected exactly these {len(names)}: {_listed(names)}.")


def _listed(names: Sequence[str]) -> str:
    listed = ", ".join(f"'{shown(name)}'" for name in names[:_SHOWN])
    return listed if len(names) <= _SHOWN else f"{listed} and {len(names) - _SHOWN} more"
