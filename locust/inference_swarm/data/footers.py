"""The footers of parquet files: what is in each file, and whether all hold the same columns. Reads no rows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from inference_swarm.data.sources import open_file, without_query
from inference_swarm.errors import DataError

_TAIL_BYTES: Final = 64 * 1024  # one read gets the whole footer of most files
_MAGIC: Final = b"PAR1"


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


def read_footers(locations: list[str]) -> tuple[tuple[DataFile, ...], pa.Schema]:
    """Those of all files of a dataset, and the columns they share. DataError unless they share them."""
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
