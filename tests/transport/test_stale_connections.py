"""Idle connections that the server closes: what nobody can have read goes out again, and nothing else does."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import gevent
import pytest

from inference_swarm.transport.client import InferenceClient
from inference_swarm.transport.connection import Connection
from inference_swarm.transport.deadlines import Deadlines
from inference_swarm.transport.outcome import ErrorKind, Outcome
from inference_swarm.transport.tcp_info import Delivery
from inference_swarm.transport.tls import TlsFiles
from tests.transport.scripted_server import Peer, request_to, respond_all, run, serve
from tests.transport.test_tls import ours  # noqa: F401

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
TAKEN = pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="needs the kernel's account of a connection")


def close_after(count: int, then: Callable[[Peer], object]) -> Callable[[Peer], None]:
    """The first connection gets N responses and then `then`; all others are served."""

    def script(peer: Peer) -> None:
        if peer.number:
            respond_all(OK)(peer)
            return
        for _ in range(count):
            peer.read_request()
            peer.send(OK)
        then(peer)

    return script


def attempts(client: InferenceClient, count: int, before_last: Callable[[Connection], object]) -> list[Outcome]:
    def use(connection: Connection) -> list[Outcome]:
        outcomes = [connection.attempt(request_to(client)) for _ in range(count - 1)]
        before_last(connection)
        return [*outcomes, connection.attempt(request_to(client))]

    outcomes: list[Outcome] = run(use, client)
    return outcomes


def overlook_the_close(connection: Connection) -> None:
    """As on a busy loop: the end of the connection is there and nobody has looked yet."""
    stream = connection._session.stream
    assert stream is not None
    stream._watcher.stop()
    gevent.sleep(0.02)
    stream._watcher.start(stream._on_readable)


@TAKEN
@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("close", [Peer.close, Peer.reset])
def test_a_request_on_a_connection_closed_while_idle_goes_out_again(count: int, close: Callable[[Peer], None]) -> None:
    with serve(close_after(count, close)) as (client, server):
        outcomes = attempts(client, count + 1, overlook_the_close)
        assert [outcome.error for outcome in outcomes] == [None] * (count + 1)
        assert [outcome.stale_connections for outcome in outcomes] == [0] * count + [1]
        assert [len(peer.requests) for peer in server.peers] == [count, 1]
        assert client.counters.reconnects == 1
        last = outcomes[-1]
        assert last.intended_ns <= last.sent_ns  # the time that the first try took is in the latency
        client.log.add(last)
        assert client.log.take_batch().stale_connections == 1


@TAKEN
def test_the_fast_path_sends_again_as_well() -> None:
    # The server closes while the user takes its next row, after the client has read the response before.
    with serve(close_after(20, Peer.close)) as (client, server):

        def use(connection: Connection) -> list[Outcome | None]:
            request, taken, outcomes = request_to(client), 0, []

            def take() -> bytes:
                nonlocal taken
                taken += 1
                if taken == 30:
                    connection.end_fast_path()
                return request

            while taken < 30:
                outcomes.append(connection.attempt_repeatedly(take, (), 0))
            return outcomes

        outcomes = [outcome for outcome in run(use, client) if outcome is not None]
        for outcome in outcomes:
            client.log.add(outcome)
        batch = client.log.take_batch()
        assert (batch.success_count, batch.failures) == (30, [])
        assert sum(len(peer.requests) for peer in server.peers) == 30
        assert batch.stale_connections <= 1  # none when the close was noticed before the send


@TAKEN
@pytest.mark.processes
def test_over_tls_too(ours: dict[str, str]) -> None:  # noqa: F811
    with serve(close_after(3, Peer.close), tls=ours, tls_files=TlsFiles(is_insecure=True)) as (client, server):
        outcomes = attempts(client, 4, overlook_the_close)
        assert [outcome.error for outcome in outcomes] == [None] * 4
        assert [len(peer.requests) for peer in server.peers] == [3, 1]


def read_and_close(peer: Peer) -> None:
    peer.read_request()
    peer.close()


def read_and_reset(peer: Peer) -> None:
    peer.read_request()
    peer.reset()


def half_close_and_read(peer: Peer) -> None:
    peer.half_close()
    peer.read_request()


def half_close_read_and_close(peer: Peer) -> None:
    half_close_and_read(peer)
    peer.close()


def answer_in_part(peer: Peer) -> None:
    peer.read_request()
    peer.send(OK[:10])
    peer.close()


def close_with_the_request_unread(peer: Peer) -> None:
    """On the wire this is the same as a server that has read the request and aborts."""
    while not peer.has_bytes():
        gevent.sleep(0.001)
    peer.close()


@pytest.mark.parametrize("count", [1, 6])
@pytest.mark.parametrize(
    "then",
    [
        read_and_close,
        read_and_reset,
        half_close_and_read,
        half_close_read_and_close,
        answer_in_part,
        close_with_the_request_unread,
    ],
)
def test_what_may_have_been_read_is_never_sent_again(count: int, then: Callable[[Peer], None]) -> None:
    def look_away(connection: Connection) -> None:
        if "half" in then.__name__:
            overlook_the_close(connection)

    with serve(close_after(count, then)) as (client, server):
        outcomes = attempts(client, count + 1, look_away)
        assert [outcome.error is None for outcome in outcomes] == [True] * count + [False]
        error = outcomes[-1].error
        assert error is not None
        assert error.kind is ErrorKind.RECEIVE
        assert outcomes[-1].stale_connections == 0
        assert len(server.peers) == 1


def test_without_the_kernels_word_nothing_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference_swarm.transport.tcp_info._TCP_INFO", None)
    with serve(close_after(1, Peer.close)) as (client, server):
        outcomes = attempts(client, 2, overlook_the_close)
        assert outcomes[1].error is not None
        assert (outcomes[1].error.kind, outcomes[1].stale_connections) == (ErrorKind.RECEIVE, 0)
        assert len(server.peers) == 1


def test_a_server_that_neither_takes_nor_refuses_the_request_is_not_waited_for_longer_than_the_request_may_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inference_swarm.transport.stream.judge_delivery", lambda *_: Delivery.OPEN)
    monkeypatch.setattr("inference_swarm.transport.stream._ASK_AGAIN_S", (0.01,) * 1000)
    deadlines = Deadlines(request_s=1.0)
    with serve(close_after(1, half_close_and_read), deadlines=deadlines) as (client, _):
        outcomes = attempts(client, 2, overlook_the_close)
        assert outcomes[1].error is not None
        assert outcomes[1].service_ns / 1e9 < 5.0


def test_a_user_that_is_ended_while_the_kernel_is_asked_leaves_an_abandoned_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = gevent.event.Event()

    def judge(*_: object) -> Delivery:
        asked.set()
        return Delivery.OPEN

    monkeypatch.setattr("inference_swarm.transport.stream.judge_delivery", judge)
    with serve(close_after(1, half_close_and_read)) as (client, _):

        def user() -> None:
            connection = client.connect()
            try:
                connection.attempt(request_to(client))
                overlook_the_close(connection)
                connection.attempt(request_to(client))
            finally:
                connection.release()

        greenlet = gevent.spawn(user)
        assert asked.wait(timeout=5)
        greenlet.kill()
        assert client.log.abandoned_count == 1


def test_a_new_connection_that_is_closed_at_once_is_one_connection_for_each_attempt() -> None:
    with serve(Peer.close) as (client, server):

        def use(connection: Connection) -> list[Outcome]:
            return [connection.attempt(request_to(client)) for _ in range(20)]

        outcomes = run(use, client)
        assert all(outcome.error is not None and outcome.error.kind is not ErrorKind.CONNECT for outcome in outcomes)
        assert client.counters.attempts == len(server.peers) == 20


def test_a_new_connection_that_is_reset_at_once_is_one_connection_for_each_attempt() -> None:
    with serve(Peer.reset) as (client, _):

        def use(connection: Connection) -> list[Outcome]:
            return [connection.attempt(request_to(client)) for _ in range(20)]

        assert all(outcome.error is not None for outcome in run(use, client))
        assert client.counters.attempts == 20


# before the server closes


SECOND_NS = 1_000_000_000


def use_after(connection: Connection, idle_s: float, client: InferenceClient) -> Outcome:
    """An attempt on a connection that has been idle for this time."""
    connection._wait.done_ns = time.monotonic_ns() - round(idle_s * SECOND_NS)
    return connection.attempt(request_to(client))


def wait_for(condition: Callable[[], bool]) -> None:
    with gevent.Timeout(5):
        while not condition():
            gevent.sleep(0.001)


def test_a_connection_that_was_idle_as_long_as_the_server_may_allow_is_replaced_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inference_swarm.transport.client.LINGER_S", 0.01)
    with serve(respond_all(OK)) as (client, server):
        limits = client.idle_limits

        def use(connection: Connection) -> list[int]:
            connection.attempt(request_to(client))
            counts = []
            for idle_s in (3.0, 5.0, 5.0, 5.0):
                assert use_after(connection, idle_s, client).error is None
                counts.append(len(server.peers))
                if counts[-1] == 2:  # the first one was not closed: the server has no such limit
                    wait_for(lambda: limits.find_risk(5 * SECOND_NS) is None)
            return counts

        assert run(use, client) == [1, 2, 2, 2]
        assert client.counters.replaced_in_time == 1
        assert client.counters.open == 0


def test_from_a_connection_that_the_server_closed_it_is_learned_how_long_others_may_idle() -> None:
    with serve(close_after(1, Peer.close)) as (client, server):

        def use(connection: Connection) -> None:
            connection.attempt(request_to(client))
            stream = connection._session.stream
            assert stream is not None
            wait_for(lambda: stream.is_stale)
            assert use_after(connection, 7.0, client).error is None
            assert (len(server.peers), client.counters.replaced_in_time) == (2, 0)
            assert use_after(connection, 7.0, client).error is None
            assert (len(server.peers), client.counters.replaced_in_time) == (3, 1)

        run(use, client)


@pytest.mark.parametrize("then", [read_and_reset, read_and_close])
def test_a_connection_that_the_server_closes_in_use_says_nothing_about_idling(then: Callable[[Peer], None]) -> None:
    with serve(close_after(20, then)) as (client, _):
        known_ns = list(client.idle_limits._limits_ns)

        def use(connection: Connection) -> Outcome:
            request = request_to(client)
            while True:
                outcome = connection.attempt_repeatedly(lambda: request, (), 0)
                if outcome is not None and outcome.error is not None:
                    return outcome

        assert run(use, client).error.kind is ErrorKind.RECEIVE
        assert client.log.take_batch().success_count == 19  # and the first, which opened the connection
        assert client.idle_limits._limits_ns == known_ns


def test_a_retired_connection_wakes_nobody_and_is_closed() -> None:
    goes_on = gevent.event.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)
        if peer.number == 0:
            goes_on.wait()
            return  # closes the retired connection while the other one waits for its response
        peer.read_request()
        goes_on.set()
        wait_for(lambda: limits_kept() is not None and not server.peers[0].is_open)
        peer.send(OK)

    with serve(script) as (client, server):

        def limits_kept() -> int | None:
            return client.idle_limits.find_risk(5 * SECOND_NS)

        def use(connection: Connection) -> list[Outcome]:
            first = connection.attempt(request_to(client))
            second = use_after(connection, 5.0, client)
            return [first, second, connection.attempt(request_to(client))]

        assert [outcome.error for outcome in run(use, client)] == [None] * 3
        assert limits_kept() is not None
        assert client.counters.replaced_in_time == 1


# after an error of the server


@pytest.mark.parametrize(
    ("head", "is_kept"),
    [
        (b"HTTP/1.1 500 Internal Server Error\r\n", False),
        (b"HTTP/1.1 503 Service Unavailable\r\n", False),
        (b"HTTP/1.1 500 Internal Server Error\r\nConnection: keep-alive\r\n", True),
        (b"HTTP/1.1 500 Internal Server Error\r\nKeep-Alive: timeout=5\r\n", True),
        (b"HTTP/1.1 422 Unprocessable Content\r\n", True),
        (b"HTTP/1.1 404 Not Found\r\n", True),
    ],
)
def test_only_a_server_error_that_does_not_promise_to_keep_its_connection_ends_it(head: bytes, is_kept: bool) -> None:
    data = head + b"Content-Length: 2\r\n\r\nno"
    with serve(respond_all(data)) as (client, server):

        def use(connection: Connection) -> list[Outcome]:
            return [connection.attempt(request_to(client)) for _ in range(4)]

        outcomes = run(use, client)
        assert {outcome.error.kind for outcome in outcomes} == {ErrorKind.STATUS}
        assert len(server.peers) == (1 if is_kept else 4)


def test_a_server_that_closes_after_its_errors_without_saying_so_fails_no_other_request() -> None:
    # As Starlette does: the close follows the response a little later.
    def script(peer: Peer) -> None:
        while peer.read_request():
            count["requests"] += 1
            if count["requests"] % 10:
                peer.send(OK)
            else:
                peer.send(OK.replace(b"200 OK", b"500 No"))
                gevent.sleep(0.001)
                return

    count = {"requests": 0}
    with serve(script) as (client, _):

        def use(connection: Connection) -> int:
            taken = 0

            def take() -> bytes:
                nonlocal taken
                taken += 1
                if taken >= 300:
                    connection.end_fast_path()
                return request_to(client)

            while taken < 300:
                outcome = connection.attempt_repeatedly(take, (), 0)
                if outcome is not None:
                    client.log.add(outcome)
            return taken

        assert run(use, client) == count["requests"] == 300
        assert client.log.failure_counts == {ErrorKind.STATUS: 30}
        assert client.log.take_batch().success_count == 270
