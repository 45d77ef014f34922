"""A server of known delays, as a process of its own: sleeps before it answers, and keeps its own record of every delay.

    python delay_server.py RECORD.npy SPEC…     prints its port; writes the record when it gets SIGTERM
SPEC: `0.5@0.002 0.5@0.010` (shares of the requests and their delays in s), or `stall EVERY_S LENGTH_S DELAY_S` (answers
that fall into the last LENGTH_S of every EVERY_S since the first request are held until its end).
The record: two rows of int64, monotonic ns at which each request was whole, and was answered.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from array import array
from collections.abc import Callable

import numpy as np

ANSWER = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 19\r\n\r\n{"predictions":[0]}'


class Server:
    """Answers each request when its delay is over."""

    def __init__(self, delay_s: Callable[[float], float]) -> None:
        self.came: array[int] = array("q")
        self.answered: array[int] = array("q")
        self._delay_s = delay_s
        self._loop = asyncio.get_running_loop()

    def take(self, transport: asyncio.WriteTransport) -> None:
        came_ns = time.monotonic_ns()
        # A timer is up to a millisecond late, which the record says. Waiting more exactly would take a core from those
        # whose numbers are held against the record.
        self._loop.call_later(self._delay_s(came_ns / 1e9), self._answer, transport, came_ns)

    def _answer(self, transport: asyncio.WriteTransport, came_ns: int) -> None:
        transport.write(ANSWER)
        self.came.append(came_ns)
        self.answered.append(time.monotonic_ns())


class Connection(asyncio.Protocol):
    """Finds where a request ends."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if separator:
            at = head.lower().find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(rest) >= length:
                self._buffer = rest[length:]
                self._server.take(self._transport)


def delays_by_share(specs: list[str]) -> Callable[[float], float]:
    """Each request draws one of the delays."""
    pairs = [spec.split("@") for spec in specs]
    shares, delays = [float(share) for share, _ in pairs], [float(delay) for _, delay in pairs]
    draw = random.Random(1)
    return lambda _now_s: draw.choices(delays, shares)[0]


def stalls(every_s: float, length_s: float, delay_s: float) -> Callable[[float], float]:
    """A delay, and every so often nothing at all for a while."""
    began_s: list[float] = []

    def delay(now_s: float) -> float:
        if not began_s:
            began_s.append(now_s)
        done_s = now_s + delay_s - began_s[0]
        in_turn_s = done_s % every_s
        return delay_s + (every_s - in_turn_s if in_turn_s >= every_s - length_s else 0.0)

    return delay


async def main(record: str, specs: list[str]) -> None:
    delay = stalls(*map(float, specs[1:])) if specs[0] == "stall" else delays_by_share(specs)
    server = Server(delay)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0, backlog=1024)
    is_over = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, is_over.set)
    print(listening.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await is_over.wait()
    np.save(record, np.array([server.came, server.answered], dtype=np.int64))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
