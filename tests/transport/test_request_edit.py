"""Another path, headers and body for a prepared request."""

from __future__ import annotations

import pytest

from inference_swarm.errors import SettingProblem
from inference_swarm.transport.request_edit import body_of, edited, with_headers

REQUEST = (
    b"POST /invocation?model=a HTTP/1.1\r\nHost: h:1\r\nAccept: application/json\r\nAuthorization: old\r\n"
    b'Content-Length: 7\r\n\r\n{"a":1}'
)


def test_the_body_is_what_follows_the_head() -> None:
    assert body_of(REQUEST) == b'{"a":1}'
    assert body_of(b"POST / HTTP/1.1\r\n\r\na\r\n\r\nb") == b"a\r\n\r\nb"


def test_without_changes_only_body_and_length_differ() -> None:
    assert edited(REQUEST, b"xy") == (
        b"POST /invocation?model=a HTTP/1.1\r\nHost: h:1\r\nAccept: application/json\r\nAuthorization: old\r\n"
        b"Content-Length: 2\r\n\r\nxy"
    )


def test_path_and_headers_replace_those_of_the_run_whatever_their_case() -> None:
    assert edited(REQUEST, b"", path="/b?m=2", headers={"authorization": "new", "X-Id": "7"}) == (
        b"POST /b?m=2 HTTP/1.1\r\nHost: h:1\r\nAccept: application/json\r\nauthorization: new\r\nX-Id: 7\r\n"
        b"Content-Length: 0\r\n\r\n"
    )


@pytest.mark.parametrize("headers", [{"Content-Length": "1"}, {"Bad Name": "x"}, {"A": "b\x00c"}])
def test_headers_that_frame_or_break_a_message_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(SettingProblem):
        edited(REQUEST, b"", headers=headers)


def test_a_value_with_a_line_end_cannot_add_a_header() -> None:
    with pytest.raises(SettingProblem):
        edited(REQUEST, b"", headers={"A": "b\r\nX-Other: c"})


def test_a_path_with_a_blank_or_a_line_end_cannot_add_anything() -> None:
    with pytest.raises(SettingProblem, match="path"):
        edited(REQUEST, b"", path="/a b")
    with pytest.raises(SettingProblem, match="path"):
        edited(REQUEST, b"", path="/a\r\nX: y")


def test_headers_come_behind_the_first_line() -> None:
    request = b"POST /x HTTP/1.1\r\nHost: y\r\n\r\nbody\r\n"
    assert with_headers(request, {"traceparent": "00-1"}) == (
        b"POST /x HTTP/1.1\r\ntraceparent: 00-1\r\nHost: y\r\n\r\nbody\r\n"
    )
    assert with_headers(request, {}) == request
