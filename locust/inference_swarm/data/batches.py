"""Requests of several rows: stored texts of rows in, ready requests of N rows out, each put together when it is taken.

Nothing is encoded here: `join` makes a body of the texts that are in memory. Beyond these, memory holds the texts of at
most one batch that has begun and has no rest yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from inference_swarm.data.orders import DRAW, REMEMBERED_DRAWS, Chunk, Taken
from inference_swarm.data.packed import Indices, Requests


@dataclass(frozen=True, slots=True)
class Batching:
    """The rows of a request: how many, and the body that their stored texts become (1 to `size` of them)."""

    size: int
    join: Callable[[Sequence[bytes]], bytes]


class Composer:
    """Makes requests of texts, and remembers for a while of which rows the newest ones were made.

    A request is known by its identity: as long as it is under way, no other object has it.
    """

    def __init__(self, batching: Batching, head_of: Callable[[int], bytes]) -> None:
        self._join = batching.join
        self._head_of = head_of
        self._rows: dict[int, Sequence[int]] = {}
        self._max_remembered = max(REMEMBERED_DRAWS, REMEMBERED_DRAWS * DRAW // batching.size)

    def request_of(self, texts: Sequence[bytes]) -> bytes:
        body = self._join(texts)
        return self._head_of(len(body)) + body

    def remember(self, taken: Taken) -> bytes:
        """Return the request."""
        rows, request = taken
        known, key = self._rows, id(request)
        known.pop(key, None)  # of a request that has ended
        known[key] = rows
        if len(known) > self._max_remembered:
            del known[next(iter(known))]
        return request

    def find_rows(self, request: bytes) -> Sequence[int]:
        """Return the numbers of a request's rows, in their order; none if they are not known any more."""
        return self._rows.get(id(request), ())


class RandomBatches:
    """As `orders.RandomFeed`: each row of a batch is drawn uniformly, with replacement."""

    def __init__(
        self,
        rows: Callable[[], Requests],
        seed: Sequence[int],
        on_draw: Callable[[int], None],
        batching: Batching,
        head_of: Callable[[int], bytes],
    ) -> None:
        integers = np.random.default_rng(list(seed)).integers
        composer = Composer(batching, head_of)
        size = batching.size
        drawn_rows = max(1, DRAW // size) * size
        drawn: Iterator[Taken] = iter(())

        def draw() -> Iterator[Taken]:
            on_draw(drawn_rows)
            requests = rows()
            if not len(requests):
                return
            indices = integers(0, len(requests), drawn_rows)
            numbers, texts = requests.row_numbers(indices), requests.texts(indices)
            for first in range(0, drawn_rows, size):
                yield numbers[first : first + size], composer.request_of(list(islice(texts, size)))

        def take_rows() -> Taken | None:
            nonlocal drawn
            taken = next(drawn, None)
            if taken is None:
                drawn = draw()
                taken = next(drawn, None)
            return taken

        def take() -> bytes | None:
            taken = take_rows()
            return None if taken is None else composer.remember(taken)

        def forget_drawn() -> None:
            nonlocal drawn
            drawn = iter(())

        self.take = take
        self.take_rows = take_rows
        self.find_rows = composer.find_rows
        self.forget_drawn = forget_drawn


class ChunkBatches:
    """As `orders.ChunkFeed`: a batch goes on over the end of a chunk, and not over the end of an epoch.

    A batch that has begun when no chunk follows waits for its rest, unless `is_over` says that there is none.
    """

    def __init__(
        self,
        next_chunk: Callable[[], Chunk | None],
        batching: Batching,
        head_of: Callable[[int], bytes],
        *,
        is_over: Callable[[], bool],
        on_gather: Callable[[int], None],
    ) -> None:
        """`on_gather`: this many rows of the chunk, the next ones in its order, are in a batch now."""
        self._next_chunk = next_chunk
        self._size = batching.size
        self._composer = Composer(batching, head_of)
        self._is_over = is_over
        self._on_gather = on_gather
        self._chunk: Chunk | None = None
        self._begun = 0  # rows of the chunk's order up to the end of those in `_pending`
        self._pending: Iterator[bytes] = iter(())
        self._pending_numbers: list[int] = []
        self._used = 0  # of these, how many were gathered
        self._texts: list[bytes] = []  # of the batch that has begun
        self._numbers: list[int] = []
        self._epoch = 0  # to which its rows belong
        self.find_rows = self._composer.find_rows

    def take(self) -> bytes | None:
        """Return the next request if it is a whole batch; a smaller one is for `take_rows`."""
        return self._composer.remember(self._emit()) if self._gather() else None

    def take_rows(self) -> Taken | None:
        """Return the next request, whole or not, and the numbers of its rows."""
        if self._gather() or (self._texts and (self._is_epoch_over or self._is_over())):
            return self._emit()
        return None

    def skip(self, block_flags: Sequence[bool]) -> None:
        """Gather no rows of the chunk's flagged blocks any more."""
        if self._chunk is None:
            return
        left = self._chunk.order[self._begun - len(self._pending_numbers) + self._used :]
        left = left[~self._chunk.requests.is_of(block_flags)[left]]
        self._chunk, self._begun = Chunk(self._chunk.requests, left, self._chunk.epoch), 0
        self._set_pending(left[:0])

    def drop(self, first_row: int, rows: int) -> list[int]:
        """Take the rows of a block out of the batch that has begun; returns those that were in it."""
        pairs = list(zip(self._numbers, self._texts, strict=True))
        block = range(first_row, first_row + rows)
        self._numbers = [number for number, _ in pairs if number not in block]
        self._texts = [text for number, text in pairs if number not in block]
        return [number for number, _ in pairs if number in block]

    @property
    def _is_epoch_over(self) -> bool:
        """Whether the next chunk is here already, and of another epoch than the batch that has begun."""
        return self._chunk is not None and self._chunk.epoch != self._epoch

    def _emit(self) -> Taken:
        rows, request = self._numbers, self._composer.request_of(self._texts)
        self._texts, self._numbers = [], []
        return rows, request

    def _gather(self) -> bool:
        """Add rows to the batch that has begun; returns whether it is whole."""
        while (missing := self._size - len(self._texts)) > 0:
            if self._used == len(self._pending_numbers) and not self._begin():
                return False
            if not self._texts and self._chunk is not None:
                self._epoch = self._chunk.epoch
            elif self._is_epoch_over:
                return False
            fresh = list(islice(self._pending, missing))
            self._texts += fresh
            self._numbers += self._pending_numbers[self._used : self._used + len(fresh)]
            self._used += len(fresh)
            self._on_gather(len(fresh))
        return True

    def _begin(self) -> bool:
        """Make rows pending, of this chunk or the next one that has any."""
        while self._chunk is None or self._begun >= len(self._chunk.order):
            self._chunk, self._pending = None, iter(())  # releases the memory before the next is asked for
            self._used, self._pending_numbers = 0, []
            self._chunk, self._begun = self._next_chunk(), 0
            if self._chunk is None:
                return False
        indices = self._chunk.order[self._begun : self._begun + DRAW]
        self._begun += len(indices)
        self._set_pending(indices)
        return True

    def _set_pending(self, indices: Indices) -> None:
        self._used = 0
        self._pending, self._pending_numbers = iter(()), []
        if self._chunk is not None and len(indices):
            self._pending = self._chunk.requests.texts(indices)
            self._pending_numbers = self._chunk.requests.row_numbers(indices)
