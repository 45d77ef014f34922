"""Bodies of many rows side by side in one buffer, and the requests that are made of them when their turn comes. Pure.

A million bytes objects would cost 50 bytes each, and the head, which depends on the body's length alone, 200 more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import length_hint
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Indices = NDArray[np.integer[Any]]

# Heads of all lengths in a range of at most this size are made at once (about 1 µs and 250 bytes each).
WIDEST_RANGE: Final = 4096
END_OF_HEAD: Final = b"\r\n\r\n"
_INT32_MAX: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class PackedBodies:
    """Body i is `data[offsets[i]:offsets[i + 1]]`; the first offset is 0."""

    data: bytes
    offsets: Indices

    @classmethod
    def pack(cls, arrays: Iterable[pa.Array]) -> PackedBodies:
        """The bodies of binary (or large_binary) arrays, one after the other; each array may go before the next comes.

        ValueError for a null.
        """
        parts: list[bytes] = []
        lengths: list[Indices] = []
        for array in arrays:
            if array.null_count:
                raise ValueError(f"{array.null_count} bodies are null")
            if len(array) == 0:
                continue
            width = np.int64 if pa.types.is_large_binary(array.type) else np.int32
            _, offsets_buffer, data = array.buffers()
            offsets = np.frombuffer(offsets_buffer, width, len(array) + 1, array.offset * np.dtype(width).itemsize)
            first, end = int(offsets[0]), int(offsets[-1])
            parts.append(data[first:end].to_pybytes() if end > first else b"")
            lengths.append(np.diff(offsets))
        size = sum(map(len, parts))
        joined: Indices = np.zeros(sum(map(len, lengths)) + 1, np.int32 if size <= _INT32_MAX else np.int64)
        if lengths:
            np.cumsum(np.concatenate(lengths), out=joined[1:], dtype=joined.dtype)
        return cls(b"".join(parts), joined)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def cost_bytes(self) -> int:
        """Memory in use: the bodies, and the offsets twice (here and in `Requests`)."""
        return len(self.data) + 2 * self.offsets.itemsize * len(self)


class Heads:
    """Request heads by the length of the body that follows, made by `head_of` and kept."""

    def __init__(self, head_of: Callable[[int], bytes]) -> None:
        self.head_of = head_of
        self._first = 0  # length to which the first head of the table belongs
        self._table: NDArray[np.object_] = np.empty(0, object)

    def of(self, lengths: Indices) -> list[bytes]:
        """Return the head for each length."""
        if len(lengths) == 0:
            return []
        lowest, highest = int(lengths.min()), int(lengths.max())
        if lowest < self._first or highest >= self._first + len(self._table):
            if len(self._table):  # what was needed before will be needed again, if it fits
                first, last = min(lowest, self._first), max(highest, self._first + len(self._table) - 1)
                if last - first < WIDEST_RANGE:
                    lowest, highest = first, last
            if highest - lowest >= WIDEST_RANGE:
                made = {length: self.head_of(length) for length in set(lengths.tolist())}
                return [made[length] for length in lengths.tolist()]
            self._first = lowest
            self._table = np.empty(highest - lowest + 1, object)
            self._table[:] = [self.head_of(length) for length in range(lowest, highest + 1)]
        heads: list[bytes] = self._table[lengths - self._first].tolist()
        return heads


class Requests:
    """The rows of some blocks as one sequence; a request is composed when it is taken."""

    def __init__(self, blocks: Iterable[tuple[int, PackedBodies]], heads: Heads, kept: Sequence[object] = ()) -> None:
        """`blocks`: the dataset's number of the first row, and the bodies of this row and those behind it.

        `kept` is kept in memory as long as its rows may be taken.
        """
        self.kept = kept
        first_rows, bodies = [], []
        for first_row, packed in blocks:
            first_rows.append(first_row)
            bodies.append(packed)
        self._heads = heads
        self._data: NDArray[np.object_] = np.empty(len(bodies), object)
        self._data[:] = [packed.data for packed in bodies]
        # offsets of all blocks in a row: as each has one more than rows, row i of block b is at i + b
        self._offsets = np.concatenate([packed.offsets for packed in bodies]) if bodies else np.zeros(1, np.int32)
        self._ends = np.cumsum([len(packed) for packed in bodies], dtype=np.intp)
        self._to_row = np.array(first_rows, np.int64)
        self._to_row[1:] -= self._ends[:-1]
        self._length = int(self._ends[-1]) if bodies else 0

    def __len__(self) -> int:
        return self._length

    def compose(self, indices: Indices) -> Iterator[bytes]:
        """Yield the requests of these rows; each is made just before it is sent, so it is still in the cache.

        For 1024 rows at once about 270 ns each, and the cache misses that sending would have had otherwise.
        """
        return self._compose(indices, self._ends.searchsorted(indices, side="right"))[0]

    def compose_numbered(self, indices: Indices) -> tuple[Iterator[bytes], Callable[[], int], NDArray[np.int64]]:
        """Return the same, what says how many of them are left, and the numbers of their rows in the dataset."""
        blocks = self._ends.searchsorted(indices, side="right")
        return *self._compose(indices, blocks), self._to_row[blocks] + indices

    def _compose(self, indices: Indices, blocks: Indices) -> tuple[Iterator[bytes], Callable[[], int]]:
        places = indices + blocks
        starts, ends = self._offsets[places], self._offsets[places + 1]
        heads = iter(self._heads.of(ends - starts))
        pieces = zip(heads, self._data[blocks].tolist(), starts.tolist(), ends.tolist(), strict=True)
        return (head + data[start:end] for head, data, start, end in pieces), partial(length_hint, heads)

    def texts(self, indices: Indices) -> Iterator[bytes]:
        """Yield the stored texts of these rows, without a head."""
        blocks = self._ends.searchsorted(indices, side="right")
        places = indices + blocks
        pieces = zip(
            self._data[blocks].tolist(),
            self._offsets[places].tolist(),
            self._offsets[places + 1].tolist(),
            strict=True,
        )
        return (data[start:end] for data, start, end in pieces)

    def row_numbers(self, indices: Indices) -> list[int]:
        """Return the numbers of these rows in the dataset."""
        blocks = self._ends.searchsorted(indices, side="right")
        numbers: list[int] = (self._to_row[blocks] + indices).tolist()
        return numbers

    def find_row(self, request: bytes, indices: Indices) -> tuple[int, ...]:
        """What a row among these is numbered in the dataset that becomes the request; empty if none does."""
        body = request.partition(END_OF_HEAD)[2]
        blocks = self._ends.searchsorted(indices, side="right")
        places = indices + blocks
        starts, ends = self._offsets[places], self._offsets[places + 1]
        for found in np.flatnonzero(ends - starts == len(body)).tolist():
            if self._data[blocks[found]][starts[found] : ends[found]] == body:
                return (int(self._to_row[blocks[found]] + indices[found]),)
        return ()

    def is_of(self, block_flags: Sequence[bool]) -> NDArray[np.bool_]:
        """Return for each row whether its block is flagged."""
        return np.repeat(np.array(block_flags, np.bool_), np.diff(self._ends, prepend=0))
