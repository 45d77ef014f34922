"""A real HTTP server that behaves as one of `simulated_servers` and keeps a record: `python -m tests.queueing_server`.

The model decides at a request's arrival when it is done, so the queue is that of theory, whatever the machine does; the
response is written at that instant. GET /record returns what was served, with the percentiles of its own times.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
from typing import Any

import numpy as np

from tests.simulated_servers import Server, models

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 19\r\n\r\n" + b'{"predictions":[0]}'
BUSY = b"HTTP/1.1 503 Busy\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\nbusy"


class Record:
    """What was served: when each request came, was done, and was written."""

    def __init__(self, model: Server) -> None:
        self.model = model
        self.rows: list[tuple[float, float, float]] = []

    def summary(self) -> dict[str, Any]:
        """Return counts, and the percentiles of what the model said and of what was written, in ms."""
        rows = np.array(self.rows or [(0.0, 0.0, 0.0)])
        modelled, written = (rows[:, 1] - rows[:, 0]) * 1000, (rows[:, 2] - rows[:, 0]) * 1000
        return {
            "served": len(self.rows),
            "p99_modelled_ms": float(np.percentile(modelled, 99)),
            "p99_written_ms": float(np.percentile(written, 99)),
        }


class Connection(asyncio.Protocol):
    """One client, one request at a time."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._buffer = b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        if head.startswith(b"GET /record"):
            self._write_record()
        else:
            self._serve()

    def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        done, served = self._record.model.serve(np.array([now_s]))
        loop.call_at(float(done[0]), self._respond, now_s, float(done[0]), bool(served[0]))

    def _respond(self, came_s: float, done_s: float, is_served: bool) -> None:
        self._record.rows.append((came_s, done_s, asyncio.get_running_loop().time()))
        if not self._transport.is_closing():
            self._transport.write(OK if is_served else BUSY)

    def _write_record(self) -> None:
        body = json.dumps(self._record.summary()).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)


async def serve(model: Server, port: int) -> None:
    """Serve until the process ends; the first line of output is the port."""
    record = Record(model)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(record), "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - for whoever started it
    await server.serve_forever()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    asyncio.run(serve(models(np.random.default_rng(options.seed))[options.model](), options.port))


if __name__ == "__main__":
    main()
