"""Connections against servers that are slow, dribble, reset, half-close, say too much or lie."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import gevent
import pytest
from gevent.event import Event

from inference_swarm.transport.client import InferenceClient
from inference_swarm.transport.connection import Connection
from inference_swarm.transport.deadlines import Deadlines
from inference_swarm.transport.outcome import AttemptError, ErrorKind, Outcome
from inference_swarm.transport.rules import AttemptRules
from inference_swarm.transport.target import parse_target
from tests.transport.scripted_server import CHECK, Peer, fast_path_until, request_to, respond_all, run, serve

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n" + b'{"predictions":[0]}'
OK_HEAD, OK_BODY = OK[:39], OK[39:]
# Only the deadline that a test is about is short: on a busy machine the others must not pass first.
SHORT = Deadlines(connect_s=5, send_s=0.2, request_s=0.2)
SHORT_CONNECT = Deadlines(connect_s=0.2)
# The machine may have other things to do; test_deadlines.py has how late an interruption is without them.
AT_THE_DEADLINE_S = (0.2, 1.0)


def is_at_the_deadline(outcome: Outcome) -> bool:
    return AT_THE_DEADLINE_S[0] <= outcome.service_ns / 1e9 < AT_THE_DEADLINE_S[1]


def one_attempt(script: Callable[[Peer], None], **options: Any) -> Outcome:
    with serve(script, **options) as (client, _):
        outcome = run(lambda connection: connection.attempt(request_to(client)), client)
        assert isinstance(outcome, Outcome)
        return outcome


def error_of(outcome: Outcome) -> tuple[ErrorKind, str]:
    assert outcome.error is not None
    return outcome.error.kind, outcome.error.detail


def respond_once(*pieces: bytes, after: Callable[[Peer], None] = Peer.wait_closed) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.read_request()
        for piece in pieces:
            peer.send(piece)
            gevent.sleep(0.001)
        after(peer)

    return script


def test_a_success_has_all_instants_in_order_and_counts_its_bytes() -> None:
    begin_ns = time.monotonic_ns()
    outcome = one_attempt(respond_all(OK))
    assert outcome.error is None
    instants = [begin_ns, outcome.intended_ns, outcome.sent_ns, outcome.first_byte_ns, outcome.done_ns]
    assert instants == sorted(instants)
    assert (outcome.status, outcome.body_bytes, outcome.received_bytes) == (200, 19, len(OK))


def test_the_connection_is_kept() -> None:
    with serve(respond_all(OK)) as (client, server):

        def use(connection: Connection) -> list[Outcome]:
            request = request_to(client)
            return [connection.attempt(request) for _ in range(5)]

        assert [outcome.error for outcome in run(use, client)] == [None] * 5
        assert len(server.peers) == 1
        assert server.peers[0].requests == [b'{"a":1}'] * 5
        assert (client.counters.attempts, client.counters.reconnects) == (1, 0)


def test_an_attempt_carries_the_intended_instant_it_was_given() -> None:
    with serve(respond_all(OK)) as (client, _):
        outcomes = run(lambda c: [c.attempt(request_to(client), intended_ns=7) for _ in range(2)], client)
    assert [outcome.intended_ns for outcome in outcomes] == [7, 7]


@pytest.mark.parametrize("cut", range(1, len(OK)))
def test_a_response_in_two_segments_is_read_whole(cut: int) -> None:
    outcome = one_attempt(respond_once(OK[:cut], OK[cut:]), response_check=CHECK)
    assert outcome.error is None
    assert outcome.body_bytes == 19


def test_a_response_byte_by_byte_is_read_whole() -> None:
    outcome = one_attempt(respond_once(*(bytes([byte]) for byte in OK)), response_check=CHECK)
    assert outcome.error is None
    assert outcome.first_byte_ns < outcome.done_ns


@pytest.mark.parametrize("size", [65_536 - 39, 65_536, 1_000_000])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_responses_larger_than_the_buffer_are_read_whole(size: int, is_chunked: bool) -> None:
    body = b"[" + b"1" * (size - 2) + b"]"
    if is_chunked:
        data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (size, body)
    else:
        data = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, body)
    seen = []

    def check(received: bytes, row_count: int) -> str | None:
        seen.append(received)
        return None

    outcome = one_attempt(respond_all(data), response_check=check)
    assert outcome.error is None
    assert (outcome.body_bytes, outcome.received_bytes) == (size, len(data))
    assert seen == [body]


def test_a_large_request_is_sent_whole_to_a_slow_reader() -> None:
    body = b"x" * 8_000_000

    def script(peer: Peer) -> None:
        gevent.sleep(0.01)
        peer.read_request()
        peer.send(OK)

    with serve(script) as (client, server):
        outcome = run(lambda connection: connection.attempt(request_to(client, body)), client)
        assert outcome.error is None
        assert server.peers[0].requests == [body]


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n[]", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n[]", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n[]", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
    ],
)
def test_what_the_response_says_about_the_connection_is_done(data: bytes, kept: bool) -> None:
    with serve(respond_all(data)) as (client, server):

        def use(connection: Connection) -> list[Outcome]:
            return [connection.attempt(request_to(client)) for _ in range(3)]

        outcomes = run(use, client)
        assert [outcome.error for outcome in outcomes] == [None] * 3
        assert len(server.peers) == (1 if kept else 3)
        assert (client.counters.attempts, client.counters.reconnects) == ((1, 0) if kept else (3, 2))


def test_a_response_that_ends_with_the_connection_is_a_success() -> None:
    outcome = one_attempt(respond_once(b"HTTP/1.1 200 OK\r\n\r\nab", b"c", after=Peer.half_close))
    assert outcome.error is None
    assert outcome.body_bytes == 3


# failures by kind


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (respond_once(after=Peer.half_close), (ErrorKind.RECEIVE, "closed by the server before it responded")),
        (respond_once(after=Peer.reset), (ErrorKind.RECEIVE, "Connection reset by peer")),
        (respond_once(OK[:20], after=Peer.half_close), (ErrorKind.RECEIVE, "closed by the server inside the response")),
        (respond_once(OK[:45], after=Peer.half_close), (ErrorKind.RECEIVE, "closed by the server inside the response")),
        (respond_once(OK[:45], after=Peer.reset), (ErrorKind.RECEIVE, "Connection reset by peer")),
        (respond_once(OK + b"!"), (ErrorKind.PROTOCOL, "more bytes than the response has")),
        (respond_once(OK[:45], OK[45:] + b"!"), (ErrorKind.PROTOCOL, "more bytes than the response has")),
        (respond_once(OK[:20], OK[20:] + OK), (ErrorKind.PROTOCOL, "more bytes than the response has")),
        (respond_once(b"SSH-2.0-OpenSSH_9.6\r\n"), (ErrorKind.PROTOCOL, "not HTTP: Expected HTTP/, RTSP/ or ICE/")),
        (
            respond_once(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, b"y" * 70_000),
            (ErrorKind.PROTOCOL, "head larger than the limit"),
        ),
        (
            respond_once(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
            (ErrorKind.PROTOCOL, "body larger than the limit"),
        ),
        (respond_all(OK.replace(b"200 OK", b"503 Busy")), (ErrorKind.STATUS, "503 Service Unavailable")),
        (respond_all(OK.replace(b"200 OK", b"299 Odd")), None),
        (respond_all(OK.replace(b"200 OK", b"599 Odd")), (ErrorKind.STATUS, "599")),
    ],
)
def test_failures_are_named_by_phase(script: Callable[[Peer], None], expected: tuple[ErrorKind, str] | None) -> None:
    outcome = one_attempt(script)
    assert (error_of(outcome) if expected else outcome.error) == expected


def test_expected_status_and_response_decide_about_success_and_keep_the_connection() -> None:
    with serve(
        respond_all(OK.replace(b"200 OK", b"404 No")),
        expected_status=frozenset({404}),
        response_check=CHECK,
    ) as (client, server):

        def use(connection: Connection) -> list[Outcome]:
            return [connection.attempt(request_to(client), row_count=count) for count in (1, 2, 1)]

        outcomes = run(use, client)
        assert outcomes[0].error is outcomes[2].error is None
        assert error_of(outcomes[1]) == (ErrorKind.ANSWER, "1 predictions for 2 rows")
        assert outcomes[1].status == 404
        assert len(server.peers) == 1


def test_a_refused_connection_is_a_connect_error() -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        client = InferenceClient(parse_target(f"http://127.0.0.1:{unused.getsockname()[1]}"))
        outcome = run(lambda connection: connection.attempt(request_to(client)), client)
    assert error_of(outcome) == (ErrorKind.CONNECT, "Connection refused")
    assert outcome.sent_ns == 0
    assert outcome.done_ns >= outcome.intended_ns > 0
    assert (client.counters.attempts, client.counters.failures, client.counters.open) == (1, 1, 0)


def test_an_unknown_name_is_a_resolve_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("inference_swarm.transport.resolve.gevent_socket.getaddrinfo", fail)
    client = InferenceClient(parse_target("http://model.invalid"))
    outcome = run(lambda connection: connection.attempt(request_to(client)), client)
    assert error_of(outcome) == (ErrorKind.RESOLVE, "model.invalid: Name or service not known")


def test_many_users_share_one_lookup_and_one_that_is_killed_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lookups = []
    with serve(respond_all(OK)) as (server, _):
        client = InferenceClient(parse_target(f"http://model.invalid:{server.target.port}"))

        def slow_lookup(host: str, port: int, *_: Any) -> Any:
            lookups.append(host)
            gevent.sleep(0.02)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr("inference_swarm.transport.resolve.gevent_socket.getaddrinfo", slow_lookup)
        outcomes: list[Outcome] = []

        def user() -> None:
            connection = client.connect()
            try:
                outcomes.append(connection.attempt(request_to(client)))
            finally:
                connection.release()

        users = [gevent.spawn(user) for _ in range(10)]
        gevent.sleep(0.001)
        users[0].kill()
        gevent.joinall(users, timeout=5)
    assert lookups == ["model.invalid"]
    assert [outcome.error for outcome in outcomes] == [None] * 9
    assert client.counters.open == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_an_address_needs_no_lookup(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    def fail(*_: Any) -> Any:
        raise AssertionError("looked up")

    monkeypatch.setattr("inference_swarm.transport.resolve.gevent_socket.getaddrinfo", fail)
    client = InferenceClient(parse_target(f"http://{host}:80"))
    addresses = client.dialer.resolver.resolve()
    assert [address.socket_address for address in addresses] == [socket.getaddrinfo(host.strip("[]"), 80)[0][4]]


# deadlines


def test_a_silent_server_frees_the_user_at_the_deadline() -> None:
    outcome = one_attempt(respond_once(), deadlines=SHORT)
    assert error_of(outcome) == (ErrorKind.TIMEOUT, "no response within 0.2 s")
    assert is_at_the_deadline(outcome)


def test_a_dribbling_server_does_not_move_the_deadline() -> None:
    def dribble(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK_HEAD)
        while True:
            gevent.sleep(0.03)
            peer.send(b" ")

    outcome = one_attempt(dribble, deadlines=SHORT)
    assert error_of(outcome) == (ErrorKind.TIMEOUT, "only a part of the response arrived within 0.2 s")
    assert outcome.failure_text.startswith("HTTP/1.1 200 OK")
    assert is_at_the_deadline(outcome)


def test_a_server_that_does_not_read_is_a_send_timeout() -> None:
    def script(peer: Peer) -> None:
        gevent.sleep(3)

    with serve(script, deadlines=SHORT) as (client, _):
        outcome = run(lambda connection: connection.attempt(request_to(client, b"x" * 30_000_000)), client)
    assert error_of(outcome) == (ErrorKind.TIMEOUT, "not sent within 0.2 s")


def test_a_server_that_accepts_nobody_is_a_connect_timeout() -> None:
    with closing(socket.socket()) as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        client = InferenceClient(
            parse_target(f"http://127.0.0.1:{full.getsockname()[1]}"), AttemptRules(deadlines=SHORT_CONNECT)
        )
        outcome = run(lambda connection: connection.attempt(request_to(client)), client)
        for filler in fillers:
            filler.close()
    assert error_of(outcome) == (ErrorKind.TIMEOUT, "not connected within 0.2 s")
    assert outcome.sent_ns == 0


def test_after_a_failure_the_next_attempt_connects_again() -> None:
    def script(peer: Peer) -> None:
        if peer.number == 0:
            respond_once(after=Peer.reset)(peer)
        else:
            respond_all(OK)(peer)

    with serve(script) as (client, server):
        outcomes = run(lambda c: [c.attempt(request_to(client)) for _ in range(3)], client)
        assert [outcome.error is None for outcome in outcomes] == [False, True, True]
        # an attempt is an attempt: what failed was not sent again behind the caller's back
        assert [len(peer.requests) for peer in server.peers] == [1, 2]


# idle connections


def test_a_connection_closed_while_idle_is_opened_again_before_the_send() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)

    with serve(script) as (client, server):

        def use(connection: Connection) -> list[Outcome]:
            outcomes = []
            for _ in range(3):
                outcomes.append(connection.attempt(request_to(client)))
                gevent.sleep(0.02)
            return outcomes

        assert [outcome.error for outcome in run(use, client)] == [None] * 3
        assert [len(peer.requests) for peer in server.peers] == [1, 1, 1]
        assert client.counters.reconnects == 2


@pytest.mark.parametrize("way", ["attempt", "relay"])
def test_a_close_that_a_busy_loop_has_not_noticed_is_found_before_the_send(way: str) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)

    with serve(script) as (client, server):

        def use(connection: Connection) -> None:
            assert connection.attempt(request_to(client)).error is None
            connection._session.stream._watcher.stop()  # as if the loop had not come to it yet
            gevent.sleep(0.02)
            connection._wait.done_ns -= 2_000_000_000
            if way == "attempt":
                assert connection.attempt(request_to(client)).error is None
            else:
                request = request_to(client)
                outcome = connection.attempt_repeatedly(lambda: request, [], 0)
                assert outcome is None or outcome.error is None

        run(use, client)
        assert [len(peer.requests) for peer in server.peers] == [1, 1]


def test_bytes_nobody_asked_for_are_never_taken_for_a_response() -> None:
    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.send(OK)
            is_seen.wait(5)
            is_seen.clear()
            peer.send(OK.replace(b"[0]", b"[9]"))

    seen = []
    is_seen = Event()

    def check(body: bytes, row_count: int) -> str | None:
        seen.append(body)
        is_seen.set()
        return None

    with serve(script, response_check=check) as (client, _):

        def use(connection: Connection) -> None:
            for _ in range(3):
                assert connection.attempt(request_to(client)).error is None
                with gevent.Timeout(5):
                    while not connection._session.stream.is_stale:  # the bytes that nobody asked for have arrived
                        gevent.sleep(0.001)

        run(use, client)
    assert seen == [OK_BODY] * 3


# being stopped


def test_connections_that_close_together_were_open_lately(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(respond_all(OK)) as (client, _):
        connections = [client.connect() for _ in range(3)]
        for connection in connections:
            assert connection.attempt(request_to(client)).error is None
        for connection, left in zip(connections, (2, 1, 0), strict=True):
            connection.release()
            assert (client.counters.open, client.count_open_lately()) == (left, 3)
        now_s = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now_s + 2)
        assert client.count_open_lately() == 0


def test_a_killed_user_leaves_no_connection_and_no_waiter() -> None:
    with serve(respond_once()) as (client, server):

        def user() -> None:
            connection = client.connect()
            try:
                connection.attempt(request_to(client))
            finally:
                connection.release()

        greenlet = gevent.spawn(user)
        while not server.peers or not server.peers[0].requests:
            gevent.sleep(0.001)
        assert client.counters.open == 1
        before_ns = time.monotonic_ns()
        greenlet.kill()
        assert client.counters.open == 0
        assert client.timeout_scan.waiter_count == 0
        assert client.log.abandoned_count == 1
        batch = client.log.take_batch()
        assert (batch.success_count, batch.failures) == (0, [])
        abandoned = batch.abandoned[0]
        assert repr(abandoned.error) == "abandoned: in flight when its user was stopped"
        assert abandoned.is_abandoned
        assert 0 < abandoned.intended_ns <= abandoned.sent_ns < before_ns <= abandoned.done_ns
        assert abandoned.address == f"127.0.0.1:{client.target.port}"
        assert (abandoned.sent_bytes, abandoned.status) == (len(request_to(client)), 0)


def end(client: InferenceClient, use: Callable[[Connection], object], until: Callable[[], bool]) -> list[Outcome]:
    """The abandoned attempts of a user that was ended as soon as `until` was true."""

    def user() -> None:
        connection = client.connect()
        try:
            use(connection)
        finally:
            connection.release()

    greenlet = gevent.spawn(user)
    with gevent.Timeout(5):
        while not until():
            gevent.sleep(0.001)
    greenlet.kill()
    return client.log.take_batch().abandoned


def test_an_attempt_that_is_abandoned_on_the_fast_path_is_noted_with_the_time_it_took_so_far() -> None:
    def script(peer: Peer) -> None:
        for _ in range(20):
            peer.read_request()
            peer.send(OK)
        peer.read_request()
        peer.wait_closed()

    with serve(script) as (client, server):

        def use(connection: Connection) -> None:
            request = request_to(client)
            while True:
                outcome = connection.attempt_repeatedly(lambda: request, (), 0)
                if outcome is not None:
                    client.log.add(outcome)

        def is_waiting() -> bool:
            return bool(server.peers) and len(server.peers[0].requests) == 21

        abandoned = end(client, use, is_waiting)
        assert [each.error.kind for each in abandoned if each.error] == [ErrorKind.ABANDONED]
        assert 0 < abandoned[0].sent_ns == abandoned[0].intended_ns < abandoned[0].done_ns


def test_an_attempt_that_is_abandoned_before_there_is_a_connection_was_never_sent() -> None:
    with closing(socket.socket()) as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        client = InferenceClient(parse_target(f"http://127.0.0.1:{full.getsockname()[1]}"))
        abandoned = end(client, lambda c: c.attempt(request_to(client)), lambda: client.counters.attempts == 1)
        for filler in fillers:
            filler.close()
    assert [(each.sent_ns, each.sent_bytes, each.address) for each in abandoned] == [(0, 0, "")]
    assert 0 < abandoned[0].intended_ns <= abandoned[0].done_ns
    assert client.counters.open == 0
    assert all(state.connections == 0 for state in client.dialer.pool._states.values())


def test_timeouts_come_within_twenty_milliseconds_of_what_was_asked() -> None:
    for deadline_s in (0.15, 0.4):
        with serve(respond_once(), deadlines=Deadlines(5, deadline_s, deadline_s)) as (client, _):

            def use(connection: Connection) -> list[Outcome]:
                return [connection.attempt(request_to(client)) for _ in range(5)]

            late_s = sorted(outcome.service_ns / 1e9 - deadline_s for outcome in run(use, client))
            assert late_s[0] >= 0
            assert late_s[1] < 0.02  # not the last, since a busy machine may wake this process late


def test_the_fast_path_notes_every_attempt_and_wakes_the_user_only_at_both_ends() -> None:
    with serve(respond_all(OK)) as (client, server):
        wakes, _ = fast_path_until(client, 100)
        batch = client.log.take_batch()
        assert (batch.success_count, batch.body_bytes, batch.failures) == (100, 1900, [])
        assert len(server.peers[0].requests) == 100
        assert wakes == 2  # the first, which connects and whose head is remembered, and all others
        assert (batch.latency_ns > 0).all()


def test_the_fast_path_follows_responses_of_changing_length_and_split() -> None:
    bodies = [b"[%s]" % (b"1" * size) for size in (1, 5, 2)]

    def script(peer: Peer) -> None:
        while peer.read_request():
            body = bodies[len(peer.requests) % 3]
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
            if len(peer.requests) % 5:
                peer.send(head + body)
            else:
                peer.send(head)
                gevent.sleep(0.001)
                peer.send(body)

    with serve(script) as (client, _):
        fast_path_until(client, 60)
        batch = client.log.take_batch()
        assert batch.success_count == 60
        assert batch.body_bytes == 20 * (3 + 7 + 4)


def test_the_fast_path_hands_over_what_is_not_common() -> None:
    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.send(OK.replace(b"200 OK", b"500 No") if len(peer.requests) == 10 else OK)
            if len(peer.requests) == 20:
                break

    with serve(script) as (client, server):
        fast_path_until(client, 40)
        batch = client.log.take_batch()
        assert batch.success_count + len(batch.failures) == 40
        kinds = [failure.error.kind for failure in batch.failures if failure.error]
        assert kinds.count(ErrorKind.STATUS) == len(server.peers)
        # a server that closes after a response: the request that crossed its close failed, the others did not
        assert len(batch.failures) <= 2 * len(server.peers)


def test_the_fast_path_ends_when_the_listeners_change() -> None:
    listeners: list[int] = []

    def script(peer: Peer) -> None:
        while peer.read_request():
            if len(peer.requests) == 10:
                listeners.append(1)
            peer.send(OK)

    with serve(script) as (client, _):

        def use(connection: Connection) -> int:
            request = request_to(client)
            while not listeners:
                outcome = connection.attempt_repeatedly(lambda: request, listeners, 0)
                if outcome is not None:
                    client.log.add(outcome)
            return client.log.take_batch().success_count

        assert run(use, client) == 10


def test_what_take_raises_comes_out_of_the_relay_and_the_connection_stays() -> None:
    class DoneError(Exception):
        pass

    with serve(respond_all(OK)) as (client, server):

        def use(connection: Connection) -> bool:
            rows = iter([request_to(client)] * 10)

            def take() -> bytes:
                try:
                    return next(rows)
                except StopIteration:
                    raise DoneError from None

            def relay_on() -> None:
                while True:
                    outcome = connection.attempt_repeatedly(take, (), 0)
                    if outcome is not None:
                        client.log.add(outcome)

            with pytest.raises(DoneError):
                relay_on()
            return connection.is_open

        assert run(use, client)
        assert client.log.take_batch().success_count == 10
        assert len(server.peers[0].requests) == 10


def test_the_fast_path_that_gets_no_row_says_so_and_loses_nothing() -> None:
    with serve(respond_all(OK)) as (client, server):

        def use(connection: Connection) -> list[bool]:
            request = request_to(client)
            rows = iter([request, request, request, None, request, None, None])
            starved = []
            for _ in range(4):
                outcome = connection.attempt_repeatedly(lambda: next(rows), (), 0)
                if outcome is not None:
                    client.log.add(outcome)
                starved.append(connection.is_starved)
            return starved

        assert run(use, client) == [False, True, True, True]
        assert client.log.take_batch().success_count == len(server.peers[0].requests) == 4


def test_the_fast_path_is_freed_at_its_deadline() -> None:
    def script(peer: Peer) -> None:
        for _ in range(20):
            peer.read_request()
            peer.send(OK)
        peer.read_request()
        peer.wait_closed()

    with serve(script, deadlines=SHORT) as (client, _):
        _, outcome = fast_path_until(client, 21)
        assert outcome is not None
        assert error_of(outcome) == (ErrorKind.TIMEOUT, "no response within 0.2 s")
        assert client.log.take_batch().success_count == 20


@pytest.mark.parametrize("script", [respond_once(after=Peer.reset), respond_once(OK_HEAD[:9], after=Peer.half_close)])
def test_a_failure_that_is_kept_keeps_no_connection_alive(script: Callable[[Peer], None]) -> None:
    outcome = one_attempt(script)
    assert outcome.error is not None
    assert (outcome.error.__traceback__, outcome.error.__context__) == (None, None)


def test_a_failed_connect_that_is_kept_keeps_no_connection_alive() -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        client = InferenceClient(parse_target(f"http://127.0.0.1:{unused.getsockname()[1]}"))
        outcome = run(lambda connection: connection.attempt(request_to(client)), client)
    assert outcome.error.kind is ErrorKind.CONNECT
    assert (outcome.error.__traceback__, outcome.error.__context__) == (None, None)


def test_equal_failures_have_equal_texts() -> None:
    first = AttemptError(ErrorKind.STATUS, "503 Service Unavailable")
    assert repr(first) == "status: 503 Service Unavailable"
