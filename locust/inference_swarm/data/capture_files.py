"""Files of a capture, JSON lines or parquet: how many requests they hold, and these. Each is read whole once for that.

A row is a record whose request has a body: what was not captured is counted and left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from inference_swarm.config.load_options import INFERENCE_TABLE, SAGEMAKER
from inference_swarm.config.redaction import without_secrets
from inference_swarm.data import parquet_files
from inference_swarm.data.capture_check import Tally, count_records, inside, lines_at, read_records, rows_from
from inference_swarm.data.capture_formats import BODY, CAPTURED, CONTENT_TYPE, FORMATS, CaptureFormat
from inference_swarm.data.capture_lines import numbers_of, parse_lines, types_of
from inference_swarm.data.data_files import DataFile, FileKind
from inference_swarm.data.instants import check_time_type
from inference_swarm.data.json_checks import check_piece
from inference_swarm.data.sources import kind_of_name
from inference_swarm.data.text_pieces import check_text, iter_pieces, read_piece
from inference_swarm.errors import DataError

_KINDS: Final[Mapping[tuple[str, FileKind], FileKind]] = {
    (SAGEMAKER, FileKind.JSON_LINES): FileKind.SAGEMAKER_LINES,
    (SAGEMAKER, FileKind.PARQUET): FileKind.SAGEMAKER_PARQUET,
    (INFERENCE_TABLE, FileKind.JSON_LINES): FileKind.TABLE_LINES,
    (INFERENCE_TABLE, FileKind.PARQUET): FileKind.TABLE_PARQUET,
}
_DESCRIBED_RECORDS: Final = 256


@dataclass(frozen=True, slots=True)
class CaptureFile:
    """One file as it was when the manifest was read, the column with its instants, and what its records are."""

    file: DataFile
    instant: pa.Field
    tally: Tally


class CaptureReader:
    """Implements `readers.Reader` for one format in one kind of file."""

    def __init__(self, capture: CaptureFormat, kind: FileKind, *, is_parquet: bool) -> None:
        self._capture = capture
        self._kind = kind
        self._is_parquet = is_parquet

    def describe(self, location: str, file: pa.NativeFile, time_column: str) -> CaptureFile:
        """Describe an open file. Raises DataError, which names the record that is wrong."""
        described = self._describe_parquet if self._is_parquet else self._describe_lines
        return described(location, file, time_column)

    def iter_batches(
        self,
        location: str,
        file: pa.NativeFile,
        known: DataFile,
        row_groups: Sequence[int],
        fields: Sequence[pa.Field],
        batch_rows: int,
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """(row group, its next requests), with what the fields ask for: bodies, content types, and instants."""
        instant = next((each for each in fields if each.name not in CAPTURED.names), None)
        schema, names = self._capture.schema_of(instant, {}), [each.name for each in fields]
        if self._is_parquet:
            records = parquet_files.iter_batches(location, file, known, row_groups, list(schema), batch_rows)
        else:
            records = self._iter_lines(location, file, known, row_groups, schema)
        for group, batch in records:
            shown = without_secrets(location)
            captured = read_records(self._capture, batch, instant and instant.name, shown, inside(group))
            columns = {BODY: captured.bodies, CONTENT_TYPE: captured.content_types}
            if instant is not None:
                columns[instant.name] = captured.instants
            kept = pc.is_valid(captured.bodies)
            requests = pa.RecordBatch.from_arrays([columns[name].filter(kept) for name in names], names)
            for first in range(0, len(requests), batch_rows):
                yield group, requests.slice(first, batch_rows)

    def _iter_lines(
        self, location: str, file: pa.NativeFile, known: DataFile, row_groups: Sequence[int], schema: pa.Schema
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        for number in row_groups:
            data = read_piece(file, known, number)
            yield number, parse_lines(self._capture, data, schema, without_secrets(location), numbers_of(data))

    def _describe_parquet(self, location: str, file: pa.NativeFile, time_column: str) -> CaptureFile:
        described, shown = parquet_files.describe(location, file), without_secrets(location)
        types = {each.name: each.type for each in described.schema}
        if len(types) < len(described.schema):
            names = [each.name for each in described.schema]
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(
                f"{shown} has more than one column {twice!r}.",
                expected="a column once: which of them was meant cannot be known.",
                action="write the file again without the others.",
            )
        instant = self._instant(types, time_column, shown)
        schema = self._capture.schema_of(instant, types)
        tally, begin = Tally(), 0
        rows = [0] * len(described.file.row_group_rows)
        batches = parquet_files.iter_batches(
            location, file, described.file, range(len(rows)), list(schema), _DESCRIBED_RECORDS
        )
        for group, batch in batches:
            count, found = count_records(self._capture, batch, instant.name, shown, rows_from(begin))
            rows[group] += count
            tally.add(found)
            begin += len(batch)
        return CaptureFile(replace(described.file, row_group_rows=tuple(rows), kind=self._kind), instant, tally)

    def _describe_lines(self, location: str, file: pa.NativeFile, time_column: str) -> CaptureFile:
        start, shown = check_text(location, file), without_secrets(location)
        tally, rows, offsets, checksums = Tally(), list[int](), list[int](), list[int]()
        instant, schema, end, line = pa.field("", pa.null()), pa.schema([]), start, 1
        for piece in iter_pieces(location, file, start, has_quotes=False):
            check_piece(location, piece)
            if not rows:
                types = types_of(self._capture, piece.data, shown)
                instant = self._instant(types, time_column, shown)
                schema = self._capture.schema_of(instant, types)
            numbers = numbers_of(piece.data, line)
            batch = parse_lines(self._capture, piece.data, schema, shown, numbers)
            count, found = count_records(self._capture, batch, instant.name, shown, lines_at(numbers))
            rows.append(count)
            tally.add(found)
            offsets.append(piece.offset)
            checksums.append(piece.checksum)
            end, line = piece.offset + len(piece.data), line + piece.data.count(b"\n")
        digest = hashlib.sha256(repr((offsets, checksums, end)).encode()).hexdigest()
        known = DataFile(
            location, file.size(), digest, tuple(rows), self._kind,
            piece_offsets=(*offsets, end), piece_checksums=tuple(checksums),
        )  # fmt: skip
        return CaptureFile(known, instant, tally)

    def _instant(self, types: Mapping[str, pa.DataType], time_column: str, shown: str) -> pa.Field:
        instant = self._capture.instant_of(types, time_column, shown)
        check_time_type(instant.name, instant.type, shown)
        return instant


CAPTURE_READERS: Final = {
    kind: CaptureReader(FORMATS[name], kind, is_parquet=container is FileKind.PARQUET)
    for (name, container), kind in _KINDS.items()
}


def describe_capture(location: str, file: pa.NativeFile, trace_format: str, time_column: str) -> CaptureFile:
    """Describe an open file of a capture. Raises DataError for one of another kind, or with a record that is wrong."""
    is_parquet = bytes(file.read_at(min(4, file.size()), 0)) == parquet_files.MAGIC
    container = FileKind.PARQUET if is_parquet else kind_of_name(location.partition("?")[0]) or FileKind.JSON_LINES
    kind = _KINDS.get((trace_format, container))
    if kind is None:
        raise DataError(
            f"{without_secrets(location)} is a file of the format {container}.",
            expected=f"--trace-format {trace_format}: JSON lines or parquet.",
            action="write the capture as one of them.",
        )
    return CAPTURE_READERS[kind].describe(location, file, time_column)
