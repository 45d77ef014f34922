"""Asks the kernel about a failed TCP connection: whether the server can have read what was sent on it.

Linux only; elsewhere nothing is ever proven. The offsets are those of `struct tcp_info` in linux/tcp.h, which grows at
its end only; `tcpi_bytes_sent` came with Linux 4.19.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

_TCP_INFO: Final = getattr(socket, "TCP_INFO", None)
_SIZE: Final = 216
_STATE: Final = struct.Struct("=B")
_BYTES_ACKED_AT: Final = 120
_BYTES_SENT_AT: Final = 200
_TWO_COUNTS: Final = struct.Struct("=QQ")  # bytes sent, of which again
_COUNT: Final = struct.Struct("=Q")
_CLOSED: Final = 7


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """One side of a connection: whether it is closed, and how many bytes it has sent that were not acknowledged."""

    is_closed: bool
    unacknowledged_bytes: int


class Delivery(Enum):
    """Whether a request may have been read whose connection the server had closed."""

    UNREAD = "unread"
    """The server's kernel took none of it and refused it: nothing can have read it."""
    OPEN = "open"
    """It is on its way, or waits to be acknowledged."""
    POSSIBLY_READ = "possibly read"


def read_tcp_info(sock: Any) -> TcpInfo | None:
    """Return the kernel's TCP info; None where it is unavailable."""
    if _TCP_INFO is None:
        return None
    try:
        data = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 256)
    except OSError:
        return None
    if len(data) < _SIZE:
        return None
    (state,) = _STATE.unpack_from(data)
    (acked,) = _COUNT.unpack_from(data, _BYTES_ACKED_AT)
    sent, again = _TWO_COUNTS.unpack_from(data, _BYTES_SENT_AT)
    # The connection's own first sequence number counts as acknowledged.
    return TcpInfo(state == _CLOSED, sent - again - (acked - 1))


def judge_delivery(info: TcpInfo | None, written_bytes: int) -> Delivery:
    """Return what became of the `written_bytes` of a request that was sent while the server's end of connection came.

    The end of the connection came first if it acknowledged none of them. A server that has closed then responds
    with a reset; one that has only closed its sending half may still read them, and acknowledges them.
    """
    if info is None or info.unacknowledged_bytes < written_bytes:
        return Delivery.POSSIBLY_READ
    return Delivery.UNREAD if info.is_closed else Delivery.OPEN
