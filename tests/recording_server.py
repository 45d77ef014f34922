"""A real HTTP server on loopback that keeps every request it gets, so that tests can compare counts and rows.

The one request before a run, which a swarm marks as such and counts in nothing, is kept apart in `probes`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

LOOK_AFTER_S = 0.1
ANSWER_BODY = b'{"predictions":[0]}'
PROBE_MARK = b"user-agent: inference-swarm (probe)"


def answer_bytes(status: int = 200, body: bytes = ANSWER_BODY) -> bytes:
    """A whole answer as most servers send it."""
    head = f"HTTP/1.1 {status} Any\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@dataclass
class Recording:
    """What came in. Read it after the run; `answer` may be replaced before."""

    port: int = 0
    targets: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    last_head: bytes = b""
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0
    peers: list[int] = field(default_factory=list)
    finds_owners: bool = False
    """Whether it finds out which process each connection is of, which takes most of a test's time."""
    owners: dict[int, int] = field(default_factory=dict)
    """Pids by the ports of `peers`."""
    answer: Callable[[bytes], bytes] = field(default=lambda _body: answer_bytes())
    delay_s: float = 0.005
    """Users without a pause would keep all cores busy with requests that no test is about."""
    delays_s: dict[str, float] = field(default_factory=dict)
    """Delays of request targets that differ from `delay_s`."""
    probes: list[bytes] = field(default_factory=list)
    answer_probe: Callable[[bytes], bytes] = field(default=lambda _body: answer_bytes())
    _is_looking: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def rows_by_process(self, pids: Sequence[int]) -> dict[int, list[bytes]]:
        """Bodies by the process that sent them, for the given ones."""
        found: dict[int, list[bytes]] = {pid: [] for pid in pids}
        for body, peer in zip(self.bodies, self.peers, strict=True):
            found[self.owners[peer]].append(body)
        return found

    def look_up_owners(self) -> None:
        """Soon, in a thread and for all that are new: a look takes 0.2 s on a busy machine."""
        if not self._is_looking:
            self._is_looking = True
            loop = asyncio.get_running_loop()
            loop.call_later(LOOK_AFTER_S, lambda: loop.run_in_executor(None, self._look))

    def _look(self) -> None:
        self._is_looking = False
        _find_owners(self.owners, self.port)

    @property
    def count(self) -> int:
        return len(self.bodies)


class _Connection(asyncio.Protocol):
    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._recording.connections += 1
        self._peer = transport.get_extra_info("peername")[1]
        if self._recording.finds_owners:
            self._recording.owners[self._peer] = 0  # also of a port that somebody else has had before
            self._recording.look_up_owners()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            head, separator, rest = self._buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            lines = head.split(b"\r\n")
            length = next((int(line[15:]) for line in lines if line.lower().startswith(b"content-length:")), 0)
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            if PROBE_MARK in head.lower():
                self._recording.probes.append(rest[:length])
                self._recording.connections -= 1  # it has one of its own
                self._recording.owners.pop(self._peer, None)
                self._transport.write(self._recording.answer_probe(rest[:length]))
                continue
            self._recording.last_head = head
            self._recording.heads.append(head)
            self._record(lines[0].split(b" ")[1].decode(), rest[:length])

    def _record(self, target: str, body: bytes) -> None:
        recording = self._recording
        recording.targets.append(target)
        recording.bodies.append(body)
        recording.peers.append(self._peer)
        recording.times_s.append(time.monotonic())
        answer = recording.answer(body)
        delay_s = recording.delays_s.get(target, recording.delay_s)
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, self._transport.write, answer)
        else:
            self._transport.write(answer)


def _find_owners(owners: dict[int, int], server_port: int) -> None:
    """Pids of the processes on this machine whose ends of connections to the server have the ports; one look finds all.

    Others may have a connection to somebody else from the same port.
    """
    for connection in psutil.net_connections("tcp4"):
        is_ours = connection.pid and connection.raddr and connection.raddr.port == server_port
        if is_ours and not owners.get(connection.laddr.port, 1):
            owners[connection.laddr.port] = connection.pid


@contextmanager
def recording_server(host: str = "127.0.0.1") -> Iterator[Recording]:
    """A server in a thread of this process, on a free port."""
    recording = Recording()
    with served(lambda: _Connection(recording), host) as recording.port:
        yield recording


@contextmanager
def served(connection: Callable[[], asyncio.BaseProtocol], host: str = "127.0.0.1") -> Iterator[int]:
    """Serves connections in a thread with a loop of its own; the port. Another loop may run in this thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(loop.create_server(connection, host, 0, backlog=1024), loop).result()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
