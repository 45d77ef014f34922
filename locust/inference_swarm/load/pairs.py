"""A/B: each row goes to both variants, one right after the other, in an order that is drawn for each pair.

The pairs are those of the process, not of a user: the next request that any user sends is the second of the pair. So
both variants get the same rows, as many requests, at the same time, whatever the kind of load.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inference_swarm.data.orders import Taken
from inference_swarm.transport.client import InferenceClient
from inference_swarm.transport.request_edit import body_of


@dataclass(frozen=True, slots=True)
class Side:
    """One variant: where its requests go, and the head of a request by the length of its body."""

    client: InferenceClient
    head_of: Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Turn:
    """The next request of a pair: which variant's it is, and the numbers of its rows where they are known."""

    side: int
    request: bytes
    row_count: int
    rows: Sequence[int] = ()


class Pairs:
    """Where users of an A/B run get their requests from."""

    def __init__(
        self,
        sides: Sequence[Side],
        take: Callable[[], bytes | None],
        take_rows: Callable[[], Taken | None] | None,
        seed: str,
        notes: Sequence[Callable[[Taken], None]] = (),
    ) -> None:
        """`take`, or with batches `take_rows`, returns a request of the first side. `seed`: that of the orders.

        `notes`: of each side what is told of a request before it is sent; then there must be `take_rows`.
        """
        self._notes = notes
        self.clients = [side.client for side in sides]
        self._sides = sides
        self._take = take
        self._take_rows = take_rows
        self._random = random.Random(seed)
        self._second: Turn | None = None

    def take(self) -> Turn | None:
        """Return the next request, or None while there is none."""
        turn = self._next()
        if turn is not None and self._notes:
            self._notes[turn.side]((turn.rows, turn.request))
        return turn

    def _next(self) -> Turn | None:
        if self._second is not None:
            turn, self._second = self._second, None
            return turn
        taken = self._taken()
        if taken is None:
            return None
        rows, request = taken
        body = body_of(request)
        first = self._random.getrandbits(1)
        turns = [
            Turn(number, self._sides[number].head_of(len(body)) + body, len(rows) or 1, rows)
            for number in (first, 1 - first)
        ]
        self._second = turns[1]
        return turns[0]

    def _taken(self) -> Taken | None:
        if self._take_rows is not None:
            return self._take_rows()
        request = self._take()
        return None if request is None else ((), request)
