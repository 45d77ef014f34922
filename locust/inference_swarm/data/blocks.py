"""A manifest and some of its blocks in, their rows out, a block at a time: memory holds blocks, not row groups.

Parquet cannot start inside a row group: rows in front of the first wanted one are decoded and dropped. So ask for many
blocks in one call (a row group is then decoded once), and for a block alone only where row groups are small.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from inference_swarm.data.footers import DataFile, read_footer
from inference_swarm.data.manifest import Block, Manifest
from inference_swarm.data.sources import open_file, without_query
from inference_swarm.errors import DataError

# Read-ahead per column. Without it Arrow holds whole column chunks: all compressed bytes of a row group.
_LOCAL_BUFFER_BYTES: Final = 64 * 1024
_REMOTE_BUFFER_BYTES: Final = 1024 * 1024  # every refill is a request to the object store


class LoadedBlock(NamedTuple):
    """A block with its rows and, where the manifest has labels, the label of each row."""

    block: Block
    table: pa.Table
    labels: pa.ChunkedArray | None


def read_block(manifest: Manifest, block: Block, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of one block. Decodes its row group up to the block's end; for several blocks use `iter_blocks`."""
    return next(iter_blocks(manifest, [block], columns)).table


def iter_blocks(
    manifest: Manifest, blocks: Iterable[Block], columns: Sequence[str] | None = None
) -> Iterator[LoadedBlock]:
    """The rows of any set of blocks, in the order of the dataset. DataError when a file is not what it was."""
    wanted = sorted(set(blocks), key=lambda block: block.first_row)
    ranges = [(block.first_row, block.rows) for block in wanted]
    names = list(manifest.schema.names if columns is None else columns)
    tables = _iter_ranges(manifest.files, ranges, names, manifest.block_rows)
    if manifest.label_field is None:
        for block, table in zip(wanted, tables, strict=True):
            yield LoadedBlock(block, table, None)
        return
    labels = _iter_ranges(manifest.labels, ranges, [manifest.label_field.name], manifest.block_rows)
    for block, table, label in zip(wanted, tables, labels, strict=True):
        yield LoadedBlock(block, table, label.column(0))


def _iter_ranges(
    files: Sequence[DataFile], ranges: Sequence[tuple[int, int]], columns: list[str], batch_rows: int
) -> Iterator[pa.Table]:
    """One table for each (first row, rows); ranges ascend, do not overlap, and may cross row groups and files."""
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
        for first_row, batch in _iter_batches(file, file_first_row, ranges, columns, batch_rows):
            end = first_row + len(batch)
            while rows and begin < end:
                part = batch.slice(begin - first_row, rows)
                parts.append(part)
                begin, rows = begin + len(part), rows - len(part)
                if rows == 0:
                    yield pa.Table.from_batches(parts)
                    parts = []
                    begin, rows = next(waiting, (0, 0))
            if rows == 0:
                return
        file_first_row = file_end


def _iter_batches(
    file: DataFile, file_first_row: int, ranges: Sequence[tuple[int, int]], columns: list[str], batch_rows: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(number of its first row, batch) of every row group that a range touches; other row groups are not read."""
    is_remote = "://" in file.location
    with open_file(file.location) as opened:
        now, metadata, _ = read_footer(file.location, opened)
        if (now.size_bytes, now.footer_digest) != (file.size_bytes, file.footer_digest):
            raise DataError(
                f"{without_query(file.location)} has changed since the run began "
                f"({file.size_bytes} bytes and {file.rows} rows then, {now.size_bytes} and {now.rows} now).",
                expected="data that stays as it is during a run.",
                action="start the run again; write new data to a new file.",
            )
        parquet = pq.ParquetFile(
            opened,
            metadata=metadata,
            buffer_size=_REMOTE_BUFFER_BYTES if is_remote else _LOCAL_BUFFER_BYTES,
            pre_buffer=False,
        )
        group_first_row = file_first_row
        for group, group_rows in enumerate(file.row_group_rows):
            group_end = group_first_row + group_rows
            last = bisect_left(ranges, (group_end, 0)) - 1  # of the ranges that begin before the row group ends
            if last >= 0 and sum(ranges[last]) > group_first_row:
                first_row = group_first_row
                for batch in parquet.iter_batches(batch_rows, row_groups=[group], columns=columns, use_threads=False):
                    yield first_row, batch.select(columns)  # Arrow takes `a` for `a.b` too, and keeps the file's order
                    first_row += len(batch)
            group_first_row = group_end
