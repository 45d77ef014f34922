"""TLS: who is trusted, what a refusal is called, and that everything else works as without it."""

from __future__ import annotations

import re
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
import pytest
from gevent.ssl import SSLContext

from inference_swarm.errors import SettingProblem
from inference_swarm.transport.client import InferenceClient
from inference_swarm.transport.connection import Connection
from inference_swarm.transport.deadlines import Deadlines
from inference_swarm.transport.outcome import ErrorKind, Outcome
from inference_swarm.transport.rules import AttemptRules
from inference_swarm.transport.target import parse_target
from inference_swarm.transport.tls import TlsFiles, make_tls_context
from tests.transport.scripted_server import Peer, fast_path_until, request_to, respond_all, run, serve

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n" + b'{"predictions":[0]}'
pytestmark = [
    pytest.mark.processes,
    pytest.mark.xdist_group("tls"),  # the certificates are made once
    pytest.mark.needs("openssl", "Debian: openssl"),
]


def make_certificate(folder: Path, name: str, subject: str) -> dict[str, str]:
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=test", "-addext", f"subjectAltName={subject}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return {"keyfile": str(key), "certfile": str(certificate)}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_certificate(tmp_path_factory.mktemp("tls"), "ours", "IP:127.0.0.1")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_certificate(tmp_path_factory.mktemp("tls"), "other", "DNS:model.example")


def attempts(client: InferenceClient, count: int = 1, pause_s: float = 0.0) -> list[Outcome]:
    def use(connection: Connection) -> list[Outcome]:
        outcomes = []
        for _ in range(count):
            outcomes.append(connection.attempt(request_to(client)))
            gevent.sleep(pause_s)
        return outcomes

    outcomes: list[Outcome] = run(use, client)
    return outcomes


def error_of(client: InferenceClient) -> tuple[ErrorKind, str]:
    error = attempts(client)[0].error
    assert error is not None
    return error.kind, error.detail


def test_a_certificate_of_the_given_authority_is_trusted_and_the_connection_kept(ours: dict[str, str]) -> None:
    with serve(respond_all(OK), tls=ours, tls_files=TlsFiles(ca_file=Path(ours["certfile"]))) as (client, server):
        # the pause lets the session tickets arrive while nobody waits: they are no reason to connect again
        assert [outcome.error for outcome in attempts(client, 3, pause_s=0.01)] == [None] * 3
        assert len(server.peers) == 1


def test_an_unknown_authority_is_a_tls_error(ours: dict[str, str]) -> None:
    with serve(respond_all(OK), tls=ours) as (client, _):
        assert error_of(client) == (ErrorKind.TLS, "certificate not trusted: self-signed certificate")
        assert client.counters.failures == 1


def test_a_certificate_of_another_host_is_a_tls_error(other: dict[str, str]) -> None:
    with serve(respond_all(OK), tls=other, tls_files=TlsFiles(ca_file=Path(other["certfile"]))) as (client, _):
        kind, detail = error_of(client)
    assert kind is ErrorKind.TLS
    assert "127.0.0.1" in detail


def test_insecure_takes_any_certificate(other: dict[str, str]) -> None:
    with serve(respond_all(OK), tls=other, tls_files=TlsFiles(is_insecure=True)) as (client, _):
        assert attempts(client)[0].error is None


def test_a_server_without_tls_is_a_tls_error() -> None:
    def speak(peer: Peer) -> None:
        peer.sock.recv(100)
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serve(speak) as (plain, _):
        client = InferenceClient(parse_target(f"https://127.0.0.1:{plain.target.port}"))
        assert error_of(client) == (ErrorKind.TLS, "wrong version number")


def test_a_close_in_the_handshake_is_a_tls_error() -> None:
    def hang_up(peer: Peer) -> None:
        peer.sock.recv(100)

    with serve(hang_up) as (plain, _):
        client = InferenceClient(parse_target(f"https://127.0.0.1:{plain.target.port}"))
        kind, detail = error_of(client)
    assert kind is ErrorKind.TLS
    assert detail in ("closed by the server during the handshake", "Connection reset by peer")


def test_a_stalled_handshake_is_a_timeout() -> None:
    with serve(Peer.wait_closed) as (plain, _):
        client = InferenceClient(
            parse_target(f"https://127.0.0.1:{plain.target.port}"), AttemptRules(deadlines=Deadlines(connect_s=0.2))
        )
        assert error_of(client) == (ErrorKind.TIMEOUT, "TLS handshake not done within 0.2 s")
        assert client.counters.open == 0


