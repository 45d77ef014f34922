"""A real HTTP server with a model of one line, that can go wrong under load, and logs what it answered to which row.

It reads the column `id` of a row, and answers with the score or the class of that row. It runs in a thread of the test.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.recording_server import PROBE_MARK, answer_bytes, served

DELAY_S = 0.004


def score_of(row: int) -> float:
    """The probability of class 1 that the model gives to a row: another one for each."""
    return 1 / (1 + math.exp(-3 * math.sin(row * 0.7)))


@dataclass
class Answering:
    """How the server answers; what it answered is in `log`, row and prediction."""

    port: int = 0
    predict: Callable[[int], Any] = score_of
    swap_from: int = 0
    """From so many requests in flight on, one in `swap_every` gets the answer of another one, which gets its own."""
    swap_every: int = 1000
    constant_above_rps: float = 0.0
    constant: Any = 0.5
    delay_s: float = DELAY_S
    log: list[tuple[int, Any]] = field(default_factory=list)
    swapped: list[tuple[int, int]] = field(default_factory=list)
    waiting: list[_Waiting] = field(default_factory=list)
    arrivals_s: deque[float] = field(default_factory=lambda: deque(maxlen=4000))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def rate_rps(self, now_s: float) -> float:
        """The rate of the last second."""
        while self.arrivals_s and now_s - self.arrivals_s[0] > 1.0:
            self.arrivals_s.popleft()
        return float(len(self.arrivals_s))

    def answer(self, rows: list[int], now_s: float) -> list[Any]:
        """Return the answers to the rows of a request."""
        self.arrivals_s.append(now_s)
        if self.constant_above_rps and self.rate_rps(now_s) > self.constant_above_rps:
            return [self.constant for _ in rows]
        return [self.predict(row) for row in rows]


@dataclass(eq=False)
class _Waiting:
    rows: list[int]
    answers: list[Any]
    is_swapped: bool = False


class _Connection(asyncio.Protocol):
    def __init__(self, server: Answering) -> None:
        self._server = server
        self._buffer = b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        if not separator or len(rest) < length:
            return
        body, self._buffer = rest[:length], rest[length:]
        if length:
            self._serve(body, is_probe=PROBE_MARK in head.lower())

    def _serve(self, body: bytes, *, is_probe: bool) -> None:
        server, loop = self._server, asyncio.get_running_loop()
        found = json.loads(body)
        found = found if isinstance(found, dict) and "id" in found else found.get("instances", found)
        rows = [int(row["id"]) for row in (found if isinstance(found, list) else [found])]
        if is_probe:
            self._write([server.predict(row) for row in rows])
            return
        waiting = _Waiting(rows, server.answer(rows, loop.time()))
        server.waiting.append(waiting)
        in_flight = len(server.waiting)
        if (
            server.swap_from
            and in_flight >= server.swap_from
            and (len(server.log) + server.swap_every) // server.swap_every > len(server.swapped)
        ):
            self._swap(waiting)
        loop.call_later(server.delay_s, self._respond, waiting)

    def _swap(self, waiting: _Waiting) -> None:
        other = next((one for one in self._server.waiting if one.rows != waiting.rows and not one.is_swapped), None)
        if other is not None:
            waiting.answers, other.answers = other.answers, waiting.answers
            waiting.is_swapped = other.is_swapped = True
            self._server.swapped.append((waiting.rows[0], other.rows[0]))

    def _respond(self, waiting: _Waiting) -> None:
        self._server.waiting.remove(waiting)
        self._server.log += zip(waiting.rows, waiting.answers, strict=True)
        self._write(waiting.answers)

    def _write(self, answers: list[Any]) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer_bytes(body=json.dumps({"predictions": answers}).encode()))


@contextmanager
def answering_server() -> Iterator[Answering]:
    """A server on a free port of loopback."""
    answering = Answering()
    with served(lambda: _Connection(answering)) as answering.port:
        yield answering
