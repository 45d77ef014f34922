"""Names with several addresses, dead ones among them, look-ups, connections that get old, and servers that are down."""

from __future__ import annotations

import errno
import socket
import time
from _socket import socket as plain_socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import gevent
import pytest
from gevent.server import StreamServer

from inference_swarm.transport.client import InferenceClient
from inference_swarm.transport.connection import Connection
from inference_swarm.transport.deadlines import Deadlines
from inference_swarm.transport.outcome import ErrorKind, Outcome
from inference_swarm.transport.rules import AttemptRules
from inference_swarm.transport.session import MAX_PAUSE_S
from inference_swarm.transport.target import parse_target
from tests.transport.scripted_server import Peer, request_to, respond_all, run, serve

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
LOOK_UP = "inference_swarm.transport.resolve.gevent_socket.getaddrinfo"


class Name:
    """What a name server says about `model.invalid`; may be changed while it is used."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
        self.hosts = list(hosts)
        self.lookups = 0
        monkeypatch.setattr(LOOK_UP, self._look_up)

    def _look_up(self, host: str, port: int, *_: Any) -> list[Any]:
        self.lookups += 1
        if not self.hosts:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in self.hosts]


class Backends:
    """Servers on several loopback addresses that share a port, each with the number of requests it got."""

    def __init__(self, *hosts: str) -> None:
        self.requests: Counter[str] = Counter()
        self.connections: Counter[str] = Counter()
        self.port = 0
        self._servers: list[StreamServer] = []
        for host in hosts:
            self.add(host)

    def add(self, host: str) -> None:
        def handle(sock: Any, _: Any) -> None:
            self.connections[host] += 1
            peer = Peer(sock, 0)
            try:
                while peer.read_request():
                    self.requests[host] += 1
                    peer.send(OK)
            except OSError:
                return

        server = StreamServer((host, self.port), handle)
        server.start()
        self.port = server.server_port
        self._servers.append(server)

    def stop(self) -> None:
        for server in self._servers:
            server.stop(timeout=0)


@contextmanager
def backends(*hosts: str) -> Iterator[Backends]:
    made = Backends(*hosts)
    try:
        yield made
    finally:
        made.stop()


def client_of(port: int, **rules: Any) -> InferenceClient:
    return InferenceClient(parse_target(f"http://model.invalid:{port}"), AttemptRules(**rules))


def users(client: InferenceClient, count: int, use: Callable[[Connection], list[Outcome]]) -> list[Outcome]:
    """What N concurrent users have got."""

    def user() -> list[Outcome]:
        connection = client.connect()
        try:
            return use(connection)
        finally:
            connection.release()

    greenlets = [gevent.spawn(user) for _ in range(count)]
    gevent.joinall(greenlets, timeout=20, raise_error=True)
    return [outcome for greenlet in greenlets for outcome in greenlet.value]


def attempts(client: InferenceClient, user_count: int, attempt_count: int) -> list[Outcome]:
    everybody = gevent.event.Event()
    is_done = Counter[str]()

    def use(connection: Connection) -> list[Outcome]:
        outcomes = [connection.attempt(request_to(client)) for _ in range(attempt_count)]
        is_done["users"] += 1
        if is_done["users"] == user_count:
            everybody.set()
        everybody.wait(timeout=10)  # nobody makes room for another before all are there
        return outcomes

    return users(client, user_count, use)


def test_users_are_spread_evenly_over_all_addresses_and_each_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = ("127.0.0.1", "127.0.0.2")
    Name(monkeypatch, *hosts)
    with backends(*hosts) as servers:
        client = client_of(servers.port)
        outcomes = attempts(client, 40, 3)
        for outcome in outcomes:
            client.log.add(outcome)
        batch = client.log.take_batch()
        assert servers.connections == dict.fromkeys(hosts, 20)
        assert servers.requests == dict.fromkeys(hosts, 60)
        counts = {address: part.success_count for address, part in batch.successes_by_address()}
        assert counts == {f"{host}:{servers.port}": 60 for host in hosts}


@contextmanager
def black_hole(host: str, port: int) -> Iterator[None]:
    """An address whose connections are never accepted: its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(closing(socket.socket()))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(closing(socket.socket()))
            filler.setblocking(False)
            filler.connect_ex((host, port))
        yield


