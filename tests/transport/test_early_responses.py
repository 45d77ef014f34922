"""Responses that come before the request was sent whole, and what a failure says for itself whatever its framing."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable

import gevent
import pytest

from inference_swarm.transport.connection import Connection
from inference_swarm.transport.deadlines import Deadlines
from inference_swarm.transport.outcome import ErrorKind, Outcome
from tests.transport.scripted_server import CHECK, Peer, request_to, respond_all, run, serve
from tests.transport.test_connection import error_of, one_attempt
from tests.transport.test_tls import ours  # noqa: F401

LARGE = b"x" * 8_000_000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
REFUSAL = b"HTTP/1.1 404 Not Found\r\nContent-Length: 13\r\n\r\nno such model"


def send_large(script: Callable[[Peer], None], **options: object) -> tuple[Outcome, Outcome]:
    """An attempt with a body that the server does not read, and a small one after it on the same `Connection`."""
    with serve(script, **options) as (client, _):

        def use(connection: Connection) -> tuple[Outcome, Outcome]:
            return connection.attempt(request_to(client, LARGE)), connection.attempt(request_to(client))

        outcomes: tuple[Outcome, Outcome] = run(use, client)
        return outcomes


def early(*pieces: bytes, then: Callable[[Peer], object], pause_s: float = 0.01) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        if peer.number:
            respond_all(OK)(peer)
            return
        peer.sock.recv(1000)
        for piece in pieces:
            peer.send(piece)
            take_turns(pause_s)
        then(peer)

    return script


def take_turns(pause_s: float = 0.01) -> None:
    """A pause in which the client reads what has come, even if this process gets no core meanwhile."""
    for _ in range(5):
        gevent.sleep(pause_s / 5)


def half_close(peer: Peer) -> None:
    """At the end of the script all is closed, which is a reset, as not all was read."""
    peer.half_close()
    take_turns()


def stay(peer: Peer) -> None:
    gevent.sleep(0.5)


CUTS = [
    (REFUSAL,),
    (REFUSAL[:10], REFUSAL[10:]),
    (REFUSAL[:-5], REFUSAL[-5:]),
    (b"HTTP/1.1 100 Go on\r\n\r\n", REFUSAL),
]


@pytest.mark.parametrize("pieces", CUTS)
@pytest.mark.parametrize("then", [stay, half_close, Peer.close])
def test_a_response_before_the_request_was_read_is_the_response(
    pieces: tuple[bytes, ...], then: Callable[[Peer], object]
) -> None:
    begin_s = time.monotonic()
    outcome, after = send_large(early(*pieces, then=then), deadlines=Deadlines(5, 3, 3))
    assert error_of(outcome) == (ErrorKind.STATUS, "404 Not Found")
    assert (outcome.status, outcome.body_bytes, outcome.failure_text) == (404, 13, "no such model")
    assert outcome.sent_ns < outcome.first_byte_ns <= outcome.done_ns
    # The rest of the request is not sent, so its connection is of no use any more.
    assert after.error is None
    assert time.monotonic() - begin_s < 2


@pytest.mark.processes
def test_over_tls_too(ours: dict[str, str]) -> None:  # noqa: F811
    from inference_swarm.transport.tls import TlsFiles

    script = early(REFUSAL[:20], REFUSAL[20:], then=stay)
    outcome, after = send_large(script, tls=ours, tls_files=TlsFiles(is_insecure=True))
    assert (outcome.status, after.error) == (404, None)


def test_a_response_that_ends_with_the_connection_may_be_early_too() -> None:
    data = b"HTTP/1.1 413 Content Too Large\r\n\r\ntoo large"
    outcome, after = send_large(early(data, then=half_close))
    assert (outcome.status, outcome.failure_text, after.error) == (413, "too large", None)


def test_a_server_that_answers_in_part_and_reads_on_gets_the_whole_request() -> None:
    def script(peer: Peer) -> None:
        peer.sock.recv(1000)
        peer.send(OK[:-1])
        received = 1000
        while received < len(LARGE):
            received += len(peer.sock.recv(1 << 20))
        peer.send(OK[-1:])
        peer.wait_closed()

    with serve(script) as (client, _):
        outcome = run(lambda connection: connection.attempt(request_to(client, LARGE)), client)
    assert (outcome.error, outcome.status) == (None, 200)


@pytest.mark.parametrize(
    ("then", "piece", "kind"),
    [
        (Peer.close, b"", ErrorKind.SEND),
        (half_close, b"", ErrorKind.SEND),
        (Peer.reset, b"", ErrorKind.SEND),
        (half_close, REFUSAL[:-5], ErrorKind.RECEIVE),
        (Peer.reset, REFUSAL[:-5], ErrorKind.SEND),
        (stay, b"hello\r\n\r\n", ErrorKind.PROTOCOL),
    ],
)
def test_without_a_whole_response_the_attempt_fails(
    then: Callable[[Peer], object], piece: bytes, kind: ErrorKind
) -> None:
    outcome, after = send_large(early(*[piece][: len(piece)], then=then))
    assert outcome.error is not None
    assert outcome.error.kind is kind
    assert (outcome.status, outcome.stale_connections) == (0, 0)
    assert after.error is None


# what a failure says


CHUNKED = b"HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nno such\r\n7\r\n column\r\n0\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 400 No\r\nConnection: close\r\n\r\nno such column"
PACKED = gzip.compress(b"no such column")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 No\r\nContent-Length: 14\r\n\r\nno such column",
        b"HTTP/1.1 400 No\r\nConnection: close\r\nContent-Length: 14\r\n\r\nno such column",
        b"HTTP/1.0 400 No\r\n\r\nno such column",
        CHUNKED,
        UNTIL_CLOSE,
        b"HTTP/1.1 400 No\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(PACKED), PACKED),
        b"HTTP/1.1 400 No\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
        % (len(PACKED), PACKED),
    ],
)
@pytest.mark.parametrize("times", [1, 3])  # read by the parser at first, then by its shape
def test_the_first_words_of_a_failure_are_kept_whatever_its_framing(
    data: bytes, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.send(data)
            if b"close" in data or b"HTTP/1.0" in data:
                return

    with serve(script) as (client, _):
        outcomes = run(lambda c: [c.attempt(request_to(client)) for _ in range(times)], client)
    assert [outcome.failure_text for outcome in outcomes] == ["no such column"] * times
    assert [record.message for record in caplog.records] == [
        "The server under test responded 400 Bad Request: no such column"
    ]


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH-2.0-OpenSSH_9.6"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[0]", "HTTP/1.1 200 OK  Content-Length: 2    [0]"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[0]", "HTTP/1.1 200 OK  Content-Length: 9    [0]"),
        (b"", ""),
    ],
)
def test_what_came_in_the_place_of_a_response_is_kept(data: bytes, words: str, times: int) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(data)

    with serve(script) as (client, _):
        outcomes = run(lambda c: [c.attempt(request_to(client)) for _ in range(times)], client)
    assert [outcome.failure_text for outcome in outcomes] == [words] * times
    assert all(outcome.error is not None for outcome in outcomes)


def test_of_a_long_failure_its_beginning_is_kept() -> None:
    body = b"Traceback " * 100_000
    data = b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    outcome = one_attempt(respond_all(data))
    assert outcome.failure_text == ("Traceback " * 40)[:400]
    assert outcome.body_bytes == 1_000_000


def test_a_success_has_no_failure_text() -> None:
    assert one_attempt(respond_all(OK)).failure_text == ""


# compressed responses


def gzipped(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize("times", [1, 3])
def test_compressed_responses_are_checked_by_what_they_hold(times: int) -> None:
    with serve(respond_all(gzipped(gzip.compress(b'{"predictions":[1]}'))), response_check=CHECK) as (
        client,
        server,
    ):
        outcomes = run(lambda c: [c.attempt(request_to(client)) for _ in range(times)], client)
        assert [outcome.error for outcome in outcomes] == [None] * times
        assert len(server.peers) == 1


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (gzipped(b"no gzip"), "the body in gzip is cut short, damaged or too large"),
        (gzipped(b"x").replace(b"gzip", b"br"), "the body is in br, which is not read"),
        (gzipped(gzip.compress(b"{")), "not JSON"),
    ],
)
def test_a_body_that_cannot_be_read_fails_its_check(data: bytes, detail: str) -> None:
    outcome = one_attempt(respond_all(data), response_check=CHECK)
    assert error_of(outcome) == (ErrorKind.ANSWER, detail)
