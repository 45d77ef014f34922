"""A body as a pattern of parts in, what a worker needs to send it out: texts of rows, and batches joined of them. Pure.

Every body is constant bytes around the texts of cells. For one row to a request the parts become fragments, and a row
is encoded to a whole body. For several a row is encoded to what a batch needs of it: its own text, or the texts of its
cells with a separator between them, which no JSON text holds. Joining is splits and joins of bytes, no encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Final

import pyarrow as pa

from inference_swarm.data.json_rows import CellEncoder, RowFormat, encode_block
from inference_swarm.data.json_rows_assembly import Texts
from inference_swarm.data.json_rows_texts import texts_alone, texts_of

# JSON escapes control characters, so this byte is in no text of a cell.
SEPARATOR: Final = b"\x00"


class Number(Enum):
    """A part that depends on the number of rows alone."""

    ROW_COUNT = "row count"
    """`3`"""
    ROW_INDEX = "row index"
    """`0,1,2`"""

    def text(self, rows: int) -> bytes:
        if self is Number.ROW_COUNT:
            return b"%d" % rows
        return _row_index(rows)


@lru_cache(maxsize=4)  # the same for every whole batch
def _row_index(rows: int) -> bytes:
    return b",".join(b"%d" % number for number in range(rows))


@dataclass(frozen=True, slots=True)
class Cells:
    """The texts of one column (its position) in the order of the rows, with commas between them."""

    column: int


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows, each a text of its own: `fragments` around the cells of all columns, `between` two rows."""

    fragments: tuple[bytes, ...]
    between: bytes = b","


Part = bytes | Number | Cells | Rows


@dataclass(frozen=True, slots=True)
class Body:
    """The pattern of a body. `cells`: one encoder for all columns, or one for each."""

    parts: tuple[Part, ...]
    cells: CellEncoder | tuple[CellEncoder, ...] = texts_of


@dataclass(frozen=True, slots=True)
class RequestFormat:
    """How the rows of one schema become bodies."""

    encode: Callable[[pa.Table], Iterator[pa.Array]]
    """One stored text a row, in order, as binary arrays. Raises DataError for values that cannot be sent."""
    join: Callable[[Sequence[bytes]], bytes] | None = None
    """Make a body of the stored texts of its rows; None: a stored text is a body, as there is one row to a request."""
    headers: Mapping[str, str] = field(default_factory=dict)
    begins_with_headers: bool = False
    """Stored texts begin with the last lines of the head: those that differ from request to request."""

    def body_of(self, stored: Sequence[bytes]) -> bytes:
        """Return the body of these rows."""
        return stored[0] if self.join is None else self.join(stored)


def encoders_of(body: Body, columns: int) -> list[CellEncoder]:
    """Return the encoder of each column."""
    return list(body.cells) if isinstance(body.cells, tuple) else [body.cells] * columns


def format_of(body: Body, columns: int, batch_size: int) -> RequestFormat:
    """Make the format of a pattern, for tables with that number of columns."""
    encoders = encoders_of(body, columns)
    if batch_size == 1:
        return _format_of_one(body.parts, encoders)
    rows = [part for part in body.parts if isinstance(part, Rows)]
    if len(rows) == 1 and not any(isinstance(part, Cells) for part in body.parts):
        stored = encoder_of(rows[0].fragments, range(columns), encoders)
        return RequestFormat(stored, _join_rows(body.parts, rows[0]))
    fragments = (b"", *(SEPARATOR for _ in range(columns)))
    return RequestFormat(encoder_of(fragments, range(columns), encoders), _join_cells(body.parts, columns))


def _format_of_one(parts: Sequence[Part], encoders: Sequence[CellEncoder]) -> RequestFormat:
    fragments, order = [b""], list[int]()
    for part in parts:
        if isinstance(part, Cells):
            order.append(part.column)
            fragments.append(b"")
        elif isinstance(part, Rows):
            order.extend(range(len(encoders)))
            fragments[-1] += part.fragments[0]
            fragments.extend(part.fragments[1:])
        else:
            fragments[-1] += part if isinstance(part, bytes) else part.text(1)
    return RequestFormat(encoder_of(fragments, order, [encoders[column] for column in order]))


def encoder_of(
    fragments: Sequence[bytes], order: Sequence[int], encoders: Sequence[CellEncoder]
) -> Callable[[pa.Table], Iterator[pa.Array]]:
    """Return an encoder of the columns in that order, each as often as it occurs in it, with an encoder for each."""
    chosen = list(encoders)
    for number, after in enumerate(fragments[1:]):
        if not after:
            chosen[number] = without_comma(chosen[number])
    row_format = RowFormat(tuple(fragments), tuple(chosen))

    def encode(table: pa.Table) -> Iterator[pa.Array]:
        if list(order) != list(range(table.num_columns)):
            names = table.schema.names
            table = pa.Table.from_arrays([table.column(i) for i in order], names=[names[i] for i in order])
        return encode_block(table, row_format)

    return encode


def without_comma(encode: CellEncoder) -> CellEncoder:
    """Return an encoder whose texts may stand in front of an empty fragment."""

    def encode_alone(values: pa.Array, name: str) -> Texts:
        texts = encode(values, name)
        return Texts(texts_alone(texts, len(values))) if texts.has_comma else texts

    return encode_alone


def _join_rows(parts: Sequence[Part], rows: Rows) -> Callable[[Sequence[bytes]], bytes]:
    place = parts.index(rows)
    before, after, between = parts[:place], parts[place + 1 :], rows.between
    if all(isinstance(part, bytes) for part in (*before, *after)):
        start, end = _constant(before, 0), _constant(after, 0)
        return lambda stored: b"%b%b%b" % (start, between.join(stored), end)
    return lambda stored: (
        b"%b%b%b"
        % (
            _constant(before, len(stored)),
            between.join(stored),
            _constant(after, len(stored)),
        )
    )


def _constant(parts: Sequence[Part], rows: int) -> bytes:
    return b"".join(part.text(rows) if isinstance(part, Number) else bytes(part) for part in parts)  # type: ignore[arg-type]


def _join_cells(parts: Sequence[Part], width: int) -> Callable[[Sequence[bytes]], bytes]:
    """Return a join of stored texts of `width` cells, with the separator behind each: split once, joined by column."""
    skeleton = [part if isinstance(part, bytes) else b"" for part in parts]
    columns = [(place, part.column) for place, part in enumerate(parts) if isinstance(part, Cells)]
    numbers = [(place, part) for place, part in enumerate(parts) if isinstance(part, Number)]
    row_parts = [
        (place, b"%b".join(piece.replace(b"%", b"%%") for piece in part.fragments), part.between)
        for place, part in enumerate(parts)
        if isinstance(part, Rows)
    ]

    def join(stored: Sequence[bytes]) -> bytes:
        pieces = skeleton.copy()
        cells = b"".join(stored).split(SEPARATOR)
        end = width * len(stored)  # behind the last separator is nothing
        for place, column in columns:
            pieces[place] = b",".join(cells[column:end:width])
        for place, number in numbers:
            pieces[place] = number.text(len(stored))
        for place, pattern, between in row_parts:
            rows = range(0, end, width)
            pieces[place] = between.join([pattern % tuple(cells[first : first + width]) for first in rows])
        return b"".join(pieces)

    return join
