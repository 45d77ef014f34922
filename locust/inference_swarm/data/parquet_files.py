"""Parquet files: what their footers say, and their rows. Knows nothing of other files of the dataset."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from inference_swarm.config.redaction import without_secrets
from inference_swarm.data.arrow_types import MAX_NESTING, check_nesting, too_deep
from inference_swarm.data.data_files import DataFile, Description, FileKind
from inference_swarm.errors import DataError

_TAIL_BYTES: Final = 64 * 1024  # one read gets the whole footer of most files
MAGIC: Final = b"PAR1"
_TRAILER_BYTES: Final = 8  # the footer's length, and MAGIC
_SIGNATURE_BYTES: Final = 28
# Read-ahead per column. Without it Arrow holds whole column chunks: all compressed bytes of a row group.
_LOCAL_BUFFER_BYTES: Final = 64 * 1024
_REMOTE_BUFFER_BYTES: Final = 1024 * 1024  # every refill is a request to the object store
_MAX_BUFFERS_BYTES: Final = 64 * 1024 * 1024  # of all columns of a wide file together
_MIN_BUFFER_BYTES: Final = 4096


def describe(location: str, file: pa.NativeFile) -> Description:
    """Describe an open file. Raises DataError for a file that is empty, not parquet, or cut off."""
    size_bytes, footer = _read_footer(location, file)
    parsed = _parse(location, footer)
    metadata = parsed.metadata
    # Behind a footer that is signed and not encrypted stands its signature; to ask for a column ends the process then.
    if metadata.serialized_size == len(footer) - _TRAILER_BYTES - _SIGNATURE_BYTES:
        raise _encrypted(location)
    check_nesting(parsed.schema_arrow, without_secrets(location))
    row_group_rows = tuple(metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))
    data_file = DataFile(location, size_bytes, hashlib.sha256(footer).hexdigest(), row_group_rows, FileKind.PARQUET)
    return Description(
        data_file,
        parsed.schema_arrow,
        _int96_columns(parsed),
        _of_type(parsed, "INTERVAL"),
        _encoded(parsed),
        nulls=_columns_with_nulls(parsed),
    )


def iter_batches(
    location: str,
    file: pa.NativeFile,
    known: DataFile,
    row_groups: Sequence[int],
    fields: Sequence[pa.Field],
    batch_rows: int,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(row group, batch) of the row groups, with those of the fields' columns that the file has, as it has them.

    INT96 timestamps come in the unit of their field, so that no year is out of its range.
    """
    size_bytes, footer = _read_footer(location, file)
    if (size_bytes, hashlib.sha256(footer).hexdigest()) != (known.size_bytes, known.digest):
        raise changed(known, size_bytes)
    first = _parse(location, footer)
    present = set(first.schema_arrow.names)
    columns = [field.name for field in fields if field.name in present]
    in_ns = _in_nanoseconds(fields, _int96_columns(first)) & set(columns)
    # Arrow has one unit for all INT96 columns of a file: those that need another are read beside the rest.
    readers = [
        (_open(location, file, first.metadata, unit, len(columns)), names)
        for unit, names in (("us", [name for name in columns if name not in in_ns]), ("ns", sorted(in_ns)))
        if names
    ]
    for group in row_groups:
        if not columns:  # all that is sent of this file are its partition's values
            yield group, _without_columns(first.metadata.row_group(group).num_rows)
            continue
        parts = [
            parquet.iter_batches(batch_rows, row_groups=[group], columns=names, use_threads=False)
            for parquet, names in readers
        ]
        if len(readers) == 1:
            for batch in parts[0]:
                # Arrow takes `a` for `a.b` too, and keeps the file's order.
                yield group, batch if batch.schema.names == columns else batch.select(columns)
            continue
        for batches in zip(*parts, strict=True):
            arrays = {
                name: batch.column(name) for batch, (_, names) in zip(batches, readers, strict=True) for name in names
            }
            yield group, pa.RecordBatch.from_arrays([arrays[name] for name in columns], columns)


def changed(known: DataFile, size_bytes: int) -> DataError:
    """Return the error for a file that is not what it was when the manifest was read."""
    return DataError(
        f"{without_secrets(known.location)} has changed since the run began "
        f"({known.size_bytes} bytes and {known.rows} rows then, {size_bytes} bytes now).",
        expected="data that stays as it is during a run.",
        action="start the run again; write new data to a new file.",
    )


def broken(location: str, reason: str, kind: str = "parquet") -> DataError:
    """Return the error for a file that begins well and cannot be read to its end."""
    return DataError(
        f"{without_secrets(location)} is damaged or was not copied completely ({reason}).",
        expected=f"a complete {kind} file.",
        action="make or copy it again.",
    )


def _read_footer(location: str, file: pa.NativeFile) -> tuple[int, bytes]:
    size_bytes = file.size()
    tail = _read_tail(file, size_bytes, _TAIL_BYTES)
    if size_bytes < 12 or tail[-4:] != MAGIC:
        raise _not_parquet(location, file, size_bytes, tail)
    footer_bytes = int.from_bytes(tail[-8:-4], "little") + 8
    if footer_bytes > size_bytes - 4:
        raise broken(location, f"its footer claims {footer_bytes} of {size_bytes} bytes")
    if footer_bytes > len(tail):
        tail = _read_tail(file, size_bytes, footer_bytes)
    return size_bytes, tail[-footer_bytes:]


