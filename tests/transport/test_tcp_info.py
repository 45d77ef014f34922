"""What the kernel's own account of a connection proves about a request."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from inference_swarm.transport.tcp_info import Delivery, TcpInfo, judge_delivery, read_tcp_info


@pytest.mark.parametrize(
    ("info", "delivery"),
    [
        (None, Delivery.POSSIBLY_READ),  # a kernel that does not tell proves nothing
        (TcpInfo(is_closed=True, unacknowledged_bytes=700), Delivery.UNREAD),
        (TcpInfo(is_closed=False, unacknowledged_bytes=700), Delivery.OPEN),
        (TcpInfo(is_closed=True, unacknowledged_bytes=699), Delivery.POSSIBLY_READ),
        (TcpInfo(is_closed=False, unacknowledged_bytes=0), Delivery.POSSIBLY_READ),
    ],
)
def test_only_a_request_that_was_refused_whole_is_unread(info: TcpInfo | None, delivery: Delivery) -> None:
    assert judge_delivery(info, 700) is delivery


def close(server: socket.socket) -> None:
    server.close()


def read_and_close(server: socket.socket) -> None:
    server.recv(10_000)
    server.close()


def close_sending_half_and_read(server: socket.socket) -> None:
    server.shutdown(socket.SHUT_WR)
    server.recv(10_000)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's TCP_INFO")
@pytest.mark.parametrize(
    ("before", "after", "delivery"),
    [
        (close, None, Delivery.UNREAD),
        (None, read_and_close, Delivery.POSSIBLY_READ),
        (lambda server: server.shutdown(socket.SHUT_WR), lambda server: server.recv(10_000), None),
    ],
)
def test_the_kernel_tells_a_close_before_the_request_from_one_after_it(
    before: Callable[[socket.socket], object] | None,
    after: Callable[[socket.socket], object] | None,
    delivery: Delivery | None,
) -> None:
    """Several exchanges first, so that acknowledgements are delayed as they are in a run."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        client = stack.enter_context(socket.create_connection(listener.getsockname()))
        server = stack.enter_context(listener.accept()[0])
        for _ in range(5):
            client.sendall(b"x" * 700)
            server.recv(10_000)
            server.sendall(b"ok")
            client.recv(10)
        if before:
            before(server)
        client.sendall(b"y" * 700)
        if after:
            after(server)
        assert client.recv(10) == b""
        found = judge_delivery(read_tcp_info(client), 700)
        if delivery is None:  # acknowledged at once or a little later: never proof that it was not read
            assert found is not Delivery.UNREAD
        else:
            assert found is delivery


def test_something_that_is_no_tcp_socket_proves_nothing() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert read_tcp_info(one) is None

    class Short:
        def getsockopt(self, *_: int) -> bytes:
            return struct.pack("=B", 7)

    assert read_tcp_info(Short()) is None