def test_large_requests_and_responses_pass_whole(ours: dict[str, str]) -> None:
    body = b"x" * 1_000_000
    data = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with serve(respond_all(data), tls=ours, tls_files=TlsFiles(is_insecure=True)) as (client, server):
        request = request_to(client, body)
        outcomes: list[Outcome] = run(lambda connection: [connection.attempt(request) for _ in range(2)], client)
        assert [(outcome.error, outcome.body_bytes) for outcome in outcomes] == [(None, len(body))] * 2
        assert server.peers[0].requests == [body] * 2


def test_responses_in_several_records_are_read_whole(ours: dict[str, str]) -> None:
    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.send(OK[:20])
            peer.send(OK[20:45])
            peer.send(OK[45:])

    with serve(script, tls=ours, tls_files=TlsFiles(is_insecure=True)) as (client, _):
        assert [outcome.error for outcome in attempts(client, 20)] == [None] * 20


def test_the_fast_path_works_over_tls(ours: dict[str, str]) -> None:
    with serve(respond_all(OK), tls=ours, tls_files=TlsFiles(is_insecure=True)) as (client, server):
        fast_path_until(client, 50)
        assert client.log.take_batch().success_count == 50
        assert len(server.peers) == 1


# certificates of clients


@contextmanager
def serve_members(
    ours: dict[str, str], trusted: dict[str, str], version: ssl.TLSVersion, files: TlsFiles
) -> Iterator[InferenceClient]:
    """A server that takes only clients whose certificate is `trusted`."""
    context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ours["certfile"], ours["keyfile"])
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(trusted["certfile"])
    context.minimum_version = context.maximum_version = version
    with serve(respond_all(OK), tls={"ssl_context": context}, tls_files=files) as (client, _):
        yield client


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("is_one_file", [False, True])
def test_a_client_certificate_is_shown(
    ours: dict[str, str], other: dict[str, str], version: ssl.TLSVersion, is_one_file: bool, tmp_path: Path
) -> None:
    certificate, key = Path(other["certfile"]), Path(other["keyfile"])
    files = TlsFiles(client_cert=certificate, client_key=key, is_insecure=True)
    if is_one_file:
        both = tmp_path / "both.pem"
        both.write_bytes(key.read_bytes() + certificate.read_bytes())
        files = TlsFiles(client_cert=both, is_insecure=True)
    with serve_members(ours, other, version, files) as client:
        assert [outcome.error for outcome in attempts(client, 3)] == [None] * 3


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("is_unknown", [False, True])
def test_a_server_that_wants_another_client_certificate_is_a_tls_error_that_names_the_settings(
    ours: dict[str, str], other: dict[str, str], version: ssl.TLSVersion, is_unknown: bool
) -> None:
    files = TlsFiles(is_insecure=True)
    if is_unknown:
        files = TlsFiles(client_cert=Path(ours["certfile"]), client_key=Path(ours["keyfile"]), is_insecure=True)
    with serve_members(ours, other, version, files) as client:
        kind, detail = error_of(client)
        assert kind is ErrorKind.TLS
        assert "--client-cert" in detail
        assert "--client-key" in detail


def test_client_files_that_cannot_be_used_are_named(
    ours: dict[str, str], other: dict[str, str], tmp_path: Path
) -> None:
    certificate, key = Path(ours["certfile"]), Path(ours["keyfile"])
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "pkey", "-in", str(key), "-aes256", "-passout", "pass:secret", "-out", str(locked)],
        check=True,
        capture_output=True,
    )
    missing = tmp_path / "missing.pem"
    for files, words in (
        (TlsFiles(client_key=key), "no client certificate"),
        (TlsFiles(client_cert=missing, client_key=key), f"{missing} of --client-cert"),
        (TlsFiles(client_cert=certificate, client_key=missing), f"{missing} of --client-key"),
        (TlsFiles(client_cert=certificate, client_key=Path(other["keyfile"])), "mismatch"),
        (TlsFiles(client_cert=certificate), "cannot be used"),
        (TlsFiles(client_cert=certificate, client_key=locked), "has a password"),
    ):
        with pytest.raises(SettingProblem, match=re.escape(words)) as raised:
            make_tls_context(files)
        assert "--client-cert" in raised.value.action or "--client-key" in raised.value.action


def test_a_ca_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingProblem, match="ca-file"):
        make_tls_context(TlsFiles(ca_file=tmp_path / "missing.pem"))
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(SettingProblem, match="cannot be used"):
        make_tls_context(TlsFiles(ca_file=tmp_path / "empty.pem"))
