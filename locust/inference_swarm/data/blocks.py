"""A manifest and some of its blocks in, their rows out, a block at a time: memory holds blocks, not row groups.

Parquet cannot start inside a row group: rows in front of the first wanted one are decoded and dropped. So ask for many
blocks in one call (a row group is then decoded once), and for a block alone only where row groups are small.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from inference_swarm.data.conform import cast
from inference_swarm.data.data_files import DataFile
from inference_swarm.data.manifest import Block, Manifest, choose_batch_rows
from inference_swarm.data.readers import iter_rows


class LoadedBlock(NamedTuple):
    """A block with its rows and, where the manifest has them, the label of each row and the answer recorded for it."""

    block: Block
    table: pa.Table
    labels: pa.ChunkedArray | None
    answers: pa.ChunkedArray | None = None


def read_block(manifest: Manifest, block: Block) -> pa.Table:
    """Return the rows of a block. Decodes its row group up to the block's end; for several blocks use `iter_blocks`."""
    return next(iter_blocks(manifest, [block])).table


def iter_blocks(manifest: Manifest, blocks: Iterable[Block]) -> Iterator[LoadedBlock]:
    """Yield the rows of any set of blocks, in the order of the dataset, under the names in which they are sent.

    DataError when a file is not what it was, or holds a value that its column's type cannot.
    """
    wanted = sorted(set(blocks), key=lambda block: block.first_row)
    ranges = [(block.first_row, block.rows) for block in wanted]
    columns, label = manifest.columns, manifest.label_field
    fields = [*columns.read, *([label] if label is not None and not manifest.labels else [])]
    batch_rows = choose_batch_rows(manifest.block_rows, len(fields))
    tables = _iter_ranges(manifest.files, ranges, fields, columns.partitions, batch_rows)
    label_tables: Iterator[pa.Table | None] = iter([None] * len(wanted))
    if manifest.labels and label is not None:
        label_tables = _iter_ranges(manifest.labels, ranges, [label], (), batch_rows)
    answer_tables: Iterator[pa.Table | None] = iter([None] * len(wanted))
    if manifest.answers and manifest.answer_field is not None:
        answer_tables = _iter_ranges(manifest.answers, ranges, [manifest.answer_field], (), batch_rows)
    names = columns.schema.names
    for block, table, label_table, answers in zip(wanted, tables, label_tables, answer_tables, strict=True):
        if label is None:
            labels = None
        elif label_table is not None:
            labels = label_table.column(0)
        else:
            labels = table.column(len(names))
        rows = table.select(range(len(names))).rename_columns(names)
        yield LoadedBlock(block, rows, labels, None if answers is None else answers.column(0))


def _iter_ranges(
    files: Sequence[DataFile],
    ranges: Sequence[tuple[int, int]],
    fields: Sequence[pa.Field],
    partitions: Sequence[str],
    batch_rows: int,
) -> Iterator[pa.Table]:
    """Yield one table for each (first row, rows); ranges ascend, do not overlap, and may cross row groups and files."""
    waiting = iter(ranges)
    begin, rows = next(waiting, (0, 0))
    parts: list[pa.RecordBatch] = []
    file_first_row = 0
    for file in files:
        if rows == 0:
            return
        file_end = file_first_row + file.rows
        if begin >= file_end:
            file_first_row = file_end
            continue
        for first_row, batch in _iter_batches(file, file_first_row, ranges, fields, partitions, batch_rows):
            end = first_row + len(batch)
            while rows and begin < end:
                part = batch.slice(begin - first_row, rows)
                parts.append(part)
                begin, rows = begin + len(part), rows - len(part)
                if rows == 0:
                    yield _joined(parts, fields)
                    parts = []
                    begin, rows = next(waiting, (0, 0))
            if rows == 0:
                return
        file_first_row = file_end


def _joined(parts: list[pa.RecordBatch], fields: Sequence[pa.Field]) -> pa.Table:
    """Join batches. Those of one row group share an encoding; of several files, one may have a dictionary, say."""
    if any(part.schema != parts[0].schema for part in parts):
        parts = [
            pa.RecordBatch.from_arrays(
                [_plain(column, field.type) for column, field in zip(part.columns, fields, strict=True)],
                [field.name for field in fields],
            )
            for part in parts
        ]
    return pa.Table.from_batches(parts)


def _plain(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return cast(values, kind)


def _iter_batches(
    file: DataFile,
    file_first_row: int,
    ranges: Sequence[tuple[int, int]],
    fields: Sequence[pa.Field],
    partitions: Sequence[str],
    batch_rows: int,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield (number of its first row, batch) of every row group that a range touches; other row groups are not read."""
    next_rows: dict[int, int] = {}
    group_first_row = file_first_row
    for group, group_rows in enumerate(file.row_group_rows):
        group_end = group_first_row + group_rows
        last = bisect_left(ranges, (group_end, 0)) - 1  # of the ranges that begin before the row group ends
        if last >= 0 and sum(ranges[last]) > group_first_row:
            next_rows[group] = group_first_row
        group_first_row = group_end
    for group, batch in iter_rows(file, list(next_rows), fields, partitions, batch_rows):
        yield next_rows[group], batch
        next_rows[group] += len(batch)
