"""The life of one user's socket: opened, watched for readiness, interrupted when overdue, closed. An edge.

The watcher is started once for each connection and stays; who is called when bytes arrive is decided by its callback.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from gevent import get_hub, getcurrent

from inference_swarm.transport.deadlines import Overdue
from inference_swarm.transport.dial import READABLE
from inference_swarm.transport.outcome import AttemptError, ErrorKind

if TYPE_CHECKING:
    from inference_swarm.transport.client import InferenceClient

RECEIVE_YOURSELF = -3


class Link:
    """Belongs to the greenlet that made it. Bytes that nobody waits for make it stale."""

    __slots__ = (
        "_client",
        "_greenlet",
        "_has_been_open",
        "_is_stale",
        "_is_waiting",
        "_phase",
        "_phase_due_ns",
        "_recv_into",
        "_send",
        "_socket",
        "_switch",
        "_watcher",
        "done_ns",
        "sent_ns",
    )

    def __init__(self, client: InferenceClient) -> None:
        self._client = client
        self._greenlet = getcurrent()
        self._switch = get_hub().switch
        self._socket: Any = None
        self._watcher: Any = None
        self._send: Any = None
        self._recv_into: Any = None
        self._has_been_open = False
        self._is_waiting = False
        self._is_stale = False
        self._phase = ""
        self._phase_due_ns = 0
        self.sent_ns = 0
        self.done_ns = 0
        client.sweep.add(self)

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def open(self) -> AttemptError | None:
        """Connects unless connected; returns what went wrong."""
        if self._socket is not None:
            return None
        client = self._client
        client.connect_count += 1
        client.reconnect_count += self._has_been_open
        self._phase_due_ns = monotonic_ns() + client.connect_ns
        sock: Any = None
        try:
            self._phase = "name not resolved"
            addresses = client.dialer.resolve()
            self._phase = "not connected"
            channel = sock = client.dialer.connect(addresses)
            if client.target.is_tls:
                self._phase = "TLS handshake not done"
                channel = client.dialer.start_tls(sock)
            watcher = get_hub().loop.io(sock.fileno(), READABLE)
        except BaseException as error:
            if sock is not None:
                sock.close()
            client.connect_failure_count += 1
            if isinstance(error, Overdue):
                return AttemptError(ErrorKind.TIMEOUT, f"{self._phase} within {client.deadlines.connect_s:g} s")
            if isinstance(error, AttemptError):
                return error.without_frames()
            raise
        finally:
            self._phase_due_ns = 0
        self._socket = sock
        self._send = channel.send
        self._recv_into = channel.recv_into
        self._watcher = watcher
        watcher.start(self._on_readable)
        self._is_stale = False
        self._has_been_open = True
        client.open_connections += 1
        client.opened_count += 1
        return None

    def close(self) -> None:
        """Closes the socket; the next exchange connects again."""
        sock, self._socket = self._socket, None
        self._is_stale = self._is_waiting = False
        if sock is None:
            return
        self._watcher.stop()
        self._watcher.close()  # before the socket: a new one may get the same number at once
        self._watcher = self._send = self._recv_into = None
        sock.close()
        self._client.open_connections -= 1

    def release(self) -> None:
        """Closes for good."""
        self.close()
        self._client.sweep.remove(self)

    def _is_still_fit(self) -> bool:
        """Whether the server has neither closed nor sent anything but what TLS itself wants, while nobody waited."""
        try:
            self._recv_into(self._client.buffer)
        except BlockingIOError:
            if self._is_stale:
                self._is_stale = False
                self._watcher.start(self._on_readable)
            return True
        except OSError:
            return False
        return False  # closed, or bytes that answer nothing

    def _receive(self) -> int:
        """More bytes into the shared buffer: how many, 0 at the end of the connection."""
        while True:
            try:
                count: int = self._recv_into(self._client.buffer)
            except BlockingIOError:
                self._is_waiting = True
                self._switch()
                self._is_waiting = False
                continue
            self.done_ns = monotonic_ns()
            return count

    # called in the hub

    def _on_readable(self) -> None:
        if self._is_waiting:
            self._greenlet.switch(RECEIVE_YOURSELF)
        else:  # the watcher would call again and again
            self._is_stale = True
            self._watcher.stop()

    def due_ns(self) -> int:
        """When the sweep shall interrupt; 0 while no deadline runs."""
        if self._phase_due_ns:
            return self._phase_due_ns
        return self.sent_ns + self._client.request_ns if self._is_waiting else 0

    def interrupt(self) -> None:
        self._greenlet.throw(Overdue)
