"""Every response whole, byte by byte and at every split, through the short path and the full one."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.transport.response import ResponseError, ResponseLimits, ResponseParser

LIMITS = ResponseLimits(head_bytes=2048, header_count=20, body_bytes=10_000)
OK = b"HTTP/1.1 200 OK\r\n"

# bytes, whether the connection ends after them, status, body, whether the connection is kept
GOOD = {
    "length": (OK + b"Content-Length: 2\r\n\r\nok", False, 200, b"ok", True),
    "empty body": (OK + b"Content-Length: 0\r\n\r\n", False, 200, b"", True),
    "close": (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok", False, 200, b"ok", False),
    "until close": (OK + b"\r\nabc", True, 200, b"abc", False),
    "chunked": (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1;x=y\r\n!\r\n0\r\n\r\n", False, 200, b"ok!", True),
    "trailer": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 9\r\n\r\n",
        False,
        200,
        b"ok",
        True,
    ),
    "100 first": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok", False, 200, b"ok", True),
    "103 with headers first": (
        b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok",
        False,
        200,
        b"ok",
        True,
    ),
    "1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False, 200, b"ok", False),
    "1.0 kept": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        False,
        200,
        b"ok",
        True,
    ),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", False, 204, b"", True),
    "304 with the length of what it spares": (
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        False,
        304,
        b"",
        True,
    ),
    "error status": (b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno", False, 503, b"no", True),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", False, 200, b"ok", True),
    "other coding": (OK + b"Transfer-Encoding: gzip\r\n\r\nzz", True, 200, b"zz", False),
    "case": (OK + b"cOnTeNt-LeNgTh: 2\r\n\r\nok", False, 200, b"ok", True),
}
BAD = {
    "not HTTP": b"hello, who is there?\r\n\r\n",
    "HTTP/2": b"HTTP/2 200 OK\r\n\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "length and chunked": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
    "negative length": OK + b"Content-Length: -2\r\n\r\nok",
    "length too large for any integer": OK + b"Content-Length: 99999999999999999999999\r\n\r\nok",
    "length over the limit": OK + b"Content-Length: 10001\r\n\r\n",
    "chunked over the limit": OK + b"Transfer-Encoding: chunked\r\n\r\n2711\r\n" + b"x" * 10_001,
    "bad chunk size": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nok",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "switch of protocols": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "status of two digits": b"HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nok",
    "more than the length": OK + b"Content-Length: 2\r\n\r\nok!",
    "an empty line more": OK + b"Content-Length: 2\r\n\r\nok\r\n",
    "two responses": 2 * (OK + b"Content-Length: 2\r\n\r\nok"),
    "a long head": OK + b"X: " + b"y" * 2048 + b"\r\n\r\n",
    "an endless head": OK + b"X: " + b"y" * 4096,
    "many headers": OK + b"X: y\r\n" * 21 + b"\r\n",
    "endless chunk extension": OK + b"Transfer-Encoding: chunked\r\n\r\n2;" + b"x" * 4096,
    "many trailers": OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 21,
}


def feed_all(pieces: list[bytes], *, is_end: bool) -> ResponseParser:
    parser = ResponseParser(LIMITS)
    for piece in pieces:
        parser.feed(piece)
    if is_end:
        parser.feed_end()
    return parser


def summary(parser: ResponseParser) -> tuple[bool, int, bytes, bool]:
    return parser.is_complete, parser.status, parser.body, parser.is_keep_alive


@pytest.mark.parametrize("name", GOOD)
def test_every_split_into_two_and_byte_by_byte_read_the_same(name: str) -> None:
    data, is_end, status, body, is_kept = GOOD[name]
    expected = (True, status, body, is_kept)
    for cut in range(len(data) + 1):
        pieces = [piece for piece in (data[:cut], data[cut:]) if piece]
        assert summary(feed_all(pieces, is_end=is_end)) == expected
    assert summary(feed_all([bytes([byte]) for byte in data], is_end=is_end)) == expected


@pytest.mark.parametrize("name", BAD)
def test_bad_responses_are_refused_whole_and_byte_by_byte(name: str) -> None:
    data = BAD[name]
    with pytest.raises(ResponseError):
        feed_all([data], is_end=False)
    with pytest.raises(ResponseError):
        feed_all([bytes([byte]) for byte in data], is_end=False)


@pytest.mark.parametrize("name", [name for name in GOOD if not GOOD[name][1]])
def test_a_response_cut_short_is_not_complete_and_its_end_an_error(name: str) -> None:
    data = GOOD[name][0]
    for cut in range(1, len(data)):
        parser = ResponseParser(LIMITS)
        assert not parser.feed(data[:cut])
        with pytest.raises(ResponseError):
            parser.feed_end()


@settings(max_examples=300)
@given(
    name=st.sampled_from(sorted(GOOD)),
    cuts=st.lists(st.integers(0, 200), max_size=8),
    flips=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=3),
)
def test_damaged_responses_read_the_same_at_every_split_or_are_refused(
    name: str, cuts: list[int], flips: list[tuple[int, int]]
) -> None:
    data = bytearray(GOOD[name][0])
    for index, byte in flips:
        data[index % len(data)] = byte
    bounds = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    pieces = [bytes(data[a:b]) for a, b in itertools.pairwise(bounds)]

    def read(parts: list[bytes]) -> object:
        try:
            return summary(feed_all(parts, is_end=False))
        except ResponseError:
            return "refused"

    assert read(pieces) == read([bytes(data)])
