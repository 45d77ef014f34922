"""The first of several addresses that accepts a connection (RFC 8305, section 5). An edge: sockets and gevent.

The next address is tried when the one before has failed or has not responded for a quarter of a second; attempts that
have begun go on until one of them has won.
"""

from __future__ import annotations

import errno
from _socket import IPPROTO_TCP, SO_ERROR, SOL_SOCKET, TCP_NODELAY
from _socket import socket as plain_socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from gevent import get_hub
from gevent.event import Event

from inference_swarm.transport.addresses import Address
from inference_swarm.transport.deadlines import DeadlineExceeded
from inference_swarm.transport.exhaustion import describe_own_error
from inference_swarm.transport.outcome import AttemptError, ErrorKind
from inference_swarm.transport.source_addresses import SourceAddresses, are_ports_in_use

ATTEMPT_DELAY_S: Final = 0.25
_WRITABLE: Final = 2
_IN_PROGRESS: Final = (errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK)
_OUR_OWN: Final = (errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""Errors of this machine, which say nothing about the address."""


class Race:
    """One call of `run` for each connection; `on_failure` gets each address that failed or was too slow."""

    def __init__(
        self, addresses: tuple[Address, ...], sources: SourceAddresses, on_failure: Callable[[Address], None]
    ) -> None:
        self._sources = sources
        self._queue = deque(addresses)
        self._on_failure = on_failure
        self._pending: dict[Address, tuple[plain_socket, Any]] = {}
        self._ready: deque[Address] = deque()
        self._has_news = Event()
        self._reasons: list[str] = []

    def run(self) -> tuple[plain_socket, Address]:
        """Return a connected socket and its address. Raises AttemptError with the reasons of all that failed."""
        try:
            winner = self._find_winner()
            slower = list(self._pending)[: list(self._pending).index(winner)]  # they had begun before it
            sock, watcher = self._pending.pop(winner)
            watcher.stop()
            watcher.close()
        except DeadlineExceeded:
            slower = list(self._pending)
            raise
        except BaseException:  # the user was ended, which says nothing about the addresses
            slower = []
            raise
        finally:
            for address in list(self._pending):
                self._drop(address)
            for address in slower:
                self._on_failure(address)
        return sock, winner

    def _find_winner(self) -> Address:
        while True:
            if self._queue and not self._ready:
                connected = self._begin(self._queue.popleft())
                if connected is not None:
                    return connected
                if not self._pending:
                    continue
            if not self._pending:
                reasons = list(dict.fromkeys(self._reasons)) or ["no address"]
                raise AttemptError(ErrorKind.CONNECT, "; ".join(reasons))
            self._has_news.wait(ATTEMPT_DELAY_S if self._queue else None)
            self._has_news.clear()
            ready = self._take_ready()
            if ready is not None:
                return ready

    def _begin(self, address: Address) -> Address | None:
        """Start one attempt; returns the address if it is connected at once."""
        try:
            sock, code = self._sources.connect(address, _prepare)
        except OSError as error:  # too many open files, no such family
            self._fail(address, error.errno or 0)
            return None
        if code not in (0, *_IN_PROGRESS):
            sock.close()
            self._fail(address, code)
            return None
        watcher = get_hub().loop.io(sock.fileno(), _WRITABLE)
        self._pending[address] = (sock, watcher)
        if code == 0:
            return address
        watcher.start(self._note_ready, address)
        return None

    def _note_ready(self, address: Address) -> None:
        """Runs in the hub."""
        self._pending[address][1].stop()
        self._ready.append(address)
        self._has_news.set()

    def _take_ready(self) -> Address | None:
        while self._ready:
            address = self._ready.popleft()
            code = self._pending[address][0].getsockopt(SOL_SOCKET, SO_ERROR)
            if code == 0:
                return address
            self._drop(address)
            self._fail(address, code)
        return None

    def _drop(self, address: Address) -> None:
        sock, watcher = self._pending.pop(address)
        watcher.stop()
        watcher.close()  # before the socket: a new one may get the same number at once
        sock.close()

    def _fail(self, address: Address, code: int) -> None:
        is_out_of_ports = code == errno.EADDRNOTAVAIL and are_ports_in_use(address)
        self._reasons.append(describe_own_error(code, are_ports_in_use=is_out_of_ports))
        if code not in _OUR_OWN:
            self._on_failure(address)


def _prepare(sock: plain_socket) -> None:
    sock.setblocking(False)
    sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
