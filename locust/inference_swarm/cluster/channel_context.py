"""What the sockets of the control channel share: the ZMQ context, which ends in bounded time. An edge: ZMQ."""

from __future__ import annotations

import socket
from typing import Any

import zmq
import zmq.green
from gevent.monkey import get_original

LINGER_S = 1.0
TERM_TIMEOUT_S = LINGER_S + 0.5
ZAP_ENDPOINT = "inproc://zeromq.zap.01"


class ChannelContext(zmq.green.Context):  # type: ignore[type-arg] # it has none at run time
    """`destroy` closes all sockets and waits until what they were to send has left, as long as they linger."""

    def term(self) -> None:
        """Wait for the threads of ZMQ, but not without end: one of them may be looking up a name, for 10 s and more."""
        lock = get_original("_thread", "allocate_lock")()
        lock.acquire()

        def wait() -> None:
            super(ChannelContext, self).term()
            lock.release()

        get_original("_thread", "start_new_thread")(wait, ())
        lock.acquire(True, TERM_TIMEOUT_S)


def bind_gate(context: Any) -> Any:
    """Return the socket that ZMQ asks whom to let in."""
    gate = context.socket(zmq.REP)
    gate.setsockopt(zmq.LINGER, 0)
    gate.bind(ZAP_ENDPOINT)
    return gate


def uses_ipv6(host: str, port: int) -> bool:
    """Return whether sockets for this address are to speak IPv6 too; looks the name up."""
    if not socket.has_dualstack_ipv6():
        return False
    if host == "*":
        return True
    try:
        found = socket.getaddrinfo(host, port, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        return False
    return any(family == socket.AF_INET6 for family, *_ in found)
