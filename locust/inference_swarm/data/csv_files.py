"""CSV files: their columns, the types that all their values have, and their rows. Read once as a whole to learn these.

A CSV file has no types. Numbers are numbers where every value of the column is one and none would change (`007` would),
`true` and `false` are booleans; all else, dates too, is sent as it is written. An empty field without quotes is null.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from inference_swarm.config.redaction import without_secrets
from inference_swarm.data.columns import check_columns
from inference_swarm.data.data_files import DataFile, Description, FileKind
from inference_swarm.data.text_pieces import check_text, exceeds_double, iter_pieces, read_piece
from inference_swarm.errors import DataError

_TRUE: Final = ["true", "True", "TRUE"]  # Arrow takes 1 and 0 for booleans as well, if others are
_FALSE: Final = ["false", "False", "FALSE"]
_DELIMITERS: Final = ",\t;|"
_DELIMITER_LINE: Final = re.compile("sep=([,\t;|])")  # a first line that Excel writes and reads
_MAX_HEADER_BYTES: Final = 16 * 1024 * 1024
# Texts that would lose something as numbers: zeros in front, hexadecimal digits, or more digits than a double keeps.
_LEADING_ZERO: Final = r"^\s*[+-]?0[0-9xX]"
_LONG_INTEGER: Final = r"^\s*[+-]?[0-9]{16,}\s*$"
# The text of a double that is infinite or 0: one that is neither was out of a double's range.
_NOT_ZERO: Final = r"^\s*[+-]?[0-9.]*[1-9]"
_WIDE: Final = pa.uint64()  # stands for integers that no double holds: a type that is never inferred


@dataclass(frozen=True, slots=True)
class _Layout:
    """The layout that the first line of a file shows."""

    location: str
    names: list[str]
    delimiter: str
    first_row: int  # where it begins, in bytes
    header: str = ""


def describe(location: str, file: pa.NativeFile) -> Description:
    """Describe the file, which is read whole, a piece at a time."""
    start = check_text(location, file)
    layout = _read_header(location, file, start)
    names, first_row = layout.names, layout.first_row
    if not names:
        check_columns(names, without_secrets(location))
    kinds: list[set[pa.DataType]] = [set() for _ in names]
    rows: list[int] = []
    offsets: list[int] = []
    checksums: list[int] = []
    nulls: set[str] = set()
    end = first_row
    for piece in iter_pieces(location, file, first_row, has_quotes=True):
        table = _parse(layout, piece.offset, piece.data)
        _note_types(layout, piece.offset, piece.data, table, kinds)
        nulls.update(name for name, column in zip(names, table.columns, strict=True) if column.null_count)
        rows.append(table.num_rows)
        offsets.append(piece.offset)
        checksums.append(piece.checksum)
        end = piece.offset + len(piece.data)
    schema = pa.schema([pa.field(name, _common_type(seen)) for name, seen in zip(names, kinds, strict=True)])
    digest = hashlib.sha256(repr((names, offsets, checksums, end)).encode()).hexdigest()
    data_file = DataFile(
        location, file.size(), digest, tuple(rows), FileKind.CSV,
        piece_offsets=(*offsets, end), piece_checksums=tuple(checksums),
    )  # fmt: skip
    wide = {name for name, seen in zip(names, kinds, strict=True) if _WIDE in seen and pa.string() not in seen}
    return Description(data_file, schema, wide=frozenset(wide), nulls=frozenset(nulls))


def iter_batches(
    location: str,
    file: pa.NativeFile,
    known: DataFile,
    row_groups: Sequence[int],
    fields: Sequence[pa.Field],
    batch_rows: int,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(piece, batch) of the pieces, with those of the fields' columns that the file has, in the fields' types."""
    layout = _read_header(location, file, check_text(location, file))
    names = set(layout.names)
    wanted = [field for field in fields if field.name in names]
    for number in row_groups:
        data = read_piece(file, known, number)
        table = _read_typed(layout, known.piece_offsets[number], data, wanted)
        for batch in table.to_batches(max_chunksize=batch_rows):
            yield number, batch


def _read_typed(layout: _Layout, offset: int, data: bytes, fields: Sequence[pa.Field]) -> pa.Table:
    """Read typed columns. Missing numbers may be written in all common ways; missing text only as an empty field."""
    texts = [field for field in fields if pa.types.is_string(field.type)]
    others = [field for field in fields if not pa.types.is_string(field.type)]
    parsed: dict[str, pa.ChunkedArray] = {}
    rows = -1
    for some in (texts, others):
        if some or rows < 0:
            table = _parse(layout, offset, data, {layout.names.index(field.name): field.type for field in some})
            parsed.update({field.name: table.column(number) for number, field in enumerate(some)})
            rows = table.num_rows
    if not fields:
        return pa.table({name: pa.nulls(rows) for name in layout.names[:1]})
    return pa.table([parsed[field.name] for field in fields], names=[field.name for field in fields])


