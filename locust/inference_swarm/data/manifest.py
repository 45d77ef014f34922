"""A data source in, its blocks out: what rows there are and where, read from the parquet footers alone.

The manifest is what the master decides on and what the workers read by, so it travels (`to_wire`). It reads no rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import pyarrow as pa

from inference_swarm.data.footers import DataFile, read_footers
from inference_swarm.data.json_rows import check_columns, check_encodable
from inference_swarm.data.sources import list_files, without_query
from inference_swarm.errors import DataError, ProtocolError

BLOCK_ROWS: Final = 8192
WIRE_VERSION: Final = 1


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
    files, schema = read_footers(list_files(source))
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
        labels, label_schema = read_footers(list_files(label_source))
        label_field = _check_labels(labels, label_schema, _named(files), rows)
    return Manifest._of(files, schema, block_rows, labels, label_field)


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


def _file_to_wire(file: DataFile) -> list[Any]:
    return [file.location, file.size_bytes, file.footer_digest, list(file.row_group_rows)]


def _file_from_wire(wire: list[Any]) -> DataFile:
    location, size_bytes, footer_digest, row_group_rows = wire
    return DataFile(str(location), int(size_bytes), str(footer_digest), tuple(int(rows) for rows in row_group_rows))
