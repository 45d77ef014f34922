"""Rows of an Arrow table in, one body per row out (a binary Arrow array), encoded column by column.

A format is a table of fragments, given from outside (`RowFormat`): constant bytes with a cell's text between each two.
`encode_block(table, row_format)` is all that a new format needs. JSON cells are strict: NaN, NaT, NA and infinity
become null, integers and decimals keep their digits, floats decode to the same float. What each Arrow type becomes is
in `json_rows_texts` (JSON) and `csv_cells` (CSV), how texts become bodies in `json_rows_assembly`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from inference_swarm.data.columns import check_columns
from inference_swarm.data.json_rows_assembly import Texts, assemble
from inference_swarm.data.json_rows_texts import number_texts, row_fragments, texts_alone, texts_of
from inference_swarm.data.numpy_values import numpy_of
from inference_swarm.errors import DataError

# Rows encoded in one go: the working set (3 MB of bodies at 35 columns) stays near the cache, no call into Arrow or
# orjson is long (tens of microseconds to 2 ms), so a gevent loop beside it keeps its beat. 8192 takes 12 % less time,
# 10 MB more memory; 2048 13 % more time, 8 MB less memory.
SLICE_ROWS: Final = 4096
# Cells of a slice: of 10,000 columns 104 rows are encoded in one go, whose pieces are numbered in a matrix of 8 MB.
_MAX_SLICE_CELLS: Final = 4096 * 256
_WIDE_COLUMNS: Final = 256
_FLOATS: Final = frozenset((pa.float32(), pa.float64()))
_INTEGERS: Final = frozenset((pa.int32(), pa.int64(), pa.uint32(), pa.uint64()))
_INT32_MAX: Final = 2**31 - 1

CellEncoder = Callable[[pa.Array, str], Texts]
"""The texts of one column's values; the name is for messages."""


@dataclass(frozen=True, slots=True)
class RowFormat:
    """What surrounds the cells of a row, and how a cell is written.

    `fragments`: one in front of the first cell, one between each two, one behind the last. `cells`: one encoder for all
    columns, or one for each (a column whose nulls need another text, say: `with_null`).
    """

    fragments: tuple[bytes, ...]
    cells: CellEncoder | tuple[CellEncoder, ...] = texts_of

    @classmethod
    def of_keys(
        cls, start: bytes, keys: Sequence[bytes], end: bytes, *, between: bytes = b",", cells: CellEncoder = texts_of
    ) -> RowFormat:
        """Make a format from a start, a key in front of each cell, a separator and an end."""
        return cls(row_fragments(start, keys, end, between), cells)

    def encoders(self) -> Iterator[CellEncoder]:
        """The encoder of each column."""
        if isinstance(self.cells, tuple):
            return iter(self.cells)
        return iter([self.cells] * (len(self.fragments) - 1))


def json_keys(names: Sequence[str]) -> list[bytes]:
    """`"a":` for each name."""
    return [json.dumps(name, ensure_ascii=False).encode() + b":" for name in names]


def encode_rows(batch: pa.Table | pa.RecordBatch) -> pa.Array:
    """One JSON object per row, in order, as a `binary` array (`large_binary` above 2 GiB). Raises as `iter_bodies`."""
    parts = list(iter_bodies(batch))
    if len(parts) == 1:
        return parts[0]
    if sum(part.nbytes for part in parts) > _INT32_MAX:
        parts = [part.cast(pa.large_binary()) for part in parts]
    return pa.concat_arrays(parts) if parts else pa.array([], pa.binary())


def iter_bodies(batch: pa.Table | pa.RecordBatch) -> Iterator[pa.Array]:
    """One JSON object per row, in order, as `binary` arrays of up to SLICE_ROWS bodies.

    Raises DataError for no columns, columns of the same name, a type that JSON has no form for, text that is not UTF-8.
    """
    names = batch.schema.names
    check_columns(names)
    yield from encode_block(batch, RowFormat.of_keys(b"{", json_keys(names), b"}"))


def encode_block(batch: pa.Table | pa.RecordBatch, row_format: RowFormat) -> Iterator[pa.Array]:
    """One body per row, in order, as `binary` arrays of up to SLICE_ROWS bodies, in any format.

    ValueError unless the format has a fragment more than there are columns. DataError as `iter_bodies`.
    """
    if len(row_format.fragments) != len(batch.schema) + 1:
        raise ValueError(f"{len(row_format.fragments)} fragments for {len(batch.schema)} columns")
    for part in _slices(batch):
        yield from _encode_slice(part, row_format)


