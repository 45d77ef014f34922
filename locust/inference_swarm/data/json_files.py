"""Files of JSON lines: their columns and types, and their rows. Read once as a whole to learn these.

Numbers, booleans, text and nested values stay what they are; a key that a row does not have is null.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.json as pa_json

from inference_swarm.config.redaction import without_secrets
from inference_swarm.data.arrow_types import plain_type, unify_types, with_text_for_times
from inference_swarm.data.data_files import DataFile, Description, FileKind
from inference_swarm.data.text_pieces import check_text, exceeds_double, iter_pieces, read_piece
from inference_swarm.errors import DataError

_LONG_INTEGER: Final = re.compile(rb"[:\[,]\s*(-?\d{19,})(?=\s*[,\]}])")


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
        table = _parse(location, piece.offset, piece.data)
        _check_integers(location, piece.offset, piece.data)
        end = piece.offset + len(piece.data)
        for field in table.schema:
            if _is_number(field.type) and exceeds_double(table.column(field.name)):
                wide.add(field.name)
            kind = with_text_for_times(plain_type(field.type))
            seen.setdefault(field.name, {}).setdefault(kind, f"{without_secrets(location)} from byte {piece.offset} on")
        rows.append(table.num_rows)
        offsets.append(piece.offset)
        checksums.append(piece.checksum)
    schema = pa.schema([pa.field(name, unify_types(name, kinds)) for name, kinds in seen.items()])
    for name in wide:
        if pa.types.is_floating(schema.field(name).type):
            _check_doubles(location, file, start, name)
    digest = hashlib.sha256(repr((offsets, checksums, end)).encode()).hexdigest()
    data_file = DataFile(
        location, file.size(), digest, tuple(rows), FileKind.JSON_LINES,
        piece_offsets=(*offsets, end), piece_checksums=tuple(checksums),
    )  # fmt: skip
    return Description(data_file, schema)


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


def _check_integers(location: str, offset: int, data: bytes) -> None:
    """Refuse integers that Arrow would turn into doubles, which do not keep their digits."""
    for match in _LONG_INTEGER.finditer(data):
        begin, end = data.rfind(b"\n", 0, match.start()) + 1, data.find(b"\n", match.end())
        if _holds_long_integer(data[begin : end if end >= 0 else len(data)]):  # and not a text that looks like one
            raise DataError(
                f"{without_secrets(location)} has an integer of more than 64 bits at byte {offset + match.start(1)}.",
                expected="integers from -2^63 to 2^63 - 1.",
                action="write it as text, or convert the file to parquet with a decimal.",
            )


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _check_doubles(location: str, file: pa.NativeFile, start: int, name: str) -> None:
    """Refuse a column of fractions and of integers that would change as doubles; reads the file once more."""
    key = json.dumps(name, ensure_ascii=False)[1:-1].encode()
    for piece in iter_pieces(location, file, start, has_quotes=False):
        for line in piece.data.splitlines():
            value = json.loads(line).get(name) if key in line else None
            if isinstance(value, int) and int(float(value)) != value:
                raise DataError(
                    f"{without_secrets(location)}: {name!r} has fractions and the integer {value}, which no double "
                    "holds.",
                    expected="integers of at most 2^53 among fractions.",
                    action="write the column as text, or convert the file to parquet with a decimal.",
                )


def _holds_long_integer(line: bytes) -> bool:
    found: list[int] = []
    json.loads(line, parse_int=lambda digits: found.append(int(digits)))
    return any(not -(2**63) <= number < 2**63 for number in found)
