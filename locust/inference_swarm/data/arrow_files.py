"""Arrow IPC files (Feather 2): their columns and record batches, and their rows."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa

from inference_swarm.config.redaction import without_secrets
from inference_swarm.data.arrow_types import check_nesting
from inference_swarm.data.data_files import DataFile, Description, FileKind
from inference_swarm.data.parquet_files import broken, changed
from inference_swarm.errors import DataError

MAGIC: Final = b"ARROW1"
_FEATHER_1: Final = b"FEA1"
_READ_BYTES: Final = 1024 * 1024
_TRAILER_BYTES: Final = len(MAGIC) + 4


def describe(location: str, file: pa.NativeFile) -> Description:
    """Describe an open file. Its record batches are read for their rows, with one column of each."""
    size_bytes, digest = _digest(location, file)
    schema = _open(location, file).schema
    check_nesting(schema, without_secrets(location))
    one_column = pa.ipc.IpcReadOptions(included_fields=[_cheapest(schema)] if len(schema) else None)
    try:
        reader = _open(location, file, one_column)
        rows = tuple(reader.get_batch(number).num_rows for number in range(reader.num_record_batches))
    except pa.ArrowException as error:
        raise broken(location, str(error), "Arrow") from error
    checksum = _checksum(file, size_bytes)
    return Description(
        DataFile(location, size_bytes, digest, rows, FileKind.ARROW, piece_checksums=(checksum,)), schema
    )


def iter_batches(
    location: str,
    file: pa.NativeFile,
    known: DataFile,
    row_groups: Sequence[int],
    fields: Sequence[pa.Field],
    batch_rows: int,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(record batch, part of it) with those of the fields' columns that the file has, as it has them."""
    size_bytes, digest = _digest(location, file)
    if (size_bytes, digest) != (known.size_bytes, known.digest):
        raise changed(known, size_bytes)
    names = _open(location, file).schema.names
    wanted = {field.name for field in fields}
    numbers = [number for number, name in enumerate(names) if name in wanted]
    reader = _open(location, file, pa.ipc.IpcReadOptions(included_fields=numbers or [0], use_threads=False))
    for group in row_groups:
        batch = reader.get_batch(group)
        for begin in range(0, len(batch), batch_rows):
            yield group, batch.slice(begin, batch_rows)


def _digest(location: str, file: pa.NativeFile) -> tuple[int, str]:
    """Return the digest of the footer, which has the schema and the place of each record batch."""
    size_bytes = file.size()
    start = bytes(file.read_at(min(8, size_bytes), 0))
    shown = without_secrets(location)
    if start.startswith(_FEATHER_1):
        raise DataError(
            f"{shown} is a Feather file of version 1.",
            expected="an Arrow IPC file (Feather 2).",
            action="write it again: pyarrow.feather.write_feather(..., version=2).",
        )
    if not start.startswith(MAGIC):
        raise DataError(
            f"{shown} is not an Arrow IPC file (it begins with {start!r}).",
            expected="a file that begins and ends with ARROW1; a stream has no footer that says where its rows are.",
            action="write it with pyarrow.ipc.new_file, or as parquet.",
        )
    tail = bytes(file.read_at(_TRAILER_BYTES, size_bytes - _TRAILER_BYTES)) if size_bytes > _TRAILER_BYTES else b""
    footer_bytes = int.from_bytes(tail[:4], "little") + _TRAILER_BYTES
    if tail[4:] != MAGIC or footer_bytes > size_bytes:
        raise broken(location, f"its end is missing: {size_bytes} bytes, and the last are not ARROW1", "Arrow")
    return size_bytes, hashlib.sha256(file.read_at(footer_bytes, size_bytes - footer_bytes)).hexdigest()


def _checksum(file: pa.NativeFile, size_bytes: int) -> int:
    """Return the checksum of the whole file: unlike parquet's, its footer says nothing about the values."""
    checksum = 0
    for offset in range(0, size_bytes, _READ_BYTES):
        checksum = zlib.crc32(file.read_at(min(_READ_BYTES, size_bytes - offset), offset), checksum)
    return checksum


def _open(
    location: str, file: pa.NativeFile, options: pa.ipc.IpcReadOptions | None = None
) -> pa.ipc.RecordBatchFileReader:
    try:
        return pa.ipc.open_file(file, options=options)
    except (pa.ArrowException, OSError) as error:
        raise broken(location, str(error), "Arrow") from error


def _cheapest(schema: pa.Schema) -> int:
    """Return a column of fixed width if there is one: its values are the cheapest to read."""
    for number, field in enumerate(schema):
        if pa.types.is_primitive(field.type):
            return number
    return 0
