"""Connections leave from the addresses of `--source-address`, in turn, and what is said when that cannot be."""

from __future__ import annotations

import errno
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from gevent.server import StreamServer

from inference_swarm.errors import SettingProblem
from inference_swarm.transport.addresses import Address
from inference_swarm.transport.client import InferenceClient
from inference_swarm.transport.exhaustion import PORTS_EXHAUSTED
from inference_swarm.transport.outcome import Outcome
from inference_swarm.transport.rules import AttemptRules
from inference_swarm.transport.source_addresses import SourceAddresses, parse_source_addresses
from inference_swarm.transport.target import parse_target
from inference_swarm.transport.tls import TlsFiles
from tests.transport.scripted_server import Peer
from tests.transport.test_opening import attempts
from tests.transport.test_tls import make_certificate

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
# Of TEST-NET-1 (RFC 5737): nobody's.
FOREIGN = "192.0.2.1"


@contextmanager
def server_that_notes_peers(host: str = "127.0.0.1", **tls: str) -> Iterator[tuple[int, Counter[str]]]:
    """A real server on loopback; its port, and how many connections came from which address."""
    peers: Counter[str] = Counter()

    def handle(sock: Any, address: Any) -> None:
        peers[address[0]] += 1
        peer = Peer(sock, 0)
        try:
            while peer.read_request():
                peer.send(OK)
        except OSError:
            return

    server = StreamServer((host, 0), handle, **tls)
    server.start()
    try:
        yield server.server_port, peers
    finally:
        server.stop(timeout=0)


def connect(url: str, user_count: int, *sources: str, **more: Any) -> tuple[list[Outcome], InferenceClient]:
    """One attempt of each of so many users, all of whom stay connected until the last has made it."""
    client = InferenceClient(parse_target(url), AttemptRules(source_addresses=sources), **more)
    return attempts(client, user_count, 1), client


def test_connections_leave_from_each_address_in_turn() -> None:
    with server_that_notes_peers() as (port, peers):
        outcomes, _ = connect(f"http://127.0.0.1:{port}", 9, "127.0.0.2", "127.0.0.3", "127.0.0.4")
    assert [outcome.error for outcome in outcomes] == [None] * 9
    assert peers == {"127.0.0.2": 3, "127.0.0.3": 3, "127.0.0.4": 3}


@pytest.mark.processes
@pytest.mark.needs("openssl", "Debian: openssl")
def test_they_do_with_tls(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "server", "IP:127.0.0.1")
    with server_that_notes_peers(**certificate) as (port, peers):
        trusted = TlsFiles(ca_file=Path(certificate["certfile"]))
        outcomes, _ = connect(f"https://127.0.0.1:{port}", 4, "127.0.0.2", "127.0.0.3", tls_files=trusted)
    assert [outcome.error for outcome in outcomes] == [None] * 4
    assert peers == {"127.0.0.2": 2, "127.0.0.3": 2}


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")
def test_an_address_of_the_servers_family_is_taken() -> None:
    try:
        SourceAddresses(["::1"])
    except SettingProblem:
        pytest.skip("this machine has no IPv6")
    with server_that_notes_peers("::1") as (port, peers):
        outcomes, _ = connect(f"http://[::1]:{port}", 3, "127.0.0.2", "::1")
        assert [outcome.error for outcome in outcomes] == [None] * 3
        assert peers == {"::1": 3}
        outcomes, client = connect(f"http://[::1]:{port}", 1, "127.0.0.2")
    assert repr(outcomes[0].error) == "connect: --source-address is IPv4 and the server has IPv6 only"
    assert client.counters.open == 0


def test_without_the_setting_the_kernel_chooses() -> None:
    with server_that_notes_peers() as (port, peers):
        connect(f"http://127.0.0.1:{port}", 2)
    assert peers == {"127.0.0.1": 2}


