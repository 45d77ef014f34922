"""A server that does to each connection exactly what a test's script says, in the test's own event loop."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gevent
from gevent.server import StreamServer

from inference_swarm.apis.api import Predictions
from inference_swarm.transport.check import check_of
from inference_swarm.transport.client import InferenceClient
from inference_swarm.transport.connection import Connection
from inference_swarm.transport.outcome import Outcome
from inference_swarm.transport.rules import AttemptRules
from inference_swarm.transport.target import parse_target, request_heads
from inference_swarm.transport.tls import TlsFiles

CHECK = check_of(Predictions(paths=(("predictions",),)))
Script = Callable[["Peer"], None]


class Peer:
    """One connection as the server sees it. `number` counts from 0."""

    def __init__(self, sock: Any, number: int) -> None:
        self.sock = sock
        self.number = number
        self.requests: list[bytes] = []
        self.is_open = True

    def read_request(self) -> bytes:
        """The next request, whole; empty when the client closed."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.sock.recv(65536)
            if not piece:
                return b""
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            piece = self.sock.recv(65536)
            if not piece:
                return b""
            body += piece
        self.requests.append(body)
        return head + b"\r\n\r\n" + body

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        """Both halves, at once; with bytes that were not read this is a reset."""
        self.sock.close()

    def has_bytes(self) -> bool:
        """Whether there is something that was not read yet."""
        try:
            return bool(self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False

    def wait_closed(self) -> None:
        """Until the client closes its side, whatever it still sends."""
        try:
            while self.sock.recv(65536):
                pass
        except OSError:
            return


class ScriptedServer:
    def __init__(self, script: Script, **tls: Any) -> None:
        self.peers: list[Peer] = []
        self._script = script
        self._server = StreamServer(("127.0.0.1", 0), self._handle, **tls)
        self._server.start()
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"

    def _handle(self, sock: Any, _: Any) -> None:
        peer = Peer(sock, len(self.peers))
        self.peers.append(peer)
        try:
            self._script(peer)
        except OSError:  # the client went away in the middle of a script
            return
        finally:
            peer.is_open = False

    def stop(self) -> None:
        self._server.stop(timeout=0)


@contextmanager
def serve(
    script: Script, *, tls: Mapping[str, Any] | None = None, tls_files: TlsFiles | None = None, **rules: Any
) -> Iterator[tuple[InferenceClient, ScriptedServer]]:
    """A client of a server that follows the script; afterwards no connection of the client may be open."""
    server = ScriptedServer(script, **(tls or {}))
    client = InferenceClient(parse_target(server.url), AttemptRules(**rules), tls_files=tls_files)
    try:
        yield client, server
    finally:
        server.stop()
    assert client.counters.open == 0


def request_to(client: InferenceClient, body: bytes = b'{"a":1}') -> bytes:
    return request_heads(client.target)(len(body)) + body


def run(use: Callable[[Connection], Any], client: InferenceClient) -> Any:
    """What `use` returns, in a greenlet of its own with a connection that is released afterwards."""

    def user() -> Any:
        connection = client.connect()
        try:
            return use(connection)
        finally:
            connection.release()

    return gevent.spawn(user).get(timeout=5)


def respond_all(data: bytes) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.send(data)

    return script


def fast_path_until(client: InferenceClient, count: int) -> tuple[int, Outcome | None]:
    """Relays until `count` attempts were noted; how often the user had to wake, and the last outcome that was not."""

    def use(connection: Connection) -> tuple[int, Outcome | None]:
        request = request_to(client)
        taken = 0

        def take() -> bytes:
            nonlocal taken
            taken += 1
            if taken == count:
                connection.end_fast_path()
            return request

        wakes = 0
        outcome = None
        while taken < count:
            outcome = connection.attempt_repeatedly(take, (), 0)
            if outcome is not None:
                client.log.add(outcome)
            wakes += 1
        return wakes, outcome

    result: tuple[int, Outcome | None] = run(use, client)
    return result