def test_an_address_that_never_answers_costs_a_fraction_of_a_second_and_is_then_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Name(monkeypatch, "127.0.0.3", "127.0.0.1")
    with backends("127.0.0.1") as servers, black_hole("127.0.0.3", servers.port):
        client = client_of(servers.port)
        client.dialer.pool._turn = -1  # begin with the first
        begin_s = time.monotonic()
        outcomes = attempts(client, 12, 1)
        took_s = time.monotonic() - begin_s
        assert [outcome.error for outcome in outcomes] == [None] * 12
        assert 0.25 <= took_s < 1.0
        begin_s = time.monotonic()
        assert [outcome.error for outcome in attempts(client, 5, 1)] == [None] * 5
        assert time.monotonic() - begin_s < 0.2


def test_a_refusing_address_costs_nothing_and_users_who_connect_at_once_all_find_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Name(monkeypatch, "127.0.0.4", "127.0.0.1")
    with backends("127.0.0.1") as servers:
        client = client_of(servers.port)
        begin_s = time.monotonic()
        assert [outcome.error for outcome in attempts(client, 30, 1)] == [None] * 30
        assert time.monotonic() - begin_s < 0.25 * 4
        assert servers.connections == {"127.0.0.1": 30}
        assert client.dialer.pool.connection_count(client.dialer.resolver.resolve()[0]) == 0


def test_when_every_address_fails_each_reason_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    Name(monkeypatch, "127.0.0.5", "127.0.0.6")
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.5", 0))
        client = client_of(unused.getsockname()[1])
        outcome = attempts(client, 1, 1)[0]
    assert repr(outcome.error) == "connect: Connection refused"
    assert outcome.address == ""
    assert all(state.failures_in_row == 1 for state in client.dialer.pool._states.values())


def resting(client: InferenceClient) -> set[str]:
    """The hosts that come last because they failed."""
    return {
        str(address.socket_address[0]) for address, state in client.dialer.pool._states.items() if state.failures_in_row
    }


def test_a_user_that_is_ended_while_it_connects_says_nothing_about_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    Name(monkeypatch, "127.0.0.3", "127.0.0.7")
    with ExitStack() as stack:
        with closing(socket.socket()) as unused:
            unused.bind(("127.0.0.3", 0))
            port = unused.getsockname()[1]
        stack.enter_context(black_hole("127.0.0.3", port))
        client = client_of(port)
        client.dialer.pool._turn = -1  # begin with the first
        greenlet = gevent.spawn(lambda: client.connect().attempt(request_to(client)))
        with gevent.Timeout(5):
            while not client.dialer.pool._states:
                gevent.sleep(0.001)
        greenlet.kill()
        assert resting(client) == set()


def test_of_two_that_connect_only_the_slower_one_that_began_first_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    Name(monkeypatch, "127.0.0.3", "127.0.0.1", "127.0.0.7")
    with ExitStack() as stack:
        servers = stack.enter_context(backends("127.0.0.1"))
        stack.enter_context(black_hole("127.0.0.3", servers.port))
        stack.enter_context(black_hole("127.0.0.7", servers.port))
        client = client_of(servers.port)
        client.dialer.pool._turn = -1
        assert attempts(client, 1, 1)[0].error is None
        assert resting(client) == {"127.0.0.3"}


def test_no_address_at_all_in_time_is_a_connect_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    Name(monkeypatch, "127.0.0.3", "127.0.0.7")
    with ExitStack() as stack:
        with closing(socket.socket()) as unused:
            unused.bind(("127.0.0.3", 0))
            port = unused.getsockname()[1]
        stack.enter_context(black_hole("127.0.0.3", port))
        stack.enter_context(black_hole("127.0.0.7", port))
        client = client_of(port, deadlines=Deadlines(connect_s=0.4))
        outcome = attempts(client, 1, 1)[0]
    assert repr(outcome.error) == "timeout: not connected within 0.4 s"
    assert 0.4 <= outcome.service_ns / 1e9 < 0.7
    assert client.counters.open == 0
    assert resting(client) == {"127.0.0.3", "127.0.0.7"}