def test_an_address_that_is_not_this_machines_is_refused_and_named() -> None:
    with pytest.raises(SettingProblem) as raised:
        SourceAddresses(["127.0.0.2", FOREIGN])
    assert f"--source-address has {FOREIGN}, from which nothing on {socket.gethostname()} can connect" in str(
        raised.value
    )
    assert "addresses of this machine, which has 127.0.0.1" in raised.value.expected
    assert "SWARM_SOURCE_ADDRESS" in raised.value.action


@pytest.mark.parametrize("text", ["eth0", "127.0.0.2,model.example", "10.0.0.0/8", "127.0.0.2:80"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SettingProblem, match="which is no address"):
        parse_source_addresses(text)


class PortsOf:
    """Sockets whose connects say that there is no port, from these source addresses."""

    def __init__(self, *used_up: str) -> None:
        self.used_up = used_up

    def __call__(self, family: int, kind: int) -> Any:
        return _Socket(family, kind, self.used_up)


class _Socket(socket.socket):
    def __init__(self, family: int, kind: int, used_up: tuple[str, ...]) -> None:
        super().__init__(family, kind)
        self.used_up, self.source = used_up, ""

    def bind(self, address: Any) -> None:
        self.source = address[0]
        super().bind(address)

    def connect_ex(self, address: Any) -> int:
        is_tcp = self.type == socket.SOCK_STREAM
        return errno.EADDRNOTAVAIL if is_tcp and self.source in self.used_up else super().connect_ex(address)


def test_an_address_whose_ports_are_all_in_use_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with server_that_notes_peers() as (port, peers):
        monkeypatch.setattr("inference_swarm.transport.source_addresses.plain_socket", PortsOf("127.0.0.2"))
        outcomes, _ = connect(f"http://127.0.0.1:{port}", 4, "127.0.0.2", "127.0.0.3")
    assert [outcome.error for outcome in outcomes] == [None] * 4
    assert peers == {"127.0.0.3": 4}


def test_ports_that_are_all_in_use_are_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference_swarm.transport.source_addresses.plain_socket", PortsOf("", "127.0.0.2"))
    for sources in ((), ("127.0.0.2",)):
        outcomes, client = connect("http://127.0.0.1:9", 1, *sources)
        assert repr(outcomes[0].error) == f"connect: {PORTS_EXHAUSTED}"
        assert "all local ports are in use (--source-address, workers on other machines)" in PORTS_EXHAUSTED
        # It says nothing about the server's address.
        assert all(state.failures_in_row == 0 for state in client.dialer.pool._states.values())


def test_a_family_that_this_machine_does_not_have_is_no_lack_of_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoSuchFamily(_Socket):
        def connect_ex(self, address: Any) -> int:
            return errno.EADDRNOTAVAIL

    monkeypatch.setattr(
        "inference_swarm.transport.source_addresses.plain_socket", lambda family, kind: NoSuchFamily(family, kind, ())
    )
    outcomes, _ = connect("http://127.0.0.1:9", 1)
    assert repr(outcomes[0].error) == "connect: Cannot assign requested address"


@pytest.mark.skipif(not Path("/proc/sys/net/ipv4").exists(), reason="Linux chooses the port when it connects")
def test_a_source_addresss_ports_serve_each_server() -> None:
    """The socket is bound to an address only: its port is chosen when it is known where it goes."""
    sock, _ = SourceAddresses(["127.0.0.2"]).connect(
        Address(socket.AF_INET, ("127.0.0.1", 9)), lambda sock: sock.setblocking(False)
    )
    assert sock.getsockopt(socket.IPPROTO_IP, 24) == 1
    sock.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is made a moment later")
def test_a_connection_within_the_machine_is_made_or_refused_at_once() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        address = Address(socket.AF_INET, server.getsockname())
        sock, code = SourceAddresses().connect(address, lambda sock: sock.setblocking(False))
        sock.close()
        assert code == 0
    sock, code = SourceAddresses().connect(address, lambda sock: sock.setblocking(False))
    sock.close()
    assert code == errno.ECONNREFUSED
