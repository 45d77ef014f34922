"""One open connection to the server: its socket, watched for readiness, and who is called then. An edge.

The watcher is started once for each connection and stays; what happens when bytes arrive is decided by its callback.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import monotonic_ns
from typing import Any, Final

import gevent
from gevent import get_hub

from inference_swarm.transport.deadlines import Wait
from inference_swarm.transport.dial import READABLE, WRITABLE, Opened, wait_io
from inference_swarm.transport.outcome_log import Lane
from inference_swarm.transport.tcp_info import Delivery, judge_delivery, read_tcp_info
from inference_swarm.transport.tls import TlsChannel

RECEIVE_YOURSELF: Final = -3
"""What wakes a greenlet that waits for bytes, when nobody has received them for it."""
_ASK_AGAIN_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


class Stream:
    """Belongs to the greenlet of `wait`. Bytes that nobody waits for make it stale."""

    __slots__ = (
        "_buffer",
        "_expiry",
        "_tls",
        "_watcher",
        "address",
        "is_expired",
        "is_stale",
        "label",
        "lane",
        "recv_into",
        "send",
        "sent_bytes",
        "socket",
        "stale_since_ns",
        "wait",
    )

    def __init__(self, opened: Opened, wait: Wait, buffer: bytearray, lane: Lane) -> None:
        self.socket = opened.socket
        self.address = opened.address
        self.label = sys.intern(opened.address.label)  # one text for all users
        self.lane = lane
        self.wait = wait
        self.send: Callable[[bytes | memoryview], int] = opened.channel.send
        self.recv_into: Callable[[bytearray], int] = opened.channel.recv_into
        self._tls: TlsChannel | None = opened.channel if opened.channel is not opened.socket else None
        self._buffer = buffer
        self.sent_bytes = 0
        """How much of the last request the socket took, or TLS."""
        self.is_stale = False
        self.stale_since_ns = 0
        self.is_expired = False
        self._expiry: Any = None
        self._watcher = get_hub().loop.io(self.socket.fileno(), READABLE)
        self._watcher.start(self._on_readable)

    def close(self) -> None:
        self._watcher.stop()
        self._watcher.close()  # before the socket: a new one may get the same number at once
        self._stop_expiry()
        self.socket.close()

    def expire_after(self, lifetime_s: float, on_expired: Callable[[], None]) -> None:
        """Let the connection be replaced at this age; a request in flight then ends first."""

        def expire() -> None:
            self.is_expired = True
            on_expired()

        self._expiry = get_hub().loop.timer(lifetime_s, ref=False)
        self._expiry.start(expire, update=True)

    def retire(self, linger_s: float, on_end: Callable[[bool], None]) -> None:
        """Close after `linger_s`, or when the server does; `on_end` gets whether that came first."""

        def end(is_closed_by_server: bool) -> None:
            self.close()
            on_end(is_closed_by_server)

        self._stop_expiry()
        self._watcher.stop()
        self._watcher.start(end, True)
        self._expiry = get_hub().loop.timer(linger_s, ref=False)
        self._expiry.start(end, False, update=True)

    def call_when_readable(self, callback: Callable[[], None] | None) -> None:
        """Set what is called in the hub when bytes arrive; None: the greenlet that waits for them here."""
        self._watcher.callback = callback or self._on_readable

    def is_still_fit(self) -> bool:
        """Whether the server has neither closed nor sent anything but what TLS itself wants, while nobody waited."""
        try:
            self.recv_into(self._buffer)
        except BlockingIOError:
            if self.is_stale:
                self.is_stale = False
                self._watcher.start(self._on_readable)
            return True
        except OSError:
            return False
        return False  # closed, or bytes that are not a response to anything

    def begin_send(self, request: bytes) -> int:
        """Send as much as the socket takes now; returns the number of bytes. TLS takes all, or almost none."""
        self.sent_bytes = 0
        try:
            self.sent_bytes = self.send(request)
        except BlockingIOError:
            return 0
        return self.sent_bytes

    def send_more(self, data: bytes | memoryview) -> int:
        try:
            count = self.send(data)
        except BlockingIOError:
            return 0
        self.sent_bytes += count
        return count

    def wait_for_response(self) -> Any:
        """Wait until there are bytes to receive, or until the callback has received some."""
        wait = self.wait
        wait.is_for_response = True
        try:
            return wait.switch()
        finally:
            wait.is_for_response = False

    def receive(self) -> int:
        """Receive more bytes into the shared buffer; returns how many, 0 at the end of the connection."""
        while True:
            try:
                return self.receive_now()
            except BlockingIOError:
                self.wait_for_response()

    def receive_now(self) -> int:
        """Receive as `receive` does, and raise BlockingIOError when there is nothing."""
        count = self.recv_into(self._buffer)
        self.wait.done_ns = monotonic_ns()
        return count

    def wait_either(self) -> None:
        """Waits until there are bytes to receive, or until the socket takes more."""
        self._watcher.stop()
        try:
            wait_io(self.socket, READABLE | WRITABLE)
        finally:
            self._watcher.start(self._on_readable)

    @property
    def written_bytes(self) -> int:
        """The bytes of the last request that the socket took, as they go over the wire."""
        return self.sent_bytes if self._tls is None else self._tls.written_bytes

    def find_delivery(self, due_ns: int) -> Delivery:
        """Return whether the server can have read the last request, after it ended the connection without a response.

        Waits a moment for the server's kernel to say so, until `due_ns` at the longest. Call it before `close`.
        """
        self._watcher.stop()  # it would fire all the time
        written_bytes = self.written_bytes
        for pause_s in _ASK_AGAIN_S:
            delivery = judge_delivery(read_tcp_info(self.socket), written_bytes)
            if delivery is not Delivery.OPEN or monotonic_ns() >= due_ns:
                return delivery
            gevent.sleep(pause_s)
        return Delivery.POSSIBLY_READ

    def _stop_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.stop()
            self._expiry.close()
            self._expiry = None

    def _on_readable(self) -> None:
        """Runs in the hub."""
        if self.wait.is_for_response:
            self.wait.greenlet.switch(RECEIVE_YOURSELF)
        else:  # the watcher would call again and again
            self.is_stale = True
            self.stale_since_ns = monotonic_ns()
            self._watcher.stop()
