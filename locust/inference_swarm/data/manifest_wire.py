"""A manifest in, plain values for a message out, and back. Files are an Arrow table, compressed: 20,000 take 1 MB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from inference_swarm.config.documents import Document, ReadDocument
from inference_swarm.data.data_files import DataFile, FileKind, PartitionValue
from inference_swarm.data.manifest import Columns, Manifest
from inference_swarm.errors import DataError, ProtocolError

WIRE_VERSION: Final = 4
# A message may have 16 MiB, and the settings travel with the manifest.
MAX_WIRE_BYTES: Final = 15 * 1024 * 1024
_FILES: Final = pa.schema(
    [
        ("location", pa.string()),
        ("size_bytes", pa.int64()),
        ("digest", pa.binary(32)),
        ("rows", pa.list_(pa.int64())),
        ("kind", pa.string()),
        ("offsets", pa.list_(pa.int64())),
        ("checksums", pa.list_(pa.int64())),
    ]
)
_PARTITION: Final = "partition "  # in front of the name of such a column


def manifest_to_wire(manifest: Manifest) -> Document:
    """Plain values for msgpack. Blocks are not sent: they follow from row groups and `block_rows`.

    Raises DataError for one that is larger than a message may be.
    """
    columns = manifest.columns
    wire = {
        "version": WIRE_VERSION,
        "block_rows": manifest.block_rows,
        "files": _files_to_wire(manifest.files, _partition_fields(columns)),
        "labels": _files_to_wire(manifest.labels, []),
        "schema": _pack_schema(columns.schema),
        "sources": list(columns.sources),
        "partitions": list(columns.partitions),
        "label_schema": _pack_schema(pa.schema([columns.label] if columns.label is not None else [])),
        "answers": _files_to_wire(manifest.answers, []),
        "answer_schema": _pack_schema(pa.schema([manifest.answer_field] if manifest.answer_field is not None else [])),
        "instant_schema": _pack_schema(pa.schema([] if manifest.instant_field is None else [manifest.instant_field])),
    }
    size_bytes = sum(len(part) for part in wire.values() if isinstance(part, bytes)) + sum(map(len, columns.sources))
    if size_bytes > MAX_WIRE_BYTES:
        raise DataError(
            f"The data source has {len(manifest.files)} files of {sum(len(f.row_group_rows) for f in manifest.files)} "
            f"row groups and {len(columns.sources)} columns: to say where they are takes {size_bytes >> 20} MiB.",
            expected=f"at most {MAX_WIRE_BYTES >> 20} MiB, which every worker gets in one message.",
            action="write the rows to fewer and larger files and row groups.",
        )
    return wire


def manifest_from_wire(wire: ReadDocument) -> Manifest:
    """The same manifest again. ProtocolError for another version or a message of another shape."""
    if wire.get("version") != WIRE_VERSION:
        raise ProtocolError(
            f"The master sent a manifest of version {wire.get('version')!r}.",
            expected=f"version {WIRE_VERSION}.",
            action="run the same release of the swarm on the master and on all workers.",
        )
    try:
        label_schema, answer_schema, instant_schema = (
            _unpack_schema(wire[key]) for key in ("label_schema", "answer_schema", "instant_schema")
        )
        columns = Columns(
            _unpack_schema(wire["schema"]),
            tuple(map(str, wire["sources"])),
            tuple(map(str, wire["partitions"])),
            label_schema.field(0) if len(label_schema) else None,
        )
        if len(columns.sources) != len(columns.schema):
            raise ValueError(f"{len(columns.sources)} sources for {len(columns.schema)} columns")
        files = _files_from_wire(wire["files"], columns.partitions)
        block_rows = int(wire["block_rows"])
        if block_rows < 1:
            raise ValueError(f"blocks of {block_rows} rows")
        return Manifest(
            files,
            columns,
            block_rows,
            _files_from_wire(wire["labels"], ()),
            answers=_files_from_wire(wire["answers"], ()),
            answer_field=answer_schema.field(0) if len(answer_schema) else None,
            instant_field=instant_schema.field(0) if len(instant_schema) else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError, pa.ArrowException, OSError) as error:
        raise ProtocolError(
            f"The manifest from the master cannot be read ({error!r}).",
            expected="the message that docs/protocol.md describes.",
            action="run the same release of the swarm on the master and on all workers.",
        ) from error


def _partition_fields(columns: Columns) -> list[pa.Field]:
    kinds = dict(zip(columns.sources, columns.schema.types, strict=True))
    if columns.label is not None:
        kinds[columns.label.name] = columns.label.type
    return [pa.field(name, kinds.get(name, pa.string())) for name in columns.partitions]


def _files_to_wire(files: Sequence[DataFile], partitions: Sequence[pa.Field]) -> bytes:
    arrays = {
        "location": [file.location for file in files],
        "size_bytes": [file.size_bytes for file in files],
        "digest": [bytes.fromhex(file.digest) for file in files],
        "rows": [file.row_group_rows for file in files],
        "kind": [file.kind.value for file in files],
        "offsets": [file.piece_offsets for file in files],
        "checksums": [file.piece_checksums for file in files],
    }
    schema = list(_FILES)
    for number, partition in enumerate(partitions):
        schema.append(partition.with_name(_PARTITION + partition.name))
        arrays[schema[-1].name] = [file.partition[number] for file in files]
    batch = pa.record_batch([pa.array(arrays[field.name], field.type) for field in schema], pa.schema(schema))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_batch(batch)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def _files_from_wire(packed: bytes, partitions: Sequence[str]) -> tuple[DataFile, ...]:
    table = pa.ipc.open_stream(pa.py_buffer(packed)).read_all()
    table.validate(full=True)
    expected = [*_FILES.names, *(_PARTITION + name for name in partitions)]
    if table.schema.names != expected or list(table.schema)[: len(_FILES)] != list(_FILES):
        raise ValueError(f"the table of files has the columns {table.schema.names}")
    values = [table.column(number).to_pylist() for number in range(table.num_columns)]
    return tuple(_file(row) for row in zip(*values, strict=True))


def _file(row: tuple[Any, ...]) -> DataFile:
    location, size_bytes, digest, rows, kind, offsets, checksums, *partition = row
    values: tuple[PartitionValue, ...] = tuple(partition)
    if any(count < 0 for count in rows):
        raise ValueError("a row group of fewer than 0 rows")
    return DataFile(
        location, size_bytes, digest.hex(), tuple(rows), FileKind(kind), values, tuple(offsets), tuple(checksums)
    )


def _pack_schema(schema: pa.Schema) -> bytes:
    packed: bytes = pa.compress(schema.serialize(), codec="zstd", asbytes=True)
    return len(schema.serialize()).to_bytes(8, "little") + packed


def _unpack_schema(packed: bytes) -> pa.Schema:
    size = int.from_bytes(packed[:8], "little")
    if size > 1024 * MAX_WIRE_BYTES:
        raise ValueError(f"a schema of {size} bytes")
    return pa.ipc.read_schema(pa.decompress(packed[8:], decompressed_size=size, codec="zstd"))
