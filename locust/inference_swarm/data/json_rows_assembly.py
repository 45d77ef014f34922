"""Texts of cells and the constant fragments around them in, bodies of rows out.

Every body is a sequence of pieces, and one `take` copies them all. All pieces (constants like `,"age":`, tables like
`true`/`false`, texts of single values) lie in one Arrow array. A matrix of piece numbers, one line per row, is then
taken from it: 8 ns a piece (`binary_join_element_wise`: 12 ns).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from inference_swarm.data.numpy_values import numpy_of

INT32_MAX: Final = 2**31 - 1
# A table with at most this many texts gets the key in front of each: one piece fewer per row for a few µs per block.
_GLUE_TABLE_LENGTH: Final = 512


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts of one column's values; a null row's text is never used, that of `null` is written in its place."""

    pieces: pa.Array  # binary without nulls
    index: NDArray[np.int32] | None = None  # row -> piece; None: piece i belongs to row i
    nulls: NDArray[np.bool_] | None = None  # True where the row is null; None: no row is
    opening: bytes = b""  # before a value that is not null
    closing: bytes = b""  # after it
    has_comma: bool = False  # every piece ends with its own ","; needs index None and no closing
    null: bytes = b"null"

    @property
    def is_table(self) -> bool:
        return self.index is not None and self.nulls is None and not self.opening and not self.closing


@dataclass(frozen=True, slots=True)
class _Before:
    """The text before a value; it differs in rows where the value on its left was null."""

    text: bytes
    text_if_null: bytes = b""
    nulls: NDArray[np.bool_] | None = None

    def variants(self) -> list[bytes]:
        return [self.text] if self.nulls is None else [self.text, self.text_if_null]


