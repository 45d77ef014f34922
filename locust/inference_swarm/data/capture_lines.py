"""Lines of a capture in, its records as Arrow has them out; of what it cannot read, the line and what is wrong."""

from __future__ import annotations

import json
import re
from typing import Final

import pyarrow as pa
import pyarrow.json as pa_json

from inference_swarm.data.capture_check import bad_record
from inference_swarm.data.capture_formats import CaptureFormat
from inference_swarm.data.text_pieces import BOM
from inference_swarm.errors import DataError

_OBJECTS: Final = "a JSON object in each line"
# Until then every column has had a value, or is null throughout.
_MAX_EXAMINED: Final = 1000
_SHOWN: Final = 60
_IN_ROW: Final = re.compile(r"\.? in row \d+$")


def numbers_of(data: bytes, first: int = 1) -> list[int]:
    """Return the numbers of the lines that hold something."""
    return [first + number for number, line in enumerate(data.split(b"\n")) if line.strip()]


def types_of(capture: CaptureFormat, data: bytes, shown: str) -> dict[str, pa.DataType]:
    """Return the columns of the first lines with the type of their first value; text where that is not known.

    Raises DataError when the first line is no record.
    """
    types: dict[str, pa.DataType | None] = {}
    for line in _lines(data)[:_MAX_EXAMINED]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            break  # where it is parsed, it is named
        for name, value in record.items():
            types[name] = types.get(name) or _type_of(value)
        if all(types.values()):
            break
    if not types:
        raise _find_bad_line(capture, data, shown, numbers_of(data), "there is no record")
    return {name: kind or pa.string() for name, kind in types.items()}


def parse_lines(
    capture: CaptureFormat, data: bytes, schema: pa.Schema, shown: str, numbers: list[int]
) -> pa.RecordBatch:
    """Return a record for each of the lines, which have those numbers. Raises DataError."""
    try:
        table = _read(data, schema)
    except (pa.ArrowException, ValueError) as error:
        raise _find_bad_line(capture, data, shown, numbers, str(error), schema) from error
    if table.num_rows != len(numbers):
        raise _find_bad_line(capture, data, shown, numbers, f"there are {table.num_rows} objects")
    (batch,) = table.combine_chunks().to_batches()
    return batch


def _lines(data: bytes) -> list[bytes]:
    return [line for line in data.split(b"\n") if line.strip()]


def _type_of(value: object) -> pa.DataType | None:
    if value is None:
        return None
    if isinstance(value, list):
        return pa.list_(pa.string())
    return {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}.get(type(value), pa.struct([]))


def _refusal_of(line: bytes, schema: pa.Schema) -> str:
    """Return what Arrow says about a line alone, such as half of a surrogate pair or a key that is there twice."""
    try:
        _read(line, schema)
    except (pa.ArrowException, ValueError) as error:
        return f"it cannot be read ({_IN_ROW.sub('', str(error))})"
    return ""


def _read(data: bytes, schema: pa.Schema) -> pa.Table:
    options = pa_json.ParseOptions(explicit_schema=schema, newlines_in_values=False, unexpected_field_behavior="ignore")
    return pa_json.read_json(
        pa.BufferReader(data), pa_json.ReadOptions(use_threads=False, block_size=len(data) + 1), options
    )


def _find_bad_line(
    capture: CaptureFormat,
    data: bytes,
    shown: str,
    numbers: list[int],
    reason: str,
    schema: pa.Schema | None = None,
) -> DataError:
    """Return the error for the first line that is no record: Arrow does not say which it is."""
    for number, line in zip(numbers, _lines(data), strict=True):
        place = f"line {number}"
        if line.startswith(BOM):  # Arrow and json leave one out, but only where their input begins
            return bad_record(shown, place, "it begins with a byte order mark", f"{_OBJECTS}, and no mark between them")
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            return bad_record(shown, place, f"it is not JSON ({error})", _OBJECTS)
        if not isinstance(record, dict):
            return bad_record(shown, place, f"it is {line[:_SHOWN].decode(errors='replace')!r}, no object", _OBJECTS)
        if problem := capture.problem_of(record):
            return bad_record(shown, place, problem, capture.record)
        if schema is not None and (problem := _refusal_of(line, schema)):
            return bad_record(shown, place, problem, capture.record)
    return bad_record(shown, f"lines {numbers[0]} to {numbers[-1]}", reason, capture.record)
