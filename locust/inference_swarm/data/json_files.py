"""Files of JSON lines: their columns and types, and their rows. Read once as a whole to learn these.

Numbers, booleans, text and nested values stay what they are; a key that a row does not have is null.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.json as pa_json

from inference_swarm.config.redaction import without_secrets
from inference_swarm.data.arrow_types import (
    check_nesting,
    holds_floating,
    plain_type,
    unify_types,
    with_text_for_times,
)
from inference_swarm.data.data_files import DataFile, Description, FileKind
from inference_swarm.data.json_checks import check_doubles, check_integers, check_piece
from inference_swarm.data.text_pieces import check_text, exceeds_double, iter_pieces, read_piece
from inference_swarm.errors import DataError


def describe(location: str, file: pa.NativeFile) -> Description:
    """Describe the file, which is read whole, a piece at a time."""
    start = check_text(location, file)
    if bytes(file.read_at(min(256, file.size() - start), start)).lstrip().startswith(b"["):
        raise DataError(
            f"{without_secrets(location)} is one JSON array.",
            expected="JSON lines: an object in each line, so that each worker reads its part.",
            action="write it again, with pandas for example: read_json(…).to_json(…, orient='records', lines=True).",
        )
    seen: dict[str, dict[pa.DataType, str]] = {}
    rows: list[int] = []
    offsets: list[int] = []
    checksums: list[int] = []
    end = start
    wide: set[str] = set()  # columns with integers that no double holds
    for piece in iter_pieces(location, file, start, has_quotes=False):
        check_piece(location, piece)
        table = _parse(location, piece.offset, piece.data)
        check_nesting(table.schema, without_secrets(location))
        check_integers(location, piece)
        end = piece.offset + len(piece.data)
        for field in table.schema:
            if exceeds_double(table.column(field.name)):
                wide.add(field.name)
            kind = with_text_for_times(plain_type(field.type))
            seen.setdefault(field.name, {}).setdefault(kind, f"{without_secrets(location)} from byte {piece.offset} on")
        rows.append(table.num_rows)
        offsets.append(piece.offset)
        checksums.append(piece.checksum)
    schema = pa.schema([pa.field(name, unify_types(name, kinds)) for name, kinds in seen.items()])
    for name in wide:
        if holds_floating(schema.field(name).type):
            for piece in iter_pieces(location, file, start, has_quotes=False):
                check_doubles(location, piece, name, schema.field(name).type)
    digest = hashlib.sha256(repr((offsets, checksums, end)).encode()).hexdigest()
    data_file = DataFile(
        location, file.size(), digest, tuple(rows), FileKind.JSON_LINES,
        piece_offsets=(*offsets, end), piece_checksums=tuple(checksums),
    )  # fmt: skip
    return Description(data_file, schema, wide=frozenset(wide))


def iter_batches(
    location: str,
    file: pa.NativeFile,
    known: DataFile,
    row_groups: Sequence[int],
    fields: Sequence[pa.Field],
    batch_rows: int,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(piece, batch) of the pieces, with the fields in their types."""
    for number in row_groups:
        data = read_piece(file, known, number)
        table = _parse(location, known.piece_offsets[number], data, pa.schema(list(fields)))
        for batch in table.to_batches(max_chunksize=batch_rows):
            yield number, batch


def _parse(location: str, offset: int, data: bytes, schema: pa.Schema | None = None) -> pa.Table:
    options = pa_json.ParseOptions(
        explicit_schema=schema,
        newlines_in_values=False,
        unexpected_field_behavior="infer" if schema is None else "ignore",
    )
    try:
        return pa_json.read_json(
            pa.BufferReader(data), pa_json.ReadOptions(use_threads=False, block_size=len(data) + 1), options
        )
    except (pa.ArrowException, ValueError) as error:
        raise DataError(
            f"{without_secrets(location)} cannot be read as JSON lines from byte {offset} on ({error}).",
            expected="UTF-8 text with an object in each line, and for each key values of one type.",
            action="correct the lines, or convert the file to parquet.",
        ) from error