# the age of a connection


def test_an_old_connection_is_replaced_and_the_name_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    name = Name(monkeypatch, "127.0.0.1")
    with backends("127.0.0.1") as servers:
        servers.add("127.0.0.2")
        client = client_of(servers.port, connection_lifetime_s=0.1)

        def use(connection: Connection) -> list[Outcome]:
            request, outcomes = request_to(client), []

            def until(host: str) -> None:
                with gevent.Timeout(5):
                    while not servers.requests[host] > 100:
                        outcome = connection.attempt_repeatedly(lambda: request, (), 0)
                        if outcome is not None:
                            outcomes.append(outcome)

            until("127.0.0.1")
            name.hosts = ["127.0.0.2"]
            until("127.0.0.2")
            return outcomes

        outcomes = users(client, 2, use)
        assert [outcome.error for outcome in outcomes] == [None] * len(outcomes)
        assert name.lookups >= 2
        assert client.log.take_batch().success_count + len(outcomes) == servers.requests.total()
        assert client.counters.open == 0


def test_without_a_lifetime_a_connection_is_kept_whatever_the_name_says(monkeypatch: pytest.MonkeyPatch) -> None:
    name = Name(monkeypatch, "127.0.0.1")
    with backends("127.0.0.1") as servers:
        client = client_of(servers.port)

        def use(connection: Connection) -> list[Outcome]:
            outcomes = [connection.attempt(request_to(client))]
            name.hosts = ["127.0.0.2"]
            gevent.sleep(0.2)
            return [*outcomes, connection.attempt(request_to(client))]

        assert [outcome.error for outcome in users(client, 3, use)] == [None] * 6
        assert (servers.connections, name.lookups) == ({"127.0.0.1": 3}, 1)


# look-ups


