"""Opening a connection: resolve, connect, TLS handshake. An edge: sockets and gevent; deadlines are the caller's."""

from __future__ import annotations

import errno
import os
import ssl
from _socket import (
    AI_NUMERICHOST,
    IPPROTO_TCP,
    SO_ERROR,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_NODELAY,
    gaierror,
    getaddrinfo,
)
from _socket import socket as plain_socket
from collections.abc import Callable
from typing import Any

import gevent
from gevent import get_hub
from gevent import socket as gevent_socket
from gevent.ssl import SSLContext

from inference_swarm.transport.outcome import AttemptError, ErrorKind
from inference_swarm.transport.target import Target
from inference_swarm.transport.tls import TlsChannel, describe_tls_error

READABLE = 1
WRITABLE = 2
_IN_PROGRESS = (errno.EINPROGRESS, errno.EWOULDBLOCK)
Address = tuple[int, Any]


def wait_io(socket: Any, events: int) -> None:
    """Waits in the hub until the socket is readable or writable; the greenlet may be interrupted meanwhile."""
    hub = get_hub()
    watcher = hub.loop.io(socket.fileno(), events)
    try:
        hub.wait(watcher)
    finally:
        watcher.close()


def _read_literal(host: str, port: int) -> list[Any]:
    """The address that is written out in `host`, without a thread that looks it up; nothing for a name."""
    try:
        return getaddrinfo(host, port, 0, SOCK_STREAM, 0, AI_NUMERICHOST)
    except gaierror:
        return []


class Dialer:
    """Opens connections to one target. Addresses are looked up once in `lookup_ttl_s` for the whole process."""

    def __init__(
        self,
        target: Target,
        *,
        tls_context: SSLContext | None,
        clock_s: Callable[[], float],
        lookup_ttl_s: float = 30.0,
    ) -> None:
        self._target = target
        self._tls_context = tls_context
        self._clock_s = clock_s
        self._lookup_ttl_s = lookup_ttl_s
        self._addresses: list[Address] = []
        self._looked_up_s = float("-inf")
        self._lookup: Any = None

    def resolve(self) -> list[Address]:
        """Raises AttemptError."""
        if self._addresses and self._clock_s() - self._looked_up_s < self._lookup_ttl_s:
            return self._addresses
        # One lookup for all users that need it now; in a greenlet of its own, so that none of them can end it.
        if self._lookup is None:
            self._lookup = gevent.spawn(self._look_up)
        failure: AttemptError | None = self._lookup.get()
        if failure is not None:
            raise AttemptError(failure.kind, failure.detail)
        return self._addresses

    def _look_up(self) -> AttemptError | None:
        host, port = self._target.host, self._target.port
        try:
            found = _read_literal(host, port) or gevent_socket.getaddrinfo(host, port, 0, SOCK_STREAM)
        except OSError as error:  # gaierror, herror
            return AttemptError(ErrorKind.RESOLVE, f"{host}: {error.strerror or error}")
        except UnicodeError:
            return AttemptError(ErrorKind.RESOLVE, f"{host}: not a host name")
        finally:
            self._lookup = None
        self._addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
        self._looked_up_s = self._clock_s()
        return None

    def connect(self, addresses: list[Address]) -> Any:
        """A connected socket: the first address that answers. Raises AttemptError with the last reason."""
        reason = "no address"
        for address in addresses:
            result = self._connect_to(address)
            if not isinstance(result, str):
                if address is not addresses[0] and addresses is self._addresses:
                    addresses.remove(address)  # next time begin with the one that works
                    addresses.insert(0, address)
                return result
            reason = result
        raise AttemptError(ErrorKind.CONNECT, reason)

    def _connect_to(self, address: Address) -> Any | str:
        family, socket_address = address
        try:
            sock = plain_socket(family, SOCK_STREAM)
        except OSError as error:  # too many open files, no such family
            return error.strerror or str(error)
        try:
            sock.setblocking(False)
            sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            code = sock.connect_ex(socket_address)
            if code in _IN_PROGRESS:
                wait_io(sock, WRITABLE)
                code = sock.getsockopt(SOL_SOCKET, SO_ERROR)
        except OSError as error:
            sock.close()
            return error.strerror or str(error)
        except BaseException:
            sock.close()
            raise
        if code:
            sock.close()
            return os.strerror(code)
        return sock

    def start_tls(self, sock: Any) -> TlsChannel:
        """Shakes hands over a connected socket, which stays the caller's to close. Raises AttemptError."""
        assert self._tls_context is not None
        try:
            channel = TlsChannel(sock, self._tls_context, self._target.host)
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
