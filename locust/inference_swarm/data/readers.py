"""A file in, what it holds and its rows out, whatever its format: the table of formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import pyarrow as pa

from inference_swarm.config.redaction import without_secrets
from inference_swarm.data import arrow_files, csv_files, json_files, parquet_files
from inference_swarm.data.capture_files import CAPTURE_READERS
from inference_swarm.data.conform import Conformer
from inference_swarm.data.data_files import DataFile, Description, FileKind, FoundFile
from inference_swarm.data.sources import kind_of_name
from inference_swarm.data.storage import open_file
from inference_swarm.errors import DataError


class Reader(Protocol):
    """What reads the rows of one format."""

    def iter_batches(
        self,
        location: str,
        file: pa.NativeFile,
        known: DataFile,
        row_groups: Sequence[int],
        fields: Sequence[pa.Field],
        batch_rows: int,
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """(row group, its next rows) for row groups in ascending order."""


class TableReader(Reader, Protocol):
    """A module that reads one format of tables."""

    def describe(self, location: str, file: pa.NativeFile) -> Description:
        """Columns and row groups of an open file."""


_TABLES: Final[dict[FileKind, TableReader]] = {
    FileKind.PARQUET: parquet_files,
    FileKind.CSV: csv_files,
    FileKind.JSON_LINES: json_files,
    FileKind.ARROW: arrow_files,
}
READERS: Final[dict[FileKind, Reader]] = {**_TABLES, **CAPTURE_READERS}


def describe_file(found: FoundFile) -> Description:
    """Describe a file. Raises DataError for one that is empty, damaged, or of an unknown format."""
    with open_file(found.location) as file:
        return _TABLES[_kind(found.location, file)].describe(found.location, file)


def iter_rows(
    file: DataFile,
    row_groups: Sequence[int],
    fields: Sequence[pa.Field],
    partition_names: Sequence[str],
    batch_rows: int,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(row group, its next rows) with exactly the fields' columns and types. DataError when the file has changed."""
    conformer = Conformer(fields, dict(zip(partition_names, file.partition, strict=True)), file.location)
    with open_file(file.location) as opened:
        batches = READERS[file.kind].iter_batches(file.location, opened, file, row_groups, fields, batch_rows)
        for group, batch in batches:
            yield group, conformer.apply(batch)


def _kind(location: str, file: pa.NativeFile) -> FileKind:
    """Return the format by the first bytes, else by the name: parquet and Arrow files are known by either."""
    start = bytes(file.read_at(min(8, file.size()), 0))
    if start.startswith(parquet_files.MAGIC):
        return FileKind.PARQUET
    if start.startswith(arrow_files.MAGIC):
        return FileKind.ARROW
    name = location.partition("?")[0] if "://" in location else location
    kind = kind_of_name(name)
    packed = name.lower().endswith((".gz", ".bz2", ".zst", ".xz"))
    if kind is None and packed and kind_of_name(name.rpartition(".")[0]) in (FileKind.CSV, FileKind.JSON_LINES):
        raise DataError(
            f"{without_secrets(location)} is compressed: it cannot be read from the middle.",
            expected="text that is not compressed, so that each worker reads its part; or parquet, which is compressed "
            "inside.",
            action="unpack it, or convert it to parquet.",
        )
    return kind or FileKind.PARQUET  # whose reader says what it is not
