"""Describes one file of a dataset before its rows are read: where it is, what it holds, and how it is cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pyarrow as pa

PartitionValue = str | int | None


class FileKind(StrEnum):
    """The formats that rows are read from."""

    PARQUET = "parquet"
    CSV = "csv"
    JSON_LINES = "jsonl"
    ARROW = "arrow"
    # Captures (`capture_formats`), whose rows are the recorded requests.
    SAGEMAKER_LINES = "sagemaker-data-capture jsonl"
    SAGEMAKER_PARQUET = "sagemaker-data-capture parquet"
    TABLE_LINES = "inference-table jsonl"
    TABLE_PARQUET = "inference-table parquet"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file as its source was listed."""

    location: str
    partition_path: str = ""  # the part of its path in which `key=value` folders are columns


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file as it was when the manifest was read.

    A row group is what can be read by itself: a row group of parquet, a record batch of Arrow, and of a text file a
    piece that begins and ends with a row.
    """

    location: str
    size_bytes: int
    digest: str  # SHA-256 of the footer, which has counts, positions and statistics; of a text file of its pieces
    row_group_rows: tuple[int, ...]
    kind: FileKind = FileKind.PARQUET
    partition: tuple[PartitionValue, ...] = ()  # values of the manifest's partition columns
    piece_offsets: tuple[int, ...] = ()  # text files: where each piece begins, and where the last ends
    piece_checksums: tuple[int, ...] = ()  # text files: CRC-32 of each piece

    @property
    def rows(self) -> int:
        return sum(self.row_group_rows)


@dataclass(frozen=True, slots=True)
class Description:
    """What a reader of one format found in a file; `file` has no values of partitions yet."""

    file: DataFile
    schema: pa.Schema
    int96: frozenset[str] = frozenset()  # columns whose timestamps are wider than any unit of Arrow's
    refused: Mapping[str, str] = field(default_factory=dict)  # columns that have no form in a request, and their type
    encoded: Mapping[str, str] = field(default_factory=dict)  # columns of bytes that are no text, and what they are
    notes: tuple[str, ...] = ()
    wide: frozenset[str] = frozenset()  # columns of text files with integers of 2^53 and more, which doubles may change
    nulls: frozenset[str] = frozenset()  # columns that have some, as far as the file says so before its rows are read
