"""A server that does with each connection what a script says, whatever HTTP thinks of it, and counts what it read."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

BODY = b'{"predictions":[0]}'


def response(status: int = 200, body: bytes = BODY, *, head: bytes = b"", length: int | None = None) -> bytes:
    """A whole response; `length` is what it says of its body, if that is a lie."""
    said = len(body) if length is None else length
    return b"HTTP/1.1 %d Any\r\n%bcontent-length: %d\r\n\r\n%b" % (status, head, said, body)


class Peer:
    """One connection, from the server's side."""

    def __init__(self, connection: socket.socket, server: OddServer) -> None:
        self.socket = connection
        self.server = server
        self.requests = 0
        self._rest = b""

    def read_request(self) -> bool:
        """Waits for a whole request; False when there will be none."""
        while True:
            head, found, rest = self._rest.partition(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
            if found and len(rest) >= length:
                self._rest = rest[length:]
                self.requests += 1
                self.server.note_request()
                return True
            piece = self.socket.recv(1 << 16)
            if not piece:
                return False
            self._rest += piece

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reset(self) -> None:
        """Ends the connection as a crash does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class OddServer:
    """Listens on loopback until it is closed; `read` counts requests that were read whole."""

    def __init__(self, script: Callable[[Peer], None], port: int = 0) -> None:
        self.read = 0
        self.connections = 0
        self._lock = threading.Lock()
        self._script = script
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def note_request(self) -> None:
        with self._lock:
            self.read += 1

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(Peer(connection, self),), daemon=True).start()

    def _serve(self, peer: Peer) -> None:
        with suppress(OSError):
            self._script(peer)
        with suppress(OSError):
            peer.socket.close()

    def close(self) -> None:
        """Gone, with every connection."""
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextmanager
def odd_server(script: Callable[[Peer], None]) -> Iterator[OddServer]:
    server = OddServer(script)
    try:
        yield server
    finally:
        server.close()


def for_each_request(answer: Callable[[Peer], None]) -> Callable[[Peer], None]:
    """A script that answers one request after the other."""

    def script(peer: Peer) -> None:
        while peer.read_request():
            answer(peer)

    return script