def _parse(layout: _Layout, offset: int, data: bytes, types: Mapping[int, pa.DataType] | None = None) -> pa.Table:
    """Parse the columns at these places in these types; without any the first, without `types` all, as Arrow infers.

    To Arrow a column's name is its place: that in the file may be there twice.
    """
    options = pa_csv.ConvertOptions(true_values=_TRUE, false_values=_FALSE)
    if types is not None:
        options.column_types = {str(place): kind for place, kind in types.items()}
        options.include_columns = list(map(str, types or (0,)))
        if types and all(map(pa.types.is_string, types.values())):
            options.strings_can_be_null, options.quoted_strings_can_be_null, options.null_values = True, False, [""]
    try:
        return pa_csv.read_csv(
            pa.BufferReader(data),
            pa_csv.ReadOptions(
                use_threads=False, block_size=len(data) + 1, column_names=list(map(str, range(len(layout.names))))
            ),
            pa_csv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=True),
            options,
        )
    except (pa.ArrowException, ValueError) as error:
        raise DataError(
            f"{without_secrets(layout.location)} cannot be read as CSV with the delimiter {layout.delimiter!r} from "
            f"byte {offset} on ({error}).",
            expected=f"UTF-8 text with {len(layout.names)} fields in each row, as its first line has.",
            action="correct the rows, or convert the file to parquet.",
        ) from error


def _note_types(layout: _Layout, offset: int, data: bytes, table: pa.Table, kinds: list[set[pa.DataType]]) -> None:
    """Add the type of the values in this piece to those of each column."""
    names = layout.names
    numbers = []
    for number, (column, seen) in enumerate(zip(table.columns, kinds, strict=True)):
        if pa.types.is_binary(column.type):  # what Arrow takes for text otherwise
            raise DataError(
                f"{without_secrets(layout.location)}: column {names[number]!r} holds text that is not UTF-8.",
                expected="UTF-8 text.",
                action="save the file again as UTF-8.",
            )
        seen.add(column.type)
        if (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)) and pa.string() not in seen:
            numbers.append(number)
    if not numbers:
        return
    texts = _parse(layout, offset, data, dict.fromkeys(numbers, pa.string()))
    written = dict(zip(numbers, texts.columns, strict=True))
    extreme = {number: text for number, text in written.items() if pa.types.is_floating(table.column(number).type)}
    extreme = {number: text.filter(_is_extreme(table.column(number))) for number, text in extreme.items()}
    for number in (*_matching(_LEADING_ZERO, written), *_matching(_NOT_ZERO, extreme)):
        kinds[number].add(pa.string())
    wide = {number: written[number] for number in numbers if exceeds_double(table.column(number))}
    for number in _matching(_LONG_INTEGER, wide):
        kinds[number].add(_WIDE)


def _is_extreme(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.or_(pc.is_inf(column), pc.equal(column, 0.0))


def _matching(pattern: str, columns: Mapping[int, pa.ChunkedArray]) -> list[int]:
    """Return the columns with a value that matches; all are looked at together first, since most often none does."""

    def matches(chunks: list[pa.Array]) -> bool:
        return bool(chunks) and bool(pc.any(pc.match_substring_regex(pa.concat_arrays(chunks), pattern)).as_py())

    if not matches([chunk for column in columns.values() for chunk in column.chunks]):
        return []
    return [number for number, column in columns.items() if matches(column.chunks)]


def _common_type(seen: set[pa.DataType]) -> pa.DataType:
    kinds = seen - {pa.null(), _WIDE}
    if not kinds:
        return pa.null()
    if kinds == {pa.int64()} or kinds == {pa.bool_()}:
        return kinds.pop()
    return pa.float64() if kinds <= {pa.int64(), pa.float64()} and _WIDE not in seen else pa.string()


def _read_header(location: str, file: pa.NativeFile, start: int) -> _Layout:
    line, size_bytes = b"", file.size()
    for head_bytes in (64 * 1024, 1024 * 1024, _MAX_HEADER_BYTES):
        head = bytes(file.read_at(min(head_bytes, size_bytes - start), start))
        end = head.find(b"\n")
        while end >= 0 and head.count(b'"', 0, end) % 2:
            end = head.find(b"\n", end + 1)
        line = head[: end + 1] if end >= 0 else head
        if end >= 0 or start + head_bytes >= size_bytes:
            break
    try:
        text = line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{without_secrets(location)} begins with bytes that are not UTF-8 ({error}).",
            expected="UTF-8 text whose first line has the names of the columns.",
            action="save it again as UTF-8.",
        ) from error
    if (said := _DELIMITER_LINE.fullmatch(text)) and end >= 0:
        layout = _read_header(location, file, start + len(line))
        return _layout(location, layout.header, said[1], layout.first_row)
    outside = "".join(text.split('"')[::2])
    name = location.partition("?")[0] if "://" in location else location
    is_tab = name.lower().endswith(".tsv") and "\t" in outside
    delimiter = "\t" if is_tab else max(_DELIMITERS, key=outside.count)
    return _layout(location, text, delimiter, start + len(line))


def _layout(location: str, header: str, delimiter: str, first_row: int) -> _Layout:
    try:
        names = next(csv.reader([header], delimiter=delimiter), [])
    except csv.Error as error:
        raise DataError(
            f"{without_secrets(location)}: its first line cannot be read ({error}).",
            expected="rows that end with a newline (\\n or \\r\\n).",
            action="save it again with such line ends, or convert it to parquet.",
        ) from error
    return _Layout(location, names, delimiter, first_row, header)
