"""The answer parser: every answer whole, byte by byte and at every split, through the short path and the full one."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.transport.answer import (
    HEAD_END,
    AnswerError,
    AnswerLimits,
    AnswerParser,
    HeadMemory,
    read_common_head,
)

LIMITS = AnswerLimits(head_bytes=2048, header_count=20, body_bytes=10_000)
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
    "two answers": 2 * (OK + b"Content-Length: 2\r\n\r\nok"),
    "a long head": OK + b"X: " + b"y" * 2048 + b"\r\n\r\n",
    "an endless head": OK + b"X: " + b"y" * 4096,
    "many headers": OK + b"X: y\r\n" * 21 + b"\r\n",
    "endless chunk extension": OK + b"Transfer-Encoding: chunked\r\n\r\n2;" + b"x" * 4096,
    "many trailers": OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 21,
}


def feed_all(pieces: list[bytes], *, is_end: bool) -> AnswerParser:
    parser = AnswerParser(LIMITS, keeps_body=True)
    for piece in pieces:
        parser.feed(piece)
    if is_end:
        parser.feed_end()
    return parser


def summary(parser: AnswerParser) -> tuple[bool, int, bytes, bool]:
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
def test_bad_answers_are_refused_whole_and_byte_by_byte(name: str) -> None:
    data = BAD[name]
    with pytest.raises(AnswerError):
        feed_all([data], is_end=False)
    with pytest.raises(AnswerError):
        feed_all([bytes([byte]) for byte in data], is_end=False)


@pytest.mark.parametrize("name", [name for name in GOOD if not GOOD[name][1]])
def test_an_answer_cut_short_is_not_complete_and_its_end_an_error(name: str) -> None:
    data = GOOD[name][0]
    for cut in range(1, len(data)):
        parser = AnswerParser(LIMITS)
        assert not parser.feed(data[:cut])
        with pytest.raises(AnswerError):
            parser.feed_end()


@pytest.mark.parametrize("name", GOOD)
def test_a_common_head_says_what_the_parser_says(name: str) -> None:
    data, _, status, body, is_kept = GOOD[name]
    head = read_common_head(data[: data.find(HEAD_END) + 4], LIMITS)
    is_common = is_kept and data.startswith(b"HTTP/1.1") and b"chunked" not in data and b" 10" not in data
    assert (head is not None) == is_common
    if head is not None:
        assert (head.status, head.body_bytes, head.total_bytes) == (status, len(body), len(data))


@pytest.mark.parametrize("name", BAD)
def test_no_bad_head_is_common_unless_only_the_body_is_bad(name: str) -> None:
    data = BAD[name]
    head = read_common_head(data[: data.find(HEAD_END) + 4], LIMITS)
    assert head is None or len(data) != head.total_bytes


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
        b" folded",
        b"No colon",
        b"Server: nginx",
    ]
)


@settings(max_examples=400)
@given(
    status=st.sampled_from([b"200 OK", b"204 No", b"304 N", b"500 E", b"100 C", b"199 X", b"2000 Q", b"20"]),
    version=st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"http/1.1"]),
    lines=st.lists(header_line, max_size=4),
    body=st.sampled_from([b"", b"o", b"ok", b"ok!", b"2\r\nok\r\n0\r\n\r\n"]),
)
def test_whatever_the_short_path_accepts_the_full_parser_reads_alike(
    status: bytes, version: bytes, lines: list[bytes], body: bytes
) -> None:
    head_data = b"\r\n".join([version + b" " + status, *lines]) + HEAD_END
    memory = HeadMemory(LIMITS)
    for _ in range(2):  # read, then remembered
        head = memory.recall(head_data)
        if head is None:
            continue
        data = head_data + body
        if len(data) == head.total_bytes:
            assert summary(feed_all([data], is_end=False)) == (True, head.status, body, True)
        elif len(data) > head.total_bytes:
            with pytest.raises(AnswerError):
                feed_all([data], is_end=False)
        else:
            assert not feed_all([data], is_end=False).is_complete


@settings(max_examples=300)
@given(
    name=st.sampled_from(sorted(GOOD)),
    cuts=st.lists(st.integers(0, 200), max_size=8),
    flips=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=3),
)
def test_damaged_answers_read_the_same_at_every_split_or_are_refused(
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
        except AnswerError:
            return "refused"

    assert read(pieces) == read([bytes(data)])


def test_memory_forgets_when_every_head_is_new() -> None:
    memory = HeadMemory(LIMITS, max_heads=10)
    for number in range(100):
        head = memory.recall(OK + b"X-Id: %d\r\nContent-Length: 2\r\n\r\n" % number)
        assert head is not None
        assert len(memory._heads) <= 10
