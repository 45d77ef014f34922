"""Which requests are in the sample whose answers are looked at, drawn where rows are: the others cost nothing more.

Rows that were drawn in, their requests out; those of the sample are noted when their turn comes. Pure, but for drawing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, repeat
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference_swarm.data.packed import Indices, Requests

_DRAWN: Final = 4096
# Draws before this one whose rows are known: of 1,024 rows each.
_EARLIER: Final = 2
_KEY: Final = 16

Ask = Callable[[Sequence[int], bytes, int], None]
"""Takes the rows of a request, the request, and how many were taken up to it."""


def gaps_of(share: float, seed: int) -> Iterator[int]:
    """Yield how many requests it is to the next of a sample: drawn, as even gaps may keep step with a server."""
    if share >= 1:
        yield from repeat(1)
    generator = np.random.default_rng([seed, _KEY])
    while True:
        yield from generator.geometric(share, _DRAWN).tolist()


class SampledDraws:
    """`compose` is for `RowStore.compose_with`."""

    def __init__(self, share: float, seed: int, ask: Ask) -> None:
        self._share = share
        self._random = np.random.default_rng([seed, _KEY]).random
        self._ask = ask
        self._count_before = 0
        self._rows: NDArray[np.int64] = np.empty(0, np.int64)
        self._left: Callable[[], int] = lambda: 0
        self._earlier: deque[NDArray[np.int64]] = deque(maxlen=_EARLIER)

    def compose(self, requests: Requests, indices: Indices) -> Iterator[bytes]:
        """Return the requests of these rows."""
        taken = self._taken()  # of the draw before, of which some may have been left
        self._count_before += len(taken)
        self._earlier.appendleft(taken)
        pieces, self._left, self._rows = requests.compose_numbered(indices)
        places = np.flatnonzero(self._random(len(indices)) < self._share)
        others = np.diff(places, prepend=-1) - 1
        numbers = self._count_before + places + 1
        return self._noted(pieces, others.tolist(), self._rows[places].tolist(), numbers.tolist())

    def _noted(
        self, pieces: Iterator[bytes], others: list[int], rows: list[int], numbers: list[int]
    ) -> Iterator[bytes]:
        """Yield all; `others` is how many come before each of the sample."""
        ask = self._ask
        for count, row, number in zip(others, rows, numbers, strict=True):
            yield from islice(pieces, count)
            request = next(pieces)
            ask((row,), request, number)
            yield request
        yield from pieces

    def count_taken(self) -> int:
        """Return how many requests were taken so far."""
        return self._count_before + len(self._taken())

    def lately(self) -> Iterator[int]:
        """Yield the rows that were taken, the last one first, as far back as they are known."""
        for rows in (self._taken(), *self._earlier):
            yield from rows[::-1].tolist()

    def _taken(self) -> NDArray[np.int64]:
        return self._rows[: len(self._rows) - self._left()]
