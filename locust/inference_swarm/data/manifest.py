"""A data source in, its blocks out: what rows there are and where, read from the parquet footers alone.

The manifest is what the master decides on and what the workers read by, so it travels (`to_wire`). It reads no rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from inference_swarm.data.json_rows import check_columns, check_encodable
from inference_swarm.data.sources import list_files, open_file, without_query
from inference_swarm.errors import DataError, ProtocolError

BLOCK_ROWS: Final = 8192
WIRE_VERSION: Final = 1
_TAIL_BYTES: Final = 64 * 1024  # one read gets the whole footer of most files
_MAGIC: Final = b"PAR1"


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
class DataFile:
    """One parquet file as it was when the manifest was read."""

    location: str
    size_bytes: int
    footer_digest: str  # SHA-256 of the footer: row counts, statistics, positions and sizes of all column chunks
    row_group_rows: tuple[int, ...]

    @property
    def rows(self) -> int:
        return sum(self.row_group_rows)


@dataclass(frozen=True, slots=True)
class Manifest:
    """Files, the columns to send, and the blocks. Two manifests of the same bytes have the same fingerprint."""

    files: tuple[DataFile, ...]
    schema: pa.Schema
    blocks: tuple[Block, ...]
    rows: int
    fingerprint: str
    block_rows: int
    labels: tuple[DataFile, ...] = ()
    label_field: pa.Field | None = None

    def to_wire(self) -> dict[str, Any]:
        """Plain values for msgpack. Blocks are not sent: they follow from row groups and `block_rows`."""
        label_schema = pa.schema([self.label_field] if self.label_field is not None else [])
        return {
            "version": WIRE_VERSION,
            "block_rows": self.block_rows,
            "files": [_file_to_wire(file) for file in self.files],
            "labels": [_file_to_wire(file) for file in self.labels],
            "schema": self.schema.serialize().to_pybytes(),
            "label_schema": label_schema.serialize().to_pybytes(),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """The same manifest again. ProtocolError for another version or a message of another shape."""
        if wire.get("version") != WIRE_VERSION:
            raise ProtocolError(
                f"The master sent a manifest of version {wire.get('version')!r}.",
                expected=f"version {WIRE_VERSION}.",
                action="run the same release of the swarm on the master and on all workers.",
            )
        try:
            label_schema = pa.ipc.read_schema(pa.py_buffer(wire["label_schema"]))
            return cls._of(
                tuple(_file_from_wire(file) for file in wire["files"]),
                pa.ipc.read_schema(pa.py_buffer(wire["schema"])),
                int(wire["block_rows"]),
                tuple(_file_from_wire(file) for file in wire["labels"]),
                label_schema.field(0) if len(label_schema) else None,
            )
        except (KeyError, TypeError, ValueError, pa.ArrowException, OSError) as error:
            raise ProtocolError(
                f"The manifest from the master cannot be read ({error!r}).",
                expected="the message that docs/protocol.md describes.",
                action="run the same release of the swarm on the master and on all workers.",
            ) from error

    def with_block_rows(self, block_rows: int) -> Self:
        """The same data cut into blocks of at most so many rows."""
        return replace(self, blocks=_cut(self.files, block_rows), block_rows=block_rows)

    @classmethod
    def _of(
        cls,
        files: tuple[DataFile, ...],
        schema: pa.Schema,
        block_rows: int,
        labels: tuple[DataFile, ...],
        label_field: pa.Field | None,
    ) -> Self:
        blocks = _cut(files, block_rows)
        rows = sum(file.rows for file in files)
        return cls(files, schema, blocks, rows, _fingerprint(files), block_rows, labels, label_field)


def read_manifest(source: str, label_source: str | None = None, block_rows: int = BLOCK_ROWS) -> Manifest:
    """Read the footers of all files of a source. DataError says what is wrong with which file."""
    files, schema = _read_footers(list_files(source))
    check_columns(schema.names, source=without_query(source))
    check_encodable(schema)
    rows = sum(file.rows for file in files)
    if rows == 0:
        raise DataError(
            f"{_named(files)} has no rows.",
            expected="at least one row to send.",
            action="make the data again, or name another file.",
        )
    labels: tuple[DataFile, ...] = ()
    label_field = None
    if label_source is not None:
        labels, label_schema = _read_footers(list_files(label_source))
        label_field = _check_labels(labels, label_schema, _named(files), rows)
    return Manifest._of(files, schema, block_rows, labels, label_field)


def read_footer(location: str, file: pa.NativeFile) -> tuple[DataFile, pq.FileMetaData, pa.Schema]:
    """The footer of an open file. DataError for a file that is empty, no parquet, or cut off."""
    size_bytes = file.size()
    tail = _read_tail(file, size_bytes, _TAIL_BYTES)
    if size_bytes < 12 or tail[-4:] != _MAGIC:
        raise _not_parquet(location, file, size_bytes, tail)
    footer_bytes = int.from_bytes(tail[-8:-4], "little") + 8
    if footer_bytes > size_bytes - 4:
        raise _broken(location, f"its footer claims {footer_bytes} of {size_bytes} bytes")
    if footer_bytes > len(tail):
        tail = _read_tail(file, size_bytes, footer_bytes)
    footer = tail[-footer_bytes:]
    try:
        parsed = pq.ParquetFile(pa.BufferReader(_MAGIC + footer))
    except (OSError, pa.ArrowException) as error:
        raise _broken(location, str(error)) from error
    metadata = parsed.metadata
    row_group_rows = tuple(metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))
    described = DataFile(location, size_bytes, hashlib.sha256(footer).hexdigest(), row_group_rows)
    return described, metadata, _without_index(parsed.schema_arrow)


def _read_footers(locations: list[str]) -> tuple[tuple[DataFile, ...], pa.Schema]:
    files: list[DataFile] = []
    first_schema: pa.Schema | None = None
    for location in locations:
        with open_file(location) as file:
            described, _, schema = read_footer(location, file)
        if first_schema is None:
            first_schema = schema
        else:
            _check_same_columns(first_schema, schema, files[0].location, location)
        files.append(described)
    assert first_schema is not None  # list_files never returns an empty list
    return tuple(files), first_schema


def _without_index(schema: pa.Schema) -> pa.Schema:
    """Without the columns in which pandas stores a frame's index: `to_dict` does not send them either."""
    pandas = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    index = {name for name in pandas.get("index_columns", []) if isinstance(name, str)}
    return pa.schema([field for field in schema if field.name not in index])