class _Body:
    """The pieces of all bodies of a block and, slot by slot, which piece each row takes."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows = rows
        self._row_numbers = np.arange(rows, dtype=np.int32)
        self._constants = [b""]  # number 0 is the empty piece
        self._capacity = 1 + 4 * columns + 2  # a gap between two values has at most four variants
        self._arrays: list[pa.Array] = []
        self._next = self._capacity
        self._slots: list[tuple[int, NDArray[np.int32] | NDArray[np.bool_] | None]] = []
        self._size_bytes = 0  # upper bound

    def add_gap(self, before: _Before, texts: Texts, null: bytes) -> None:
        """Constants between two values, with the opening of the second."""
        lefts = before.variants()
        rights = [texts.opening] if texts.nulls is None else [texts.opening, null]
        variants = [left + right for left in lefts for right in rights]
        chosen: NDArray[np.int32] | NDArray[np.bool_] | None = texts.nulls
        if before.nulls is not None:
            chosen = np.multiply(before.nulls, np.int32(len(rights)), dtype=np.int32)
            if texts.nulls is not None:
                chosen += texts.nulls
        self._add_constants(variants, chosen)

    def add_glued_table(self, before: _Before, texts: Texts) -> None:
        """Gap and value in one piece."""
        assert texts.index is not None
        tables = [
            pc.binary_join_element_wise(pa.scalar(left, pa.binary()), texts.pieces, pa.scalar(b"", pa.binary()))
            for left in before.variants()
        ]
        chosen = texts.index
        if before.nulls is not None:
            chosen = chosen + np.multiply(before.nulls, np.int32(len(texts.pieces)), dtype=np.int32)
        self._add_table(pa.concat_arrays(tables) if len(tables) > 1 else tables[0], chosen)

    def add_values(self, texts: Texts) -> None:
        if texts.index is not None:
            self._add_table(texts.pieces, texts.index, texts.nulls)
        elif texts.nulls is None:
            self._size_bytes += texts.pieces.nbytes
            self._slots.append((self._add_array(texts.pieces), self._row_numbers))
        else:
            self._size_bytes += texts.pieces.nbytes
            base = self._add_array(texts.pieces)
            self._slots.append((0, np.where(texts.nulls, np.int32(0), self._row_numbers + np.int32(base))))

    def add_end(self, before: _Before) -> None:
        variants = before.variants()
        if any(variants):
            self._add_constants(variants, before.nulls)

    def take(self) -> pa.Array:
        """Return the bodies. Raises OverflowError when they might exceed what one binary array can hold."""
        if self._size_bytes > INT32_MAX:
            raise OverflowError
        self._constants.extend([b""] * (self._capacity - len(self._constants)))
        pieces = pa.concat_arrays([pa.array(self._constants, pa.binary()), *self._arrays])
        numbers = self._piece_numbers()
        taken = pc.take(pieces, pa.array(numbers.reshape(-1)), boundscheck=False)
        offsets = np.frombuffer(taken.buffers()[1], np.int32, self.rows * len(self._slots) + 1)[:: len(self._slots)]
        return binary_array(np.ascontiguousarray(offsets), taken.buffers()[2])

    def _piece_numbers(self) -> NDArray[np.int32]:
        """Return piece numbers by row and slot, written in whole lines: by column takes ten times as long."""
        counts_rows = np.array([chosen is self._row_numbers for _, chosen in self._slots], np.int32)
        numbers: NDArray[np.int32] = np.multiply.outer(self._row_numbers, counts_rows)
        numbers += np.array([base for base, _ in self._slots], np.int32)
        for slot, (_, chosen) in enumerate(self._slots):
            if chosen is not None and chosen is not self._row_numbers:
                numbers[:, slot] += chosen
        return numbers

    def _add_constants(self, variants: list[bytes], chosen: NDArray[np.int32] | NDArray[np.bool_] | None) -> None:
        self._size_bytes += self.rows * max(map(len, variants))
        self._slots.append((len(self._constants), chosen))
        self._constants.extend(variants)

    def _add_table(self, table: pa.Array, index: NDArray[np.int32], nulls: NDArray[np.bool_] | None = None) -> None:
        longest = int(np.diff(offsets_of(table)).max()) if len(table) else 0
        self._size_bytes += self.rows * longest
        base = self._add_array(table)
        if nulls is None:
            self._slots.append((base, index))
        else:
            self._slots.append((0, np.where(nulls, np.int32(0), index + np.int32(base))))

    def _add_array(self, pieces: pa.Array) -> int:
        base = self._next
        self._arrays.append(pieces)
        self._next += len(pieces)
        return base


def assemble(fragments: Sequence[bytes], columns: Sequence[Texts], rows: int) -> pa.Array:
    """For every row the first fragment, then each column's text with the next fragment behind it.

    A fragment behind texts with a comma of their own must not be empty: its first byte takes the comma's place, which
    costs nothing where it is a comma. OverflowError near 2 GiB.
    """
    body = _Body(rows, len(columns))
    before = _Before(fragments[0])
    for texts, after in zip(columns, fragments[1:], strict=True):
        null = texts.null
        if texts.has_comma:
            assert after, "a fragment is empty behind texts that end with a comma"
            texts, null, after = _with_terminator(texts, after[:1]), null + after[:1], after[1:]
        if texts.is_table and len(texts.pieces) <= _GLUE_TABLE_LENGTH:
            body.add_glued_table(before, texts)
        else:
            body.add_gap(before, texts, null)
            body.add_values(texts)
        has_two_endings = texts.nulls is not None and texts.closing
        before = _Before(texts.closing + after, after, texts.nulls if has_two_endings else None)
    body.add_end(before)
    return body.take()


def binary_array(offsets: NDArray[np.int32], data: pa.Buffer | bytes | NDArray[np.uint8]) -> pa.Array:
    """A binary array without nulls over these buffers; nothing is copied."""
    buffer = data if isinstance(data, pa.Buffer) else pa.py_buffer(data)
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), buffer], null_count=0)


def offsets_of(array: pa.Array) -> NDArray[np.int32]:
    """Offsets of a binary array into its data buffer, its own slice only."""
    if array.buffers()[1] is None:
        return np.zeros(1, np.int32)
    return np.frombuffer(array.buffers()[1], np.int32, len(array) + 1, offset=4 * array.offset)


def data_of(array: pa.Array) -> NDArray[np.uint8]:
    """The whole data buffer of a binary array as bytes; `offsets_of` points into it."""
    buffer = array.buffers()[2]
    return np.frombuffer(buffer, np.uint8) if buffer is not None and buffer.size else np.zeros(0, np.uint8)


def nulls_of(values: pa.Array) -> NDArray[np.bool_] | None:
    if values.null_count == 0:
        return None
    mask: NDArray[np.bool_] = numpy_of(values.is_null())
    return mask


def binary_of(values: pa.Array) -> pa.Array:
    """The same bytes as a binary array without nulls (a null becomes a text that nobody uses), uncopied if possible."""
    if not (pa.types.is_string(values.type) or pa.types.is_binary(values.type)):
        if values.nbytes > INT32_MAX:
            raise OverflowError
        values = pc.cast(values, pa.binary())
    _, offsets, data = values.buffers()
    if offsets is None:
        return pa.array([b""] * len(values), pa.binary())
    buffers = [None, offsets, data if data is not None else pa.py_buffer(b"")]
    return pa.Array.from_buffers(pa.binary(), len(values), buffers, null_count=0, offset=values.offset)


def _with_terminator(texts: Texts, terminator: bytes) -> Texts:
    """The same texts with another byte in the place of the comma at their end."""
    if terminator == b",":
        return texts
    data = data_of(texts.pieces).copy()
    offsets = offsets_of(texts.pieces)
    data[offsets[1:] - 1] = terminator[0]
    return replace(texts, pieces=binary_array(offsets, data))
