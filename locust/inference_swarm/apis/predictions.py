"""The body of a response in, one prediction for each row out, or what is wrong with it. Pure.

`reader_of` says how one API's responses are read; `--check-answer`, and whoever compares predictions, read with it.
What is wrong is said without anything that differs from response to response: its words group failures.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from inference_swarm.apis.api import Layout, Predictions
from inference_swarm.apis.json_path import nodes_of
from inference_swarm.apis.usable import MAX_DEPTH, TOO_DEEP, AnswerError, check_prediction, has_error, has_failed

__all__ = ["AnswerError", "Reader", "predictions", "reader_of"]
Reader = Callable[[bytes, int], list[Any]]
"""Takes a body, decompressed, and the number of rows sent; returns as many predictions. Raises AnswerError."""

NO_PREDICTIONS: Final = "no predictions in it"
_REASON_KEYS: Final = ("detail", "message")
_MAX_INT_DIGITS: Final = 18
_MISSING_WORDS: Final = frozenset({"", "nan", "null", "none", "na", "n/a"})


def predictions(where: Predictions, body: bytes, row_count: int) -> list[Any]:
    """Return the predictions of one response, as numbers, texts, or lists of them. Raises AnswerError."""
    return reader_of(where)(body, row_count)


def reader_of(where: Predictions) -> Reader:
    """Return what reads all responses of a run."""
    find = _lines_in if where.layout is Layout.LINES else _json_finder_of(where)

    def read(body: bytes, row_count: int) -> list[Any]:
        try:
            found = find(body, row_count)
            if where.are_one:
                if not found:
                    raise AnswerError(NO_PREDICTIONS)
                found = [found]
            if len(found) != row_count:
                raise AnswerError(f"{len(found)} predictions for {row_count} rows")
            for prediction in found:
                check_prediction(prediction)
        except RecursionError:
            raise AnswerError(TOO_DEEP) from None
        return found

    return read


def _json_finder_of(where: Predictions) -> Reader:
    find = _finder_of(where)

    def read(body: bytes, row_count: int) -> list[Any]:
        answer = _parse(body)
        found = find(answer)
        if isinstance(answer, dict) and (has_error(answer) or has_failed(answer)):
            raise AnswerError("an error beside predictions")
        return found

    return read


def _finder_of(where: Predictions) -> Callable[[Any], list[Any]]:
    """Return what finds the predictions in a parsed body."""
    if where.layout is Layout.TENSOR:
        return lambda answer: _tensor_in(answer, where.output)
    if where.layout is Layout.NODES:
        return _nodes_finder(where.json_path)
    return lambda answer: _list_in(answer, where)


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    if not body or body.isspace():
        raise AnswerError("an empty body")
    try:
        # NaN and Infinity, which some servers write, are told from what is no JSON at all.
        return json.loads(body, parse_int=_whole_number)
    except (ValueError, RecursionError):
        raise AnswerError("not JSON") from None


def _whole_number(digits: str) -> int | float:
    """Return what orjson would: a fraction where 64 bits do not hold it, infinity where no number does."""
    return int(digits) if len(digits) <= _MAX_INT_DIGITS else float(digits)


def _list_in(answer: Any, where: Predictions) -> list[Any]:
    for path in where.paths:
        found, is_there = _follow(answer, path)
        if not is_there or (not path and isinstance(found, dict)):
            continue
        if isinstance(found, list):
            return found
        if found is None or not where.may_be_scalar:
            break
        return [found]
    raise AnswerError(_why_none(answer))


def _follow(answer: Any, path: Sequence[str]) -> tuple[Any, bool]:
    for key in path:
        if not isinstance(answer, dict) or key not in answer:
            return None, False
        answer = answer[key]
    return answer, True


def _tensor_in(answer: Any, name: str) -> list[Any]:
    outputs = answer.get("outputs") if isinstance(answer, dict) else None
    if not isinstance(outputs, list) or not outputs:
        raise AnswerError(_why_none(answer))
    named = [output for output in outputs if isinstance(output, dict) and name in ("", output.get("name"))]
    if not named:
        raise AnswerError(f"no output {name!r} in it")
    shape, data = named[0].get("shape"), named[0].get("data")
    if (
        not isinstance(shape, list)
        or len(shape) > MAX_DEPTH
        or not all(type(size) is int and size >= 0 for size in shape)
    ):
        raise AnswerError("an output without a shape")
    if not isinstance(data, list):
        raise AnswerError("an output without data")
    rows, width = (shape[0] if shape else 1), math.prod(shape[1:])
    values = _flat(data)
    if len(values) != rows * width or rows > max(1, len(values)):  # of width 0 there may be any number of rows
        raise AnswerError("an output with other data than its shape says")
    if width == 1:
        return values
    return [values[row * width : (row + 1) * width] for row in range(rows)]


def _flat(data: list[Any]) -> list[Any]:
    """Return the values of a tensor, which may be nested."""
    while data and all(isinstance(entry, list) for entry in data):
        data = [value for entry in data for value in entry]
    return data


def _nodes_finder(json_path: str) -> Callable[[Any], list[Any]]:
    """Return what finds the nodes of a JSONPath; one that leads to a single place leads to the list of predictions."""
    path = nodes_of(json_path)

    def find(answer: Any) -> list[Any]:
        nodes = path.find(answer)
        if not nodes:
            raise AnswerError(_why_none(answer))
        return nodes[0] if path.is_single and isinstance(nodes[0], list) else nodes

    return find


def _lines_in(body: bytes, row_count: int) -> list[Any]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise AnswerError("not text") from None
    if text.lstrip()[:1] in ("<", "{") or _is_json_list(text):
        raise AnswerError("not CSV")
    try:
        lines = [
            [_value(cell) for cell in cells] for cells in csv.reader(io.StringIO(text, newline="")) if _is_row(cells)
        ]
    except csv.Error:
        raise AnswerError("not CSV") from None
    if len(lines) == 1 and row_count > 1 and len(lines[0]) == row_count:
        return lines[0]
    return [cells[0] if len(cells) == 1 else cells for cells in lines]


def _is_json_list(text: str) -> bool:
    """Return whether the first line, or all of it, is a JSON list: its cells would be taken for labels."""
    if not text.lstrip().startswith("["):
        return False
    for part in (text, text.lstrip().partition("\n")[0]):
        try:
            json.loads(part)
        except ValueError:
            continue
        return True
    return False


def _is_row(cells: list[str]) -> bool:
    """Return whether the line is not blank."""
    return len(cells) > 1 or (bool(cells) and not cells[0].isspace())


def _value(cell: str) -> Any:
    text = cell.strip().strip('"')
    if text.lower() in _MISSING_WORDS:
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _why_none(answer: Any) -> str:
    is_error = isinstance(answer, dict) and (
        has_error(answer) or has_failed(answer) or any(key in answer for key in _REASON_KEYS)
    )
    return "an error in place of predictions" if is_error else NO_PREDICTIONS