def _check_same_columns(first: pa.Schema, other: pa.Schema, first_location: str, location: str) -> None:
    if first.names != other.names:
        missing = [name for name in first.names if name not in other.names]
        extra = [name for name in other.names if name not in first.names]
        differences = [f"lacks {missing}"] * bool(missing) + [f"has {extra} in addition"] * bool(extra)
        difference = " and ".join(differences) or "has them in another order"
    else:
        pairs = [(a, b) for a, b in zip(first, other, strict=True) if _value_type(a.type) != _value_type(b.type)]
        if not pairs:
            return
        difference = f"has {pairs[0][1].name!r} as {pairs[0][1].type} instead of {pairs[0][0].type}"
    raise DataError(
        f"{without_query(location)} has other columns than {without_query(first_location)}: it {difference}.",
        expected="the same columns, of the same types and in the same order, in all files of a dataset.",
        action="write the files again with one schema, or name only those that belong together.",
    )


def _value_type(kind: pa.DataType) -> pa.DataType:
    """Categories count as their values: how wide their codes are differs from file to file and is of no consequence."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _check_labels(labels: tuple[DataFile, ...], schema: pa.Schema, features: str, rows: int) -> pa.Field:
    label_rows = sum(file.rows for file in labels)
    if len(schema) != 1:
        raise DataError(
            f"{_named(labels)} has {len(schema)} columns: {', '.join(schema.names)}.",
            expected="one column with the label of each row.",
            action="write the label column alone.",
        )
    if label_rows != rows:
        raise DataError(
            f"{_named(labels)} has {label_rows} rows, {features} has {rows}.",
            expected="one label for each row, in the same order.",
            action="make both files from the same split.",
        )
    return schema.field(0)


def _named(files: tuple[DataFile, ...]) -> str:
    first = without_query(files[0].location)
    return first if len(files) == 1 else f"{first} and {len(files) - 1} more"


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


def _fingerprint(files: tuple[DataFile, ...]) -> str:
    """Of sizes and footers, not of places or times: a copy in a bucket has the fingerprint of the local file."""
    digest = hashlib.sha256(b"manifest 1")
    for file in files:
        digest.update(f"\n{file.size_bytes} {file.footer_digest}".encode())
    return digest.hexdigest()[:32]


def _read_tail(file: pa.NativeFile, size_bytes: int, tail_bytes: int) -> bytes:
    length = min(size_bytes, tail_bytes)
    return bytes(file.read_at(length, size_bytes - length))


def _not_parquet(location: str, file: pa.NativeFile, size_bytes: int, tail: bytes) -> DataError:
    if size_bytes == 0:
        return DataError(
            f"{without_query(location)} is empty (0 bytes).",
            expected="a parquet file.",
            action="make or copy it again.",
        )
    if tail[-4:] == b"PARE":
        return DataError(
            f"{without_query(location)} is encrypted.",
            expected="a parquet file without encryption.",
            action="write it again without encryption.",
        )
    if size_bytes >= 4 and file.read_at(4, 0) == _MAGIC:
        return _broken(location, f"its end is missing: {size_bytes} bytes, and the last are not PAR1")
    return DataError(
        f"{without_query(location)} is no parquet file (it begins with {bytes(file.read_at(16, 0))!r}).",
        expected="a parquet file, which begins and ends with PAR1.",
        action="convert it, for example with pandas: read_csv(...).to_parquet(...).",
    )


def _broken(location: str, reason: str) -> DataError:
    return DataError(
        f"{without_query(location)} is damaged or was not copied completely ({reason}).",
        expected="a complete parquet file.",
        action="make or copy it again.",
    )


def _file_to_wire(file: DataFile) -> list[Any]:
    return [file.location, file.size_bytes, file.footer_digest, list(file.row_group_rows)]


def _file_from_wire(wire: list[Any]) -> DataFile:
    location, size_bytes, footer_digest, row_group_rows = wire
    return DataFile(str(location), int(size_bytes), str(footer_digest), tuple(int(rows) for rows in row_group_rows))