def test_a_name_that_is_not_known_is_looked_up_about_once_a_second_for_all_users(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = Name(monkeypatch)
    client = client_of(80)
    clock = [0.0]
    client.dialer.resolver._clock_s = lambda: clock[0]

    def use(connection: Connection) -> list[Outcome]:
        outcomes = []
        for second in range(10):
            clock[0] = max(clock[0], float(second))
            outcomes.append(connection.attempt(request_to(client)))
            gevent.sleep(0)
        return outcomes

    outcomes = users(client, 1000, use)
    assert {repr(outcome.error) for outcome in outcomes} == {"resolve: model.invalid: Name or service not known"}
    assert len(outcomes) == 10_000
    assert name.lookups == client.dialer.resolver.lookup_count == 10


def test_a_name_that_is_known_is_looked_up_once_in_thirty_seconds_and_kept_when_it_is_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = Name(monkeypatch, "127.0.0.1")
    resolver = client_of(80).dialer.resolver
    clock = [0.0]
    resolver._clock_s = lambda: clock[0]
    for clock[0] in (0.0, 15.0, 29.9):
        assert [address.label for address in resolver.resolve()] == ["127.0.0.1:80"]
    assert name.lookups == 1
    name.hosts = ["127.0.0.2", "127.0.0.1", "127.0.0.2"]
    clock[0] = 30.0
    assert [address.label for address in resolver.resolve()] == ["127.0.0.2:80", "127.0.0.1:80"]
    name.hosts = []
    for clock[0] in (60.0, 60.5, 61.0, 61.5):
        assert len(resolver.resolve()) == 2
    assert name.lookups == 4
    assert [record.message for record in caplog.records] == [
        "The name cannot be looked up again, so its known addresses are kept: model.invalid: Name or service not known"
    ]


def test_what_cannot_be_a_name_is_a_resolve_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise UnicodeError("label too long")

    monkeypatch.setattr(LOOK_UP, fail)
    outcome = attempts(client_of(80), 1, 1)[0]
    assert repr(outcome.error) == "resolve: model.invalid: not a host name"


# a server that is down


def test_users_pause_longer_and_longer_while_no_connection_can_be_made_and_not_after_one() -> None:
    with serve(respond_all(OK)) as (client, server):
        port = client.target.port
        server.stop()

        def use(connection: Connection) -> list[float]:
            pauses = [connection.pause_s]
            for _ in range(9):
                assert connection.attempt(request_to(client)).error is not None
                pauses.append(connection.pause_s)
            revived = StreamServer(("127.0.0.1", port), lambda sock, _: respond_all(OK)(Peer(sock, 0)))
            revived.start()
            assert connection.attempt(request_to(client)).error is None
            revived.stop(timeout=0)
            return [*pauses, connection.pause_s]

        first, *pauses, last = run(use, client)
    assert first == last == 0
    for pause_s, longest_s in zip(pauses, (0.05, 0.1, 0.2, 0.4, 0.8, 1, 1, 1, 1), strict=True):
        assert 0.75 * longest_s <= pause_s <= longest_s <= MAX_PAUSE_S


def test_many_users_pause_longer_so_that_all_together_do_not_try_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    Name(monkeypatch)
    client = client_of(80)
    everybody = gevent.event.Event()
    pauses: list[float] = []

    def user() -> None:
        connection = client.connect()
        assert connection.attempt(request_to(client)).error is not None
        everybody.wait(timeout=10)
        pauses.append(connection.pause_s)
        connection.release()

    greenlets = [gevent.spawn(user) for _ in range(800)]
    with gevent.Timeout(10):
        while client.disconnected_users < 800:
            gevent.sleep(0.001)
    everybody.set()
    gevent.joinall(greenlets, timeout=10, raise_error=True)
    assert 0.75 * 4 <= pauses[0] <= 4
    assert pauses[-1] <= 0.05  # the last one is alone
    assert client.disconnected_users == 0


def test_an_attempt_that_fails_on_a_connection_asks_for_no_pause() -> None:
    with serve(Peer.close) as (client, _):

        def use(connection: Connection) -> tuple[Outcome, float]:
            return connection.attempt(request_to(client)), connection.pause_s

        outcome, pause_s = run(use, client)
    assert outcome.error is not None
    assert outcome.error.kind is not ErrorKind.CONNECT
    assert pause_s == 0


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (errno.ENETUNREACH, "Network is unreachable"),
        (OSError(errno.EACCES, "Permission denied"), "Permission denied"),
        (0, None),  # connected without a wait
    ],
)
def test_what_a_connect_says_at_once_is_taken_at_once(
    monkeypatch: pytest.MonkeyPatch, behaviour: int | OSError, reason: str | None
) -> None:
    with backends("127.0.0.1") as servers:

        def make_socket(family: int, kind: int) -> Any:
            sock = plain_socket(family, kind)

            class Socket:
                def __getattr__(self, name: str) -> Any:
                    return getattr(sock, name)

                def connect_ex(self, address: tuple[str, int]) -> int:
                    if isinstance(behaviour, OSError):
                        raise behaviour
                    if behaviour == 0:
                        sock.setblocking(True)
                        sock.connect(address)
                        sock.setblocking(False)
                    return behaviour

            return Socket()

        monkeypatch.setattr("inference_swarm.transport.source_addresses.plain_socket", make_socket)
        Name(monkeypatch, "127.0.0.1")
        client = client_of(servers.port)
        outcome = attempts(client, 1, 1)[0]
        assert repr(outcome.error) == ("None" if reason is None else f"connect: {reason}")
        assert client.counters.open == 0


def test_too_many_open_files_say_nothing_about_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("inference_swarm.transport.source_addresses.plain_socket", fail)
    client = client_of(80)
    Name(monkeypatch, "127.0.0.1", "127.0.0.2")
    assert repr(attempts(client, 1, 1)[0].error) == "connect: Too many open files (ulimit -n, more workers)"
    assert client.dialer.pool.order(client.dialer.resolver.resolve(), 0.0)
    assert all(state.failures_in_row == 0 for state in client.dialer.pool._states.values())
