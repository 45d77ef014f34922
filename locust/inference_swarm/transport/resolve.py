"""The addresses of the server's name: one look-up at a time for the whole process, its result kept. An edge: gevent."""

from __future__ import annotations

import logging
from _socket import AI_NUMERICHOST, SOCK_STREAM, gaierror, getaddrinfo
from collections.abc import Callable
from typing import Any, Final

import gevent
from gevent import socket as gevent_socket

from inference_swarm.transport.addresses import Address
from inference_swarm.transport.outcome import AttemptError, ErrorKind

logger = logging.getLogger(__name__)

LOOKUP_TTL_S: Final = 30.0
FAILURE_TTL_S: Final = 1.0


class Resolver:
    """Looks one name up when its addresses are wanted, at most once in `ttl_s`, or in `failure_ttl_s` after a failure.

    When a known name cannot be looked up any more, its last addresses remain in use, and that is logged once.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        clock_s: Callable[[], float],
        ttl_s: float = LOOKUP_TTL_S,
        failure_ttl_s: float = FAILURE_TTL_S,
    ) -> None:
        self._host = host
        self._port = port
        self._clock_s = clock_s
        self._ttl_s = ttl_s
        self._failure_ttl_s = failure_ttl_s
        self._addresses: tuple[Address, ...] = ()
        self._failure: AttemptError | None = None
        self._next_lookup_s = float("-inf")
        self._lookup: gevent.Greenlet | None = None
        self._has_warned = False
        self.lookup_count = 0

    def resolve(self) -> tuple[Address, ...]:
        """Return all addresses. Raises AttemptError."""
        if self._clock_s() >= self._next_lookup_s:
            # One look-up for all users that need it now; in a greenlet of its own, so that none of them can end it.
            if self._lookup is None:
                self._lookup = gevent.spawn(self._look_up)
            self._lookup.join()
        if not self._addresses:
            assert self._failure is not None
            raise AttemptError(self._failure.kind, self._failure.detail)
        return self._addresses

    def _look_up(self) -> None:
        self._failure = None
        ttl_s = self._failure_ttl_s
        try:
            found = _read_literal(self._host, self._port) or self._ask()
            self._addresses = tuple(dict.fromkeys(Address(family, address) for family, _, _, _, address in found))
            ttl_s = self._ttl_s
        except OSError as error:  # gaierror, herror
            self._fail(f"{self._host}: {error.strerror or error}")
        except UnicodeError:
            self._fail(f"{self._host}: not a host name")
        finally:
            self._next_lookup_s = self._clock_s() + ttl_s
            self._lookup = None

    def _ask(self) -> list[Any]:
        self.lookup_count += 1
        found: list[Any] = gevent_socket.getaddrinfo(self._host, self._port, 0, SOCK_STREAM)
        return found

    def _fail(self, detail: str) -> None:
        self._failure = AttemptError(ErrorKind.RESOLVE, detail)
        if self._addresses and not self._has_warned:
            self._has_warned = True
            logger.warning("The name cannot be looked up again, so its known addresses are kept: %s", detail)


def _read_literal(host: str, port: int) -> list[Any]:
    """Return the literal address in `host`, without a look-up in a thread; nothing for a name."""
    try:
        return getaddrinfo(host, port, 0, SOCK_STREAM, 0, AI_NUMERICHOST)
    except gaierror:
        return []
