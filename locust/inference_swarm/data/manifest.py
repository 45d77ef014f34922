"""Lists the rows, their places and the columns that are sent: the master decides on it and the workers read by it.

It travels (`manifest_wire`), and it is made by `dataset.read_manifest`. Pure.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, Self

import pyarrow as pa

from inference_swarm.config.redaction import without_secrets
from inference_swarm.data.data_files import DataFile, FileKind

BLOCK_ROWS: Final = 8192
# Blocks of a small dataset are smaller, so that it still spreads evenly over many workers. Each costs 2 ms to load.
WANTED_BLOCKS: Final = 512
BLOCKS_A_WORKER: Final = 2  # at least, in a swarm of more workers than half of that
MIN_BLOCKS: Final = 64
MIN_BLOCK_ROWS: Final = 16
# Values in a block of a wide dataset: 8,192 rows of 10,000 columns would be 600 MB. Few rows of many columns are no
# cheaper than some more (0.1 ms a column), so that such a dataset is cut into few blocks.
MAX_BLOCK_VALUES: Final = 1024 * 1024
WIDE_COLUMNS: Final = 1000
MIN_WIDE_BLOCKS: Final = 16


@dataclass(frozen=True, slots=True)
class Block:
    """At most `block_rows` neighbouring rows inside one row group of one file."""

    id: int
    file_index: int
    row_group: int
    offset_in_row_group: int
    rows: int
    first_row: int  # counted over all files


@dataclass(frozen=True, slots=True)
class RowPlace:
    """Where a row of the dataset stands: so a result can be laid beside the file."""

    location: str
    row_in_file: int


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that are sent, and what they are read from.

    `sources[i]` is the column of the files (or of their partitions) that is sent as `schema.field(i)`. The label is a
    column of the same files unless the manifest has files of its own for it.
    """

    schema: pa.Schema
    sources: tuple[str, ...]
    partitions: tuple[str, ...] = ()
    label: pa.Field | None = None

    @classmethod
    def plain(cls, schema: pa.Schema) -> Self:
        """Make columns that are sent under their own names."""
        return cls(schema, tuple(schema.names))

    @property
    def read(self) -> tuple[pa.Field, ...]:
        """The source columns with their wanted types."""
        return tuple(field.with_name(source) for field, source in zip(self.schema, self.sources, strict=True))


@dataclass(frozen=True)
class Manifest:
    """Files, the columns to send, and the blocks. Two manifests of the same bytes have the same fingerprint."""

    files: tuple[DataFile, ...]
    columns: Columns
    block_rows: int
    labels: tuple[DataFile, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)
    answers: tuple[DataFile, ...] = ()
    """Recorded answers to the same rows, in their order."""
    answer_field: pa.Field | None = None
    instant_field: pa.Field | None = None
    """The column of the files with the instant of each row, for a trace."""

    @property
    def schema(self) -> pa.Schema:
        """The names and types of what is sent."""
        return self.columns.schema

    @property
    def label_field(self) -> pa.Field | None:
        """The label's column, if there are labels."""
        return self.columns.label

    @property
    def is_of_whole_seconds(self) -> bool:
        """Whether its format writes no fractions of a second."""
        return self.files[0].kind in (FileKind.SAGEMAKER_LINES, FileKind.SAGEMAKER_PARQUET)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks, numbered in the order of their rows."""
        return _cut(self.files, self.block_rows)

    @cached_property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    @cached_property
    def fingerprint(self) -> str:
        """The digest of sizes and contents, not of places or times: a copy in a bucket has that of the local file."""
        digest = hashlib.sha256(b"manifest 1")
        for file in self.files:
            digest.update(f"\n{file.size_bytes} {file.digest}".encode())
            if file.piece_checksums:
                digest.update(repr(file.piece_checksums).encode())
        return digest.hexdigest()[:32]

    @cached_property
    def _first_rows(self) -> list[int]:
        firsts = [0]
        for file in self.files[:-1]:
            firsts.append(firsts[-1] + file.rows)
        return firsts

    def place_of(self, row: int) -> RowPlace:
        """The file, and the position in it from 0 on, of a row by its number in the dataset."""
        if not 0 <= row < self.rows:
            raise IndexError(f"row {row} of {self.rows}")
        index = bisect_right(self._first_rows, row) - 1
        return RowPlace(without_secrets(self.files[index].location), row - self._first_rows[index])

    def block_of(self, row: int) -> Block:
        """The block that holds a row."""
        return self.blocks[bisect_right(self.blocks, row, key=lambda block: block.first_row) - 1]

    def with_answers(self, answers: tuple[DataFile, ...], field: pa.Field) -> Self:
        """Return the same data with the answers that were recorded for its rows."""
        return replace(self, answers=answers, answer_field=field)

    def with_block_rows(self, block_rows: int) -> Self:
        """Return the same data cut into blocks of at most `block_rows` rows."""
        return replace(self, block_rows=block_rows)

    def for_workers(self, count: int) -> Self:
        """Return the same data with blocks for each of so many workers: one without rows could send nothing."""
        if BLOCKS_A_WORKER * count <= max(WANTED_BLOCKS, len(self.blocks)):
            return self
        return self.with_block_rows(max(1, min(self.block_rows, self.rows // (BLOCKS_A_WORKER * count))))


def choose_block_rows(rows: int, columns: int) -> int:
    """Return the rows of a block for a dataset of the given number of rows and columns."""
    by_rows = max(min(MIN_BLOCK_ROWS, -(-rows // MIN_BLOCKS)), min(BLOCK_ROWS, -(-rows // WANTED_BLOCKS)))
    if columns > WIDE_COLUMNS:
        by_rows = max(by_rows, -(-rows // MIN_WIDE_BLOCKS))
    return max(1, min(by_rows, MAX_BLOCK_VALUES // max(1, columns)))


def choose_batch_rows(block_rows: int, columns: int) -> int:
    """Return the rows to decode at a time: whole blocks, and several small ones where that costs little memory."""
    most = min(BLOCK_ROWS, MAX_BLOCK_VALUES // max(1, columns))
    return max(1, most // block_rows) * block_rows


def _cut(files: tuple[DataFile, ...], block_rows: int) -> tuple[Block, ...]:
    blocks: list[Block] = []
    first_row = 0
    for file_index, file in enumerate(files):
        for row_group, group_rows in enumerate(file.row_group_rows):
            for offset in range(0, group_rows, block_rows):
                rows = min(block_rows, group_rows - offset)
                blocks.append(Block(len(blocks), file_index, row_group, offset, rows, first_row + offset))
            first_row += group_rows
    return tuple(blocks)
