"""Rows of an Arrow table in, one JSON body per row out (a binary Arrow array), encoded column by column.

Strict JSON: NaN, NaT, NA and infinity become null, integers and decimals keep their digits, floats decode to the same
float. What each Arrow type becomes is in `json_rows_texts`, how texts become bodies in `json_rows_assembly`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from inference_swarm.data.json_rows_assembly import Column, Texts, assemble
from inference_swarm.data.json_rows_texts import texts_of
from inference_swarm.errors import DataError

# Rows encoded in one go: the working set (3 MB of bodies at 35 columns) stays near the cache, no call into Arrow or
# orjson is long (tens of microseconds to 2 ms), so a gevent loop beside it keeps its beat. 8192 takes 12 % less time,
# 10 MB more memory; 2048 13 % more time, 8 MB less memory.
SLICE_ROWS: Final = 4096
_INT32_MAX: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class BodyFormat:
    """What surrounds the values of one row: a start, a key before each value, an end."""

    start: bytes
    keys: list[bytes]
    end: bytes


def _row_format(names: list[bytes]) -> BodyFormat:
    """`{"a":1,"b":2}`"""
    return BodyFormat(b"{", [name + b":" for name in names], b"}")


def _instances_format(names: list[bytes]) -> BodyFormat:
    """`{"instances":[{"a":1,"b":2}]}`"""
    return BodyFormat(b'{"instances":[{', [name + b":" for name in names], b"}]}")


def _split_format(names: list[bytes]) -> BodyFormat:
    """`{"columns":["a","b"],"data":[[1,2]]}`"""
    return BodyFormat(b'{"columns":[' + b",".join(names) + b'],"data":[[', [b""] * len(names), b"]]}")


BODY_FORMATS: Final[dict[str, Callable[[list[bytes]], BodyFormat]]] = {
    "row": _row_format,
    "instances": _instances_format,
    "split": _split_format,
}


def encode_rows(batch: pa.Table | pa.RecordBatch, body_format: str = "row") -> pa.Array:
    """One JSON body per row, in order, as a `binary` array (`large_binary` above 2 GiB). Raises like `iter_bodies`."""
    parts = list(iter_bodies(batch, body_format))
    if len(parts) == 1:
        return parts[0]
    if sum(part.nbytes for part in parts) > _INT32_MAX:
        parts = [part.cast(pa.large_binary()) for part in parts]
    return pa.concat_arrays(parts) if parts else pa.array([], pa.binary())


def iter_bodies(batch: pa.Table | pa.RecordBatch, body_format: str = "row") -> Iterator[pa.Array]:
    """One JSON body per row, in order, as `binary` arrays of up to SLICE_ROWS bodies.

    Raises DataError for no columns, columns of the same name, a type that JSON has no form for, text that is not UTF-8.
    """
    if body_format not in BODY_FORMATS:
        raise DataError(
            f"Body format {body_format!r} is unknown.",
            expected=f"one of {', '.join(BODY_FORMATS)}.",
            action="choose one of them.",
        )
    names = batch.schema.names
    check_columns(names)
    layout = BODY_FORMATS[body_format]([json.dumps(name, ensure_ascii=False).encode() for name in names])
    for part in _slices(batch):
        yield from _encode_slice(part, layout)


def check_columns(names: list[str], source: str = "The dataset") -> None:
    """Raise DataError unless a JSON object can hold these columns: at least one, all of different names."""
    if not names:
        raise DataError(
            f"{source} has no columns.",
            expected="at least one feature column, which becomes a key of the JSON body.",
            action="write the parquet file again with the model's feature columns.",
        )
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(
            f"{source}: column name {repeated[0]!r} occurs {names.count(repeated[0])} times.",
            expected="every column to have a name of its own; a JSON object has each key once.",
            action="rename or drop the repeated columns and write the parquet file again.",
        )


def check_encodable(schema: pa.Schema) -> None:
    """Raise DataError unless every type has a JSON form; so that a run fails before its rows are read."""
    for field in schema:
        _texts(pa.nulls(1, field.type), field.name)


def _texts(values: pa.Array, name: str) -> Texts:
    try:
        return texts_of(values, name)
    except pa.ArrowException as error:
        raise DataError(
            f"Column {name!r} of the type {values.type} cannot be encoded ({error}).",
            expected="values that are valid for their type, and a time zone that is known here.",
            action="correct the column, or convert it to text, and write the parquet file again.",
        ) from error


def _slices(batch: pa.Table | pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    if isinstance(batch, pa.Table):
        blocks = batch.to_batches(max_chunksize=SLICE_ROWS)
        if len(blocks) > 2 * (batch.num_rows // SLICE_ROWS + 1):  # many small chunks cost more than one copy
            blocks = batch.combine_chunks().to_batches(max_chunksize=SLICE_ROWS)
        yield from (block for block in blocks if block.num_rows)
    else:
        for start in range(0, batch.num_rows, SLICE_ROWS):
            yield batch.slice(start, SLICE_ROWS)


def _encode_slice(block: pa.RecordBatch, layout: BodyFormat) -> Iterator[pa.Array]:
    try:
        columns = [
            Column(key, _texts(values, name))
            for key, values, name in zip(layout.keys, block.columns, block.schema.names, strict=True)
        ]
        yield assemble(columns, layout.start, layout.end, block.num_rows)
    except OverflowError:  # more than 2 GiB of text: bodies of 262 KB and more
        if block.num_rows == 1:
            raise DataError(
                "One row becomes more than 2 GiB of JSON.",
                expected="rows that fit into a request.",
                action="check the dataset for a column that holds whole files.",
            ) from None
        half = block.num_rows // 2
        yield from _encode_slice(block.slice(0, half), layout)
        yield from _encode_slice(block.slice(half), layout)
