"""Known shapes of heads: what they accept the parser reads alike, whatever the values in between are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.transport.head_shapes import (
    HEAD_END,
    LEARN_EVERY,
    MAX_LEARNED_AT_ONCE,
    MAX_SHAPES,
    HeadShapes,
    read_shape,
)
from inference_swarm.transport.response import ResponseError, ResponseLimits, ResponseParser
from tests.transport.test_response import BAD, GOOD

LIMITS = ResponseLimits(head_bytes=2048, header_count=20, body_bytes=10_000)
HEAD = b"HTTP/1.1 200 OK\r\nDate: Sun\r\nX-Request-Id: 17\r\nContent-Length: 2\r\n\r\n"


def matched(shapes: HeadShapes, data: bytes) -> int:
    shapes.buffer[: len(data)] = data
    return shapes.match(len(data))


def known(*heads: bytes, fast: frozenset[int] = frozenset({200})) -> HeadShapes:
    shapes = HeadShapes(bytearray(65536), LIMITS, fast)
    for head in heads:
        shapes.learn(head)
    return shapes


def parsed(data: bytes) -> tuple[bool, int, bytes, bool]:
    parser = ResponseParser(LIMITS)
    parser.feed(data)
    return parser.is_complete, parser.status, parser.body, parser.is_keep_alive


def with_values(date: bytes, request_id: bytes, length: bytes, body: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nDate:" + date + b"\r\nX-Request-Id:" + request_id
        + b"\r\nContent-Length: " + length + HEAD_END + body
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "body_bytes"),
    [
        (HEAD + b"ok", 2),
        (with_values(b" Mon", b" 18", b"2", b"ok"), 2),
        (with_values(b"", b" a-much-longer-one;\t\xe4", b"11", b"hello there"), 11),
        (with_values(b" Mon", b" 18", b"0", b""), 0),
        (with_values(b" Mon", b" 18", b"2", b"o"), -1),  # not all of it is there
        (with_values(b" Mon", b" 18", b"2", b"ok!"), -1),
        (with_values(b" Mon", b" 18", b"10001", b"x" * 10_001), -1),  # over the limit
        (with_values(b" Mon", b" " + b"x" * 3000, b"2", b"ok"), -1),
        (with_values(b" Mon", b" 1\r\nConnection: close", b"2", b"ok"), -1),
        (with_values(b" Mon", b" 1\r\n folded", b"2", b"ok"), -1),
        (with_values(b" Mon", b" \x00", b"2", b"ok"), -1),
        (HEAD.replace(b"200 OK", b"500 No") + b"ok", -1),
        (HEAD.replace(b"200 OK", b"200 Yes") + b"ok", -1),
        (HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + b"ok", -1),
        (HEAD.replace(b"Date", b"Data") + b"ok", -1),
        (HEAD.replace(b"Content-Length: 2", b"Content-Length: +2") + b"ok", -1),
        (HEAD.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked") + b"ok", -1),
    ],
)
def test_values_may_change_and_nothing_else(data: bytes, body_bytes: int) -> None:
    assert matched(known(HEAD), data) == body_bytes
    if body_bytes >= 0:
        assert parsed(data) == (True, 200, data[-body_bytes:] if body_bytes else b"", True)


def test_bytes_behind_the_response_that_are_left_from_an_earlier_one_are_not_read() -> None:
    shapes = known(HEAD)
    assert matched(shapes, HEAD + b"ok") == 2
    for cut in range(1, len(HEAD) + 2):
        assert shapes.match(cut) == -1


@pytest.mark.parametrize("line", [b"Connection: keep-alive", b"Keep-Alive: timeout=5", b"Content-Encoding: gzip"])
def test_what_is_said_about_connection_and_body_must_be_the_same(line: bytes) -> None:
    head = HEAD[:-2] + line + b"\r\n\r\n"
    shapes = known(head)
    assert matched(shapes, head + b"ok") == 2
    assert matched(shapes, head.replace(line, line + b"x") + b"ok") == -1


@pytest.mark.parametrize("name", GOOD)
def test_a_shape_of_a_good_response_says_what_the_parser_says(name: str) -> None:
    data, _, status, body, is_kept = GOOD[name]
    head = data[: data.find(HEAD_END) + 4]
    is_common = is_kept and data.startswith(b"HTTP/1.1") and b"chunked" not in data and b" 10" not in data
    assert (read_shape(head, LIMITS) is not None) == is_common
    shapes = known(head)
    if is_common:
        assert matched(shapes, data) == len(body)
        assert shapes.shape is not None
        assert shapes.shape.status == status
    else:
        assert matched(shapes, data) == -1


@pytest.mark.parametrize("name", BAD)
def test_no_bad_response_is_accepted(name: str) -> None:
    data = BAD[name]
    assert matched(known(data[: data.find(HEAD_END) + 4]), data[:65536]) == -1
    assert matched(known(HEAD, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), data[:65536]) == -1


header_line = st.sampled_from(
    [
        b"Content-Length: 2",
        b"Content-Length: 0",
        b"Content-Length: 02",
        b"content-length:2 ",
        b"Content-Length: 2, 2",
        b"Connection: close",
        b"Connection: keep-alive",
        b"Connection: Upgrade",
        b"Upgrade: h2c",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        b"X-A: b",
        b"X-A: content-length: 7",
        b" folded",
        b"No colon",
        b"Server: nginx",
    ]
)
some_head = st.builds(
    lambda version, status, lines: b"\r\n".join([version + b" " + status, *lines]) + HEAD_END,
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"http/1.1"]),
    st.sampled_from([b"200 OK", b"204 No", b"304 N", b"500 E", b"100 C", b"199 X", b"2000 Q", b"20"]),
    st.lists(header_line, max_size=4),
)


@settings(max_examples=500)
@given(
    learned=some_head,
    seen=some_head,
    is_same=st.booleans(),
    value=st.binary(max_size=6),
    body=st.sampled_from([b"", b"o", b"ok", b"ok!", b"2\r\nok\r\n0\r\n\r\n"]),
)
def test_whatever_a_shape_accepts_the_parser_reads_alike(
    learned: bytes, seen: bytes, is_same: bool, value: bytes, body: bytes
) -> None:
    data = (learned if is_same else seen).replace(b"nginx", value).replace(b"b\r", value + b"\r") + body
    shapes = known(learned)
    body_bytes = matched(shapes, data)
    if body_bytes < 0:
        return
    assert shapes.shape is not None
    assert parsed(data) == (True, shapes.shape.status, data[shapes.head_bytes :], True)
    assert shapes.head_bytes + body_bytes == len(data)


def test_only_expected_statuses_on_connections_that_stay_are_fast() -> None:
    error = HEAD.replace(b"200 OK", b"503 No")
    staying_error = error[:-2] + b"Connection: keep-alive\r\n\r\n"
    shapes = known(HEAD, error, staying_error, fast=frozenset({200, 503}))
    for head, is_fast in ((HEAD, True), (error, False), (staying_error, True)):
        data = head + b"ok"
        shapes.buffer[: len(data)] = data
        assert (shapes.match_fast(len(data)) == 2) == is_fast
    assert known(HEAD, fast=frozenset()).match_fast(len(HEAD) + 2) == -1


def test_the_head_that_is_compared_by_the_byte_follows_and_its_body_length_is_told() -> None:
    lengths: list[int] = []
    shapes = HeadShapes(bytearray(65536), LIMITS, frozenset({200}), on_body_length=lengths.append)
    shapes.learn(HEAD)
    for second in range(100):
        body = b"x" * (3 if second < 50 else 4)
        data = with_values(b" %d" % second, b" 1", b"%d" % len(body), body)
        shapes.buffer[: len(data)] = data
        assert shapes.match_fast(len(data)) == len(body)
    assert shapes.head.startswith(b"HTTP/1.1 200 OK\r\nDate: 9")
    assert (shapes.total_bytes, shapes.body_bytes) == (len(shapes.head) + 4, 4)
    assert lengths == [3, 4]


def test_shapes_that_are_not_seen_any_more_make_room_and_new_ones_are_rarely_made() -> None:
    shapes = known(HEAD)
    for number in range(MAX_LEARNED_AT_ONCE * 2):
        assert matched(shapes, HEAD + b"ok") == 2
        shapes.learn(b"HTTP/1.1 200 OK\r\nX-%d: y\r\nContent-Length: 2\r\n\r\n" % number)
    assert len(shapes._shapes) == MAX_SHAPES
    assert matched(shapes, HEAD + b"ok") == 2
    late = HEAD.replace(b"Date", b"When")
    for _ in range(LEARN_EVERY):
        shapes.learn(late)
    assert matched(shapes, late + b"ok") == 2


def test_a_refusal_of_the_parser_is_no_shape() -> None:
    with pytest.raises(ResponseError):
        parsed(b"hello\r\n\r\n")
    assert read_shape(b"hello\r\n\r\n", LIMITS) is None
    assert read_shape(b"HTTP/1.1 200 OK\r\nContent-Length", LIMITS) is None


def test_behind_a_mesh_the_first_response_is_parsed_and_all_others_match() -> None:
    """C10 of the cases: what `throughput --tools ours,changing-heads` (docs/benchmarks.md) measures in time."""
    shapes = known()
    parsed_ones = 0
    for number in range(1000):
        head = (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n"
            b"x-request-id: %032x\r\ndate: Thu, 26 Nov 2026 18:%02d:%02d GMT\r\n"
            b"x-envoy-upstream-service-time: %d\r\nserver: istio-envoy\r\n\r\n"
            % (number * 7919, number // 60 % 60, number % 60, number % 250)
        )
        if matched(shapes, head + b"ok") == -1:
            parsed_ones += 1
            shapes.learn(head)
    assert parsed_ones == 1
