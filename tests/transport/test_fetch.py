"""One request outside of a load."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from inference_swarm.errors import TargetError
from inference_swarm.transport.client import InferenceClient
from inference_swarm.transport.deadlines import Deadlines
from inference_swarm.transport.fetch import Fetched, fetch
from tests.transport.scripted_server import Peer, serve


def respond(data: bytes, heads: list[bytes] | None = None) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        request = peer.read_request()
        if heads is not None:
            heads.append(request)
        peer.send(data)
        peer.wait_closed()

    return script


def fetched(client: InferenceClient, *arguments: Any, **options: Any) -> Fetched:
    result: Fetched = gevent.spawn(fetch, client, *arguments, **options).get(timeout=5)
    return result


def test_the_request_is_as_asked_and_the_response_whole_whatever_its_status() -> None:
    requests: list[bytes] = []
    answer = b'HTTP/1.1 404 Not Found\r\nContent-Length: 16\r\n\r\n{"error":"none"}'
    with serve(respond(answer, requests), expected_status=frozenset({200})) as (client, _):
        got = fetched(client, "GET", "/v2/models/m?x=1", headers={"Authorization": "Bearer t"})
        assert got == Fetched(404, b'{"error":"none"}')
        assert client.counters.attempts == 0
    head = requests[0].decode().split("\r\n")
    assert head[0] == "GET /v2/models/m?x=1 HTTP/1.1"
    assert "Authorization: Bearer t" in head
    assert "Content-Length: 0" in head


def test_a_body_is_sent_and_what_comes_is_decompressed() -> None:
    requests: list[bytes] = []
    body = gzip.compress(b'{"ready":true}')
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with serve(respond(answer, requests)) as (client, _):
        assert fetched(client, "POST", "/ask", b'{"a":1}') == Fetched(200, b'{"ready":true}')
    assert requests[0].endswith(b"Content-Length: 7\r\n\r\n" + b'{"a":1}')


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (Peer.read_request, "receive: closed by the server before it responded"),
        (respond(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno"), "cut short, damaged"),
        (respond(b"no HTTP\r\n\r\n"), "protocol: not HTTP"),
    ],
)
def test_without_a_whole_response_the_reason_is_told(script: Callable[[Peer], None], words: str) -> None:
    with serve(script) as (client, server), pytest.raises(TargetError, match=words) as caught:
        fetched(client, "GET", "/ready")
    assert f"There is no response to GET {server.url}/ready" in str(caught.value)


def test_a_shorter_limit_holds_for_the_whole_request() -> None:
    with (
        serve(Peer.wait_closed, deadlines=Deadlines()) as (client, _),
        pytest.raises(TargetError, match=r"within 0\.2 s"),
    ):
        fetched(client, "GET", "/ready", timeout_s=0.2)
