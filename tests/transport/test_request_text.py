"""A request is shown whole and without secrets, and the command repeats exactly its bytes."""

from __future__ import annotations

import subprocess

import pytest

from inference_swarm.transport.request_text import show_request
from inference_swarm.transport.target import parse_headers, parse_target, request_heads

pytestmark = pytest.mark.processes  # a shell

# Stands for curl: prints its arguments and what it was given to read, so that quoting is a shell's own business.
STUB = """curl() { for a in "$@"; do printf '%s\\n--\\n' "$a"; done; case "$*" in *@-) cat;; esac; }
"""


def request(body: bytes, headers: str = "") -> bytes:
    target = parse_target("https://models.test:8443/x", "/invocation?model=a%26b%27c")
    return request_heads(target, parse_headers(headers))(len(body)) + body


def arguments(command: str, **environment: str) -> list[str]:
    done = subprocess.run(["sh", "-c", STUB + command], env=environment, capture_output=True, check=True)
    return done.stdout.decode("utf-8", "surrogateescape").split("\n--\n")


def test_the_text_has_method_path_headers_and_body() -> None:
    shown = show_request(request('{"a":"é"}'.encode()), "https")
    assert shown.text.splitlines() == [
        "POST /x/invocation?model=a%26b%27c HTTP/1.1",
        "Host: models.test:8443",
        "User-Agent: inference-swarm",
        "Accept: application/json",
        "Content-Type: application/json",
        "Content-Length: 10",
        "",
        '{"a":"é"}',
    ]


@pytest.mark.parametrize("body", ['{"a":1}', """{"a":"it's \\"$HOME\\" `x` \\\\ !"}""", "@file", "", "é\n€"])
def test_the_command_sends_the_same_bytes_whatever_is_in_them(body: str) -> None:
    shown = show_request(request(body.encode()), "https", curl_options=["--cacert", "/my ca.pem"])
    *head, flag, data, _ = arguments(shown.curl)
    assert (flag, data) == ("--data-raw", body)
    assert head == [
        "-X", "POST", "https://models.test:8443/x/invocation?model=a%26b%27c", "--cacert", "/my ca.pem",
        "-H", "User-Agent: inference-swarm", "-H", "Accept: application/json", "-H", "Content-Type: application/json",
    ]  # fmt: skip


@pytest.mark.parametrize("body", [bytes(range(256)), b'{"a":1}\x00'])
def test_a_body_that_is_no_text_goes_through_a_pipe(body: bytes) -> None:
    shown = show_request(request(body), "http")
    assert f"({len(body)} bytes that are not text)" in shown.text
    *_, flag, data, sent = arguments(shown.curl, PATH="/usr/bin:/bin")
    assert (flag, data, sent.encode("utf-8", "surrogateescape")) == ("--data-binary", "@-", body)


def test_secret_headers_are_shown_by_name_and_taken_from_the_environment() -> None:
    shown = show_request(
        request(b"{}", "Authorization: Bearer SECRET\nX-Api-Key: SECRET"), "http", ["authorization", "X-API-KEY"]
    )
    assert "SECRET" not in shown.text + shown.curl
    assert {"Authorization: …", "X-Api-Key: …"} < set(shown.text.splitlines())
    assert {"Authorization: Bearer t", "X-Api-Key: k"} < set(
        arguments(shown.curl, AUTHORIZATION="Bearer t", X_API_KEY="k")
    )