def label_of(labels: pa.Array | pa.ChunkedArray, row: int) -> object:
    """Return a label as Python has it; as JSON has it where Python's times lack its nanoseconds."""
    try:
        return labels[row].as_py()
    except ValueError:
        one = labels.slice(row, 1)
        one = one.combine_chunks() if isinstance(one, pa.ChunkedArray) else one
        return json.loads(texts_alone(texts_of(one, "label"), 1)[0].as_py())


def labels_of(labels: pa.ChunkedArray) -> list[Any]:
    """Return labels as `label_of` does."""
    try:
        return labels.to_pylist()  # type: ignore[no-any-return]
    except ValueError:
        return [label_of(labels, row) for row in range(len(labels))]


def check_encodable(schema: pa.Schema) -> None:
    """Raise DataError unless every type has a JSON form; so that a run fails before its rows are read."""
    for field in schema:
        _texts(pa.nulls(1, field.type), field.name)


def _texts(values: pa.Array, name: str, encode: CellEncoder = texts_of) -> Texts:
    try:
        return encode(values, name)
    except pa.ArrowException as error:
        raise DataError(
            f"Column {name!r} of the type {values.type} cannot be encoded ({error}).",
            expected="values that are valid for their type, and a time zone that is known here.",
            action="correct the column, or convert it to text, and write the parquet file again.",
        ) from error


def _texts_of_numbers(block: pa.RecordBatch, encoders: Sequence[CellEncoder]) -> dict[int, Texts]:
    """The texts of all columns of JSON numbers, by position; those of one type are encoded in one go.

    A column by itself costs 50 µs however few rows it has, which dominates with 10,000 columns.
    """
    by_type: dict[pa.DataType, list[int]] = {}
    for number, kind in enumerate(block.schema.types):
        if encoders[number] is texts_of and (kind in _FLOATS or (kind in _INTEGERS and not block[number].null_count)):
            by_type.setdefault(kind, []).append(number)
    found: dict[int, Texts] = {}
    for kind, numbers in by_type.items():
        values = np.empty((len(numbers), block.num_rows), kind.to_pandas_dtype())
        for row, number in enumerate(numbers):
            values[row] = numpy_of(block[number])
        together = number_texts(values.reshape(-1))
        for row, number in enumerate(numbers):
            found[number] = replace(together, pieces=together.pieces.slice(row * block.num_rows, block.num_rows))
    return found


def _slices(batch: pa.Table | pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    slice_rows = max(1, min(SLICE_ROWS, _MAX_SLICE_CELLS // max(1, batch.num_columns)))
    if isinstance(batch, pa.Table):
        blocks = batch.to_batches(max_chunksize=slice_rows)
        if len(blocks) > 2 * (batch.num_rows // slice_rows + 1):  # many small chunks cost more than one copy
            blocks = batch.combine_chunks().to_batches(max_chunksize=slice_rows)
        yield from (block for block in blocks if block.num_rows)
    else:
        for start in range(0, batch.num_rows, slice_rows):
            yield batch.slice(start, slice_rows)


def _encode_slice(block: pa.RecordBatch, row_format: RowFormat) -> Iterator[pa.Array]:
    try:
        encoders = list(row_format.encoders())
        texts = _texts_of_numbers(block, encoders) if block.num_columns > _WIDE_COLUMNS else {}
        for number, (values, name) in enumerate(zip(block.columns, block.schema.names, strict=True)):
            if number not in texts:
                texts[number] = _texts(values, name, encoders[number])
        columns = [texts[number] for number in range(block.num_columns)]
        yield assemble(row_format.fragments, columns, block.num_rows)
    except OverflowError:  # more than 2 GiB of text: bodies of 262 KB and more
        if block.num_rows == 1:
            raise DataError(
                "One row becomes more than 2 GiB of JSON.",
                expected="rows that fit into a request.",
                action="check the dataset for a column that holds whole files.",
            ) from None
        half = block.num_rows // 2
        yield from _encode_slice(block.slice(0, half), row_format)
        yield from _encode_slice(block.slice(half), row_format)
