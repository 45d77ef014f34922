"""Opening a connection: the best address, connect, TLS handshake. An edge; deadlines are the caller's."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gevent import get_hub
from gevent.ssl import SSLContext

from inference_swarm.transport.addresses import Address, AddressPool
from inference_swarm.transport.happy_eyeballs import Race
from inference_swarm.transport.outcome import AttemptError, ErrorKind
from inference_swarm.transport.resolve import Resolver
from inference_swarm.transport.source_addresses import SourceAddresses
from inference_swarm.transport.tls import TlsChannel, describe_tls_error

READABLE: Final = 1
WRITABLE: Final = 2


def wait_io(socket: Any, events: int) -> None:
    """Wait in the hub until the socket is readable or writable; the greenlet may be interrupted meanwhile."""
    hub = get_hub()
    watcher = hub.loop.io(socket.fileno(), events)
    try:
        hub.wait(watcher)
    finally:
        watcher.close()


@dataclass(frozen=True, slots=True)
class Opened:
    """A connected socket and what to send and receive with: the socket itself, or TLS over it."""

    socket: Any
    channel: Any
    address: Address


class Dialer:
    """Opens connections evenly to the addresses of one server; `release` counts one that has ended."""

    def __init__(
        self,
        resolver: Resolver,
        pool: AddressPool,
        *,
        host: str,
        tls_context: SSLContext | None,
        sources: SourceAddresses,
        clock_s: Callable[[], float],
    ) -> None:
        self.resolver = resolver
        self.pool = pool
        self._host = host
        self._tls_context = tls_context
        self._sources = sources
        self._clock_s = clock_s

    def open(self, note_phase: Callable[[str], None]) -> Opened:
        """Open a connection. `note_phase` gets the unfinished phase, in words for a message. Raises AttemptError."""
        note_phase("name not resolved")
        addresses = self._sources.reachable(self.resolver.resolve())
        self.pool.keep_only(addresses)
        note_phase("not connected")
        sock, address = self._connect(self.pool.order(addresses, self._clock_s()))
        try:
            if self._tls_context is None:
                return Opened(sock, sock, address)
            note_phase("TLS handshake not done")
            return Opened(sock, self._shake_hands(sock, self._tls_context), address)
        except BaseException:
            sock.close()
            self.release(address)
            raise

    def release(self, address: Address) -> None:
        """A connection to the address has ended."""
        self.pool.release(address)

    def _connect(self, addresses: tuple[Address, ...]) -> tuple[Any, Address]:
        """Connect to the first address that accepts, and count it."""
        # The first is counted before it has accepted, so that those who connect at the same time choose another.
        first = addresses[0]
        self.pool.reserve(first)
        try:
            sock, address = Race(addresses, self._sources, self._note_failure).run()
            self.pool.note_success(address)
            self.pool.reserve(address)
        finally:
            self.pool.release(first)
        return sock, address

    def _note_failure(self, address: Address) -> None:
        self.pool.note_failure(address, self._clock_s())

    def _shake_hands(self, sock: Any, context: SSLContext) -> TlsChannel:
        """Start TLS over a connected socket, which the caller still closes. Raises AttemptError."""
        try:
            channel = TlsChannel(sock, context, self._host)
            while True:
                try:
                    if channel.shake_hands():
                        return channel
                    wait_io(sock, READABLE)
                    if not channel.take_handshake_bytes():
                        raise AttemptError(ErrorKind.TLS, "closed by the server during the handshake")
                except BlockingIOError:
                    wait_io(sock, WRITABLE)
        except ssl.SSLError as error:
            raise AttemptError(ErrorKind.TLS, describe_tls_error(error)) from None
        except OSError as error:
            raise AttemptError(ErrorKind.TLS, error.strerror or str(error)) from None
