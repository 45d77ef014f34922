"""Decides the order in which rows are taken: packed rows in, `take()` of a ready request out. No I/O, no gevent.

`random` draws with replacement, uniformly over the rows there are now. The other orders consume chunks one after the
other (sequential: one block; shuffle: a seeded permutation of many; once: one block, never again).

`take` is the hot path: a closure over an iterator; what can be computed for many rows at once, numpy does beforehand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from inference_swarm.data.packed import Indices, Requests

Order = Literal["random", "sequential", "shuffle", "once"]
ORDERS: tuple[str, ...] = get_args(Order)

DRAW = 1024  # rows drawn at a time: 256 costs 15 % more a row, 4096 gains nothing
REMEMBERED_DRAWS = 16  # this many draws back, `find_rows` still knows which row a request was made of


Taken = tuple[Sequence[int], bytes]
"""The numbers of rows in the dataset, and the request that was made of them."""
Compose = Callable[[Requests, Indices], Iterator[bytes]]
"""Yields the requests of these rows, as `Requests.compose`."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows, and the order (indices) in which they are to be taken, each once."""

    requests: Requests
    order: Indices
    epoch: int = 0


class _Draws:
    """Draws `DRAW` rows at a time, and remembers the last of them."""

    def __init__(self, rows: Callable[[], Requests], seed: Sequence[int], on_draw: Callable[[int], None]) -> None:
        self._rows = rows
        self._integers = np.random.default_rng(list(seed)).integers
        self._on_draw = on_draw
        self._requests: Requests | None = None
        self._lately: deque[Indices] = deque(maxlen=REMEMBERED_DRAWS)  # of these requests only: no others are kept

    def draw(self) -> tuple[Requests, Indices] | None:
        """Return rows that were drawn, None while there are none."""
        self._on_draw(DRAW)
        requests = self._rows()
        if requests is not self._requests:
            self._requests = requests
            self._lately.clear()
        if not len(requests):
            return None
        self._lately.appendleft(self._integers(0, len(requests), DRAW))
        return requests, self._lately[0]

    def find_rows(self, request: bytes) -> Sequence[int]:
        """Return the row of a request that was drawn lately."""
        if self._requests is None or not self._lately:
            return ()
        return self._requests.find_row(request, np.concatenate(self._lately))

    def forget(self) -> None:
        """Let go of the rows."""
        self._requests = None
        self._lately.clear()


class RandomFeed:
    """Uniform draws, with replacement, from rows that the owner may change between calls (then: `forget_drawn`)."""

    def __init__(self, rows: Callable[[], Requests], seed: Sequence[int], on_draw: Callable[[int], None]) -> None:
        """`rows` is asked at each draw; before that `on_draw` gets the number of requests that will be taken next."""
        draws = _Draws(rows, seed, on_draw)
        compose: Compose = Requests.compose
        drawn: Iterator[bytes] = iter(())
        drawn_rows: Iterator[Taken] = iter(())

        def take() -> bytes | None:
            request = next(drawn, None)
            return take_first() if request is None else request

        def take_first() -> bytes | None:
            nonlocal drawn
            if (choice := draws.draw()) is None:
                return None
            requests, indices = choice
            drawn = compose(requests, indices)
            return next(drawn)

        def take_rows() -> Taken | None:
            nonlocal drawn_rows
            taken = next(drawn_rows, None)
            if taken is None and (choice := draws.draw()) is not None:
                drawn_rows = _numbered(*choice)
                return next(drawn_rows)
            return taken

        def forget_drawn() -> None:
            nonlocal drawn, drawn_rows
            drawn, drawn_rows = iter(()), iter(())
            draws.forget()

        def compose_with(other: Compose) -> None:
            nonlocal compose, drawn
            compose, drawn = other, iter(())

        self.take = take
        self.take_rows = take_rows
        self.find_rows = draws.find_rows  # the row of a request that was taken lately
        self.forget_drawn = forget_drawn
        self.compose_with = compose_with  # `take` gets its requests from this from now on


class ChunkFeed:
    """Takes the rows of chunks in their order; `next_chunk` returns None while there is none (yet)."""

    def __init__(self, next_chunk: Callable[[], Chunk | None]) -> None:
        chunk: Chunk | None = None
        begun = 0  # rows of the chunk's order up to the end of those in `pending`
        pending: Iterator[Taken] = iter(())

        def begin() -> bool:
            """Make rows pending, of this chunk or the next one that has any."""
            nonlocal chunk, begun, pending
            pending = iter(())
            while chunk is None or begun >= len(chunk.order):
                chunk = None  # releases the memory before the next is asked for
                chunk, begun = next_chunk(), 0
                if chunk is None:
                    return False
            indices = chunk.order[begun : begun + DRAW]
            begun += len(indices)
            pending = _numbered(chunk.requests, indices)
            return True

        def take_rows() -> Taken | None:
            taken = next(pending, None)
            return next(pending) if taken is None and begin() else taken

        def take() -> bytes | None:
            taken = next(pending, None)
            if taken is None:
                taken = take_rows()
            return None if taken is None else taken[1]

        def skip(block_flags: Sequence[bool]) -> None:
            nonlocal chunk, begun, pending
            if chunk is None:
                return
            left = chunk.order[begun - sum(1 for _ in pending) :]
            chunk = Chunk(chunk.requests, left[~chunk.requests.is_of(block_flags)[left]], chunk.epoch)
            begun, pending = 0, iter(())

        def find_rows(request: bytes) -> Sequence[int]:
            if chunk is None:
                return ()
            return chunk.requests.find_row(request, chunk.order[max(0, begun - REMEMBERED_DRAWS * DRAW) : begun])

        self.take = take
        self.take_rows = take_rows
        self.find_rows = find_rows  # the row of a request that was taken lately, while its chunk lasts
        self.skip = skip  # rows of the chunk's flagged blocks are not taken any more


def _numbered(requests: Requests, indices: Indices) -> Iterator[Taken]:
    return zip(zip(requests.row_numbers(indices), strict=True), requests.compose(indices), strict=True)


def permutation(length: int, seed: Sequence[int]) -> Indices:
    """Return 0 … length-1 in an order that depends on the seed alone."""
    return np.random.default_rng(list(seed)).permutation(np.arange(length, dtype=np.uint32))
