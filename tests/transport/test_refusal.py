"""Why a run is refused after the response to one row, in words that fit what was there."""

from __future__ import annotations

import pytest

from inference_swarm.transport.refusal import no_http

URL = "http://127.0.0.1:1/invocation"


@pytest.mark.parametrize(
    ("words", "found", "action"),
    [
        ("not HTTP: Expected HTTP/", "with what is no HTTP response (not HTTP: Expected HTTP/)", "http or https"),
        ("body larger than the limit", "the response to one row is too large (body larger", "check --host and --path"),
        ("head larger than the limit", "the response to one row is too large (head larger", "check --host and --path"),
    ],
)
def test_what_is_no_response_and_what_is_too_large_a_one_are_told_apart(words: str, found: str, action: str) -> None:
    said = str(no_http(words, "HTTP/1.1 200 OK", URL))
    assert found in said
    assert f"POST {URL}: HTTP/1.1 200 OK" in said
    assert action in said
