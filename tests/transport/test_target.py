"""The target: which hosts are accepted, what goes on the wire, what a mistake is told."""

from __future__ import annotations

import pytest

from inference_swarm.errors import SettingProblem
from inference_swarm.transport.target import beside_requests, parse_headers, parse_target, request_heads, target_of
from tests.apis.sent_bodies import settings_of


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("http://model", "http://model/invocation"),
        ("http://model/", "http://model/invocation"),
        ("HTTP://Model:80", "http://model/invocation"),
        ("https://model:443/", "https://model/invocation"),
        ("https://model:8443", "https://model:8443/invocation"),
        ("http://10.0.0.7:8080/v2/", "http://10.0.0.7:8080/v2/invocation"),
        ("http://model/invocation", "http://model/invocation"),
        ("http://[::1]:8080", "http://[::1]:8080/invocation"),
        ("http://model_server.my-ns.svc.cluster.local.", "http://model_server.my-ns.svc.cluster.local./invocation"),
        ("http://bücher.example", "http://xn--bcher-kva.example/invocation"),
        (" http://model ", "http://model/invocation"),
    ],
)
def test_accepted_hosts(host: str, url: str) -> None:
    assert parse_target(host).url == url


@pytest.mark.parametrize(
    ("host", "part"),
    [
        (None, "No host is set"),
        ("", "No host is set"),
        ("   ", "No host is set"),
        ("model:8080", "has no scheme"),
        ("localhost", "has no scheme"),
        ("ftp://model", "has the scheme 'ftp'"),
        ("http://", "names no valid host"),
        ("http://a b", "names no valid host"),
        ("http://-model", "names no valid host"),
        ("http://model:99999", "is not a URL"),
        ("http://model:x", "is not a URL"),
        ("http://model:0", "has the port 0"),
        ("http://[::1", "is not a URL"),
        ("http://model#x", "has a fragment"),
        ("http://a\r\nX: y", "holds control characters"),
    ],
)
def test_refused_hosts_say_why_and_what_to_do(host: str | None, part: str) -> None:
    with pytest.raises(SettingProblem) as caught:
        parse_target(host)
    assert part in caught.value.found
    assert "http://model-server:8080" in caught.value.expected
    assert caught.value.action


def test_credentials_in_the_host_are_refused_and_not_repeated() -> None:
    with pytest.raises(SettingProblem) as caught:
        parse_target("http://user:secret@model")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "path", "target"),
    [
        ("http://m", "/invocation?model=a%26b", "/invocation?model=a%26b"),
        ("http://m/serving-endpoints/churn", "/invocations", "/serving-endpoints/churn/invocations"),
        ("http://m/x/invocations/", "/invocations", "/x/invocations"),
        ("http://m/score?code=a%2Bb&v=1", "/score", "/score?code=a%2Bb&v=1"),
        ("http://m?key=1", "/invocation?model=x", "/invocation?key=1&model=x"),
        ("http://m/é", "/modèle?q=ü", "/%C3%A9/mod%C3%A8le?q=%C3%BC"),
        # what needs no escape is sent as it was given, whatever stands beside it
        ("http://m/é?k=1+2 3", "/v1/models/a%2Fb:predict?t=1;2", "/%C3%A9/v1/models/a%2Fb:predict?k=1+2%203&t=1;2"),
        ("http://m", "/a b/@c(1)?when=2024-01-01T00:00+01:00 x", "/a%20b/@c(1)?when=2024-01-01T00:00+01:00%20x"),
    ],
)
def test_the_hosts_path_is_a_prefix_and_its_query_is_kept(host: str, path: str, target: str) -> None:
    parsed = parse_target(host, path)
    assert parsed.path == target
    assert parsed.name == target.partition("?")[0]


@pytest.mark.parametrize("path", ["/x#part", "/x?key=secret#part"])
def test_a_path_with_a_fragment_is_refused_as_no_server_would_see_it(path: str) -> None:
    with pytest.raises(SettingProblem, match=r"The path '/x' or its query has a #.*\n.*\n.*%23") as caught:
        parse_target("http://m", path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("prefix", ["/é", "/a b", "/plain"])
def test_other_paths_of_the_server_lie_beside_that_of_requests_and_not_below_it(prefix: str) -> None:
    settings = settings_of(host=f"http://m{prefix}?key=1", api="tf-serving", model="churn")
    requests, escaped = target_of(settings).path, prefix.replace("é", "%C3%A9").replace(" ", "%20")
    assert requests == f"{escaped}/v1/models/churn:predict?key=1"
    assert beside_requests(settings, "/v1/models/churn") == f"{escaped}/v1/models/churn?key=1"


def test_heads_byte_for_byte() -> None:
    head_of = request_heads(parse_target("http://m:81", "/invocation?model=lgbm"))
    common = (
        b"POST /invocation?model=lgbm HTTP/1.1\r\nHost: m:81\r\nUser-Agent: inference-swarm\r\n"
        b"Accept: application/json\r\nContent-Type: application/json\r\n"
    )
    assert head_of(7) == common + b"Content-Length: 7\r\n\r\n"
    assert head_of(0) == common + b"Content-Length: 0\r\n\r\n"


def test_own_headers_come_in_and_replace_ours_whatever_their_case() -> None:
    head_of = request_heads(
        parse_target("http://m"), parse_headers("authorization: Bearer x\nHOST:other\naccept:  a/b ")
    )
    assert head_of(12).split(b"\r\n")[1:] == [
        b"Host: other",
        b"User-Agent: inference-swarm",
        b"Accept: a/b",
        b"Content-Type: application/json",
        b"authorization: Bearer x",
        b"Content-Length: 12",
        b"",
        b"",
    ]


@pytest.mark.parametrize(
    "line",
    [
        ": x",
        "a b: x",
        "ä: x",
        "X: \x00",
        "X: €",
        "Content-Length: 5",
        "transfer-encoding: chunked",
        "Connection: close",
        "no colon",
        "X: secret\nx: secret",
    ],
)
def test_headers_that_would_break_the_request_are_refused_without_their_values(line: str) -> None:
    with pytest.raises(SettingProblem) as raised:
        parse_headers(f"{line}\nAuthorization: secret")
    assert "--header" in str(raised.value)
    assert "secret" not in str(raised.value)