def _parse(location: str, footer: bytes) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(
            pa.BufferReader(MAGIC + footer), coerce_int96_timestamp_unit="us", arrow_extensions_enabled=True
        )
    except pa.ArrowNotImplementedError as error:
        raise DataError(
            f"{without_secrets(location)} holds a column of a type that Arrow cannot read ({error}).",
            expected="types that docs/data.md lists.",
            action="write the file again without the column, or with the column as text or decimal.",
        ) from error
    except (OSError, pa.ArrowException) as error:
        if "deeply nested" in str(error):
            raise too_deep(without_secrets(location), "in its schema", MAX_NESTING) from error
        raise broken(location, str(error)) from error


def _open(location: str, file: pa.NativeFile, metadata: pq.FileMetaData, unit: str, columns: int) -> pq.ParquetFile:
    wanted_bytes = _REMOTE_BUFFER_BYTES if "://" in location else _LOCAL_BUFFER_BYTES
    return pq.ParquetFile(
        file,
        metadata=metadata,
        buffer_size=max(_MIN_BUFFER_BYTES, min(wanted_bytes, _MAX_BUFFERS_BYTES // columns)),
        pre_buffer=False,
        coerce_int96_timestamp_unit=unit,
        arrow_extensions_enabled=True,
        page_checksum_verification=True,  # where the writer has made checksums
    )


def _int96_columns(parsed: pq.ParquetFile) -> frozenset[str]:
    """Names of the top-level columns that are, or hold, INT96 timestamps."""
    return frozenset(name for name, leaf in _leaves(parsed) if leaf.physical_type == "INT96")


def _of_type(parsed: pq.ParquetFile, kind: str) -> dict[str, str]:
    return {name: kind for name, leaf in _leaves(parsed) if leaf.converted_type == kind}


def _encoded(parsed: pq.ParquetFile) -> dict[str, str]:
    """Return columns of bytes that are known to be no text, even where they happen to be UTF-8."""
    geometry = {name: "WKB" for name, leaf in _leaves(parsed) if leaf.logical_type.type in ("GEOMETRY", "GEOGRAPHY")}
    try:
        columns = json.loads((parsed.schema_arrow.metadata or {}).get(b"geo", b"{}")).get("columns", {})
        geometry |= dict.fromkeys(columns, "WKB")
    except (ValueError, AttributeError, TypeError):
        pass  # metadata of something else
    return geometry | _of_type(parsed, "BSON")


def _columns_with_nulls(parsed: pq.ParquetFile) -> frozenset[str]:
    """Names of plain columns of which some row group's statistics count nulls."""
    metadata = parsed.metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    return frozenset(
        name
        for number, (name, leaf) in enumerate(_leaves(parsed))
        if leaf.path == name and any(_has_nulls(group.column(number).statistics) for group in groups)
    )


def _has_nulls(statistics: Any) -> bool:
    return statistics is not None and statistics.has_null_count and statistics.null_count > 0


def _leaves(parsed: pq.ParquetFile) -> Iterator[tuple[str, Any]]:
    """Return every leaf with its top-level column; counted, as the dots of a leaf's path may belong to names."""
    number = 0
    for column in parsed.schema_arrow:
        for _ in range(_leaf_count(column.type)):
            yield column.name, parsed.schema.column(number)
            number += 1


def _leaf_count(kind: pa.DataType) -> int:
    if isinstance(kind, pa.BaseExtensionType):
        return _leaf_count(kind.storage_type)
    if pa.types.is_run_end_encoded(kind):
        return _leaf_count(kind.value_type)
    if pa.types.is_nested(kind):
        return sum(_leaf_count(kind.field(number).type) for number in range(kind.num_fields))
    return 1


def _in_nanoseconds(fields: Sequence[pa.Field], int96: frozenset[str]) -> set[str]:
    return {field.name for field in fields if field.name in int96 and "timestamp[ns" in str(field.type)}


def _without_columns(rows: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))


def _read_tail(file: pa.NativeFile, size_bytes: int, tail_bytes: int) -> bytes:
    length = min(size_bytes, tail_bytes)
    return bytes(file.read_at(length, size_bytes - length))


def _not_parquet(location: str, file: pa.NativeFile, size_bytes: int, tail: bytes) -> DataError:
    shown = without_secrets(location)
    if size_bytes == 0:
        return DataError(f"{shown} is empty (0 bytes).", expected="a parquet file.", action="make or copy it again.")
    if tail[-4:] == b"PARE":
        return _encrypted(location)
    if size_bytes >= 4 and file.read_at(4, 0) == MAGIC:
        return broken(location, f"its end is missing: {size_bytes} bytes, and the last are not PAR1")
    return DataError(
        f"{shown} is not a parquet file (it begins with {bytes(file.read_at(16, 0))!r}).",
        expected="a parquet file, which begins and ends with PAR1; or one whose name says .csv, .jsonl or .arrow.",
        action="convert it, for example with pandas: read_csv(...).to_parquet(...).",
    )


def _encrypted(location: str) -> DataError:
    return DataError(
        f"{without_secrets(location)} is encrypted.",
        expected="a parquet file without encryption.",
        action="write it again without encryption.",
    )
