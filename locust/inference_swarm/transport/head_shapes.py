"""Responses of a known shape, recognised without parsing them. Pure: the receive buffer in, lengths out.

A shape is the head of a response that llhttp has read, with the values left open that say nothing about where the
response ends: dates, request ids, timings. Only the value of Content-Length is read; status line, names, their order
and everything about the connection must be the same. So a shape accepts nothing that llhttp would read differently,
and a property test checks that. What is the same byte for byte needs not even that (`head`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from inference_swarm.transport.response import NO_BODY_STATUSES, ResponseError, ResponseLimits, ResponseParser

HEAD_END: Final = b"\r\n\r\n"
MAX_SHAPES: Final = 8
# Making one costs as much as twenty parsed heads, which must not be paid for each when even their names change: after
# this many, only for every Nth head of an unknown shape.
MAX_LEARNED_AT_ONCE: Final = 64
LEARN_EVERY: Final = 256
# How often a head of a known shape becomes the one that is compared byte for byte: soon enough when only the second
# of a Date has changed, seldom enough when every head is another one.
_REMEMBER_EVERY: Final = 8
_FIRST_SERVER_ERROR: Final = 500
_FIXED: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"upgrade", b"trailer", b"content-encoding"}
)
# Possessive, so that a head that does not fit is found out in one pass.
_ANY_VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]*+"


@dataclass(frozen=True, slots=True)
class HeadShape:
    """A head of the common kind: HTTP/1.1, final, its length given by Content-Length, connection kept."""

    pattern: re.Pattern[bytes]
    status: int
    has_length: bool
    content_encoding: str
    is_reusable: bool
    is_fast: bool


def may_be_reused(status: int, *, is_keep_alive: bool, says_keep_alive: bool) -> bool:
    """Return whether another request may go out on a connection after a response.

    Servers built on Starlette close after an exception without having said so in their 500.
    """
    return is_keep_alive and (status < _FIRST_SERVER_ERROR or says_keep_alive)


def read_shape(
    head: bytes, limits: ResponseLimits, fast_statuses: frozenset[int] = frozenset(), *, are_bodies_read: bool = False
) -> HeadShape | None:
    """The shape of a head, which ends with its empty line; None when it is not of the common kind.

    `are_bodies_read`: a response with a Content-Encoding is none of the fast ones.
    """
    parser = ResponseParser(limits)
    try:
        is_complete = parser.feed(head)
    except ResponseError:
        return None
    if not parser.is_head_complete or parser.status < 200 or parser.version != "1.1" or parser.is_chunked is not None:
        return None
    if not parser.is_keep_alive or (parser.content_length is None and not is_complete):
        return None
    has_length = parser.status not in NO_BODY_STATUSES
    pattern = _pattern(head, has_length)
    match = pattern.fullmatch(head) if pattern else None
    if pattern is None or match is None or (has_length and int(match[1]) != parser.content_length):
        return None
    is_reusable = may_be_reused(parser.status, is_keep_alive=True, says_keep_alive=parser.says_keep_alive)
    is_fast = is_reusable and parser.status in fast_statuses and not (are_bodies_read and parser.content_encoding)
    return HeadShape(pattern, parser.status, has_length, parser.content_encoding, is_reusable, is_fast)


def _pattern(head: bytes, has_length: bool) -> re.Pattern[bytes] | None:
    status_line, *lines = head.removesuffix(HEAD_END).split(b"\r\n")
    parts = [re.escape(status_line)]
    for line in lines:
        name, colon, _ = line.partition(b":")
        if not colon or name[:1] in b" \t":  # llhttp took it, but which value it belongs to is not plain to see
            return None
        key = name.lower()
        if key in _FIXED or (key == b"content-length" and not has_length):
            parts.append(re.escape(line))
        elif key == b"content-length":
            parts.append(re.escape(name) + rb":[ ]?([0-9]{1,9})")
        else:
            parts.append(re.escape(name) + b":" + _ANY_VALUE)
    return re.compile(b"\r\n".join(parts) + re.escape(HEAD_END))


class HeadShapes:
    """The shapes of one server, and the last head of the fast ones byte for byte.

    The fast path compares `total_bytes` and `head` itself; `match` is for what differs. Both are about the response
    that begins at the start of `buffer`.
    """

    __slots__ = (
        "_are_bodies_read",
        "_fast_statuses",
        "_limits",
        "_misses",
        "_on_body_length",
        "_shapes",
        "_unknown_count",
        "body_bytes",
        "buffer",
        "head",
        "head_bytes",
        "shape",
        "status",
        "total_bytes",
        "view",
    )

    def __init__(
        self,
        buffer: bytearray,
        limits: ResponseLimits,
        fast_statuses: frozenset[int] = frozenset(),
        *,
        are_bodies_read: bool = False,
        on_body_length: Callable[[int], None] = lambda body_bytes: None,
    ) -> None:
        """`fast_statuses` are those of responses that need no second look; `are_bodies_read`: as they are on the wire.

        `on_body_length` is called when the responses that `head` matches have another `body_bytes` than before.
        """
        self._fast_statuses = fast_statuses
        self._are_bodies_read = are_bodies_read
        self._on_body_length = on_body_length
        self.buffer = buffer
        self.view = memoryview(buffer)
        self._limits = limits
        self._shapes: list[HeadShape] = []
        self._unknown_count = 0
        self._misses = 0
        self.head = b""
        self.total_bytes = -1
        self.status = 0
        self.body_bytes = 0
        self.shape: HeadShape | None = None
        """The shape of the response that was last matched."""
        self.head_bytes = 0
        """The length of its head."""

    def match(self, count: int) -> int:
        """The length of the body if the first `count` bytes of the buffer are a response of a known shape, or -1."""
        for shape in self._shapes:
            match = shape.pattern.match(self.buffer, 0, count)
            if match is None:
                continue
            end = match.end()
            body_bytes = int(match[1]) if shape.has_length else 0
            if end + body_bytes != count or end > self._limits.head_bytes or body_bytes > self._limits.body_bytes:
                return -1
            if shape is not self._shapes[0]:
                self._shapes.remove(shape)
                self._shapes.insert(0, shape)
            self.shape = shape
            self.head_bytes = end
            return body_bytes
        return -1

    def match_fast(self, count: int) -> int:
        """Match as `match` does, for responses that need no check; now and then the next head is kept byte for byte."""
        body_bytes = self.match(count)
        if body_bytes < 0 or not self.shape.is_fast:  # type: ignore[union-attr]
            return -1
        self._misses += 1
        if self.total_bytes < 0 or self._misses % _REMEMBER_EVERY == 0:
            self.head = bytes(self.view[: self.head_bytes])
            self.total_bytes = count
            self.status = self.shape.status  # type: ignore[union-attr]
            if body_bytes != self.body_bytes:
                self.body_bytes = body_bytes
                self._on_body_length(body_bytes)
        return body_bytes

    @property
    def is_primed(self) -> bool:
        """Whether a fast response has been seen, so that there is a head to compare with."""
        return self.total_bytes >= 0

    def prime(self, count: int) -> None:
        """Called after the parser has read the response in the first `count` bytes of the buffer."""
        if self.total_bytes < 0:
            self.match_fast(count)

    def learn(self, head: bytes) -> None:
        """Adds the shape of a head that the parser reads, if it is of the common kind."""
        if any(shape.pattern.fullmatch(head) for shape in self._shapes):
            return
        self._unknown_count += 1
        if self._unknown_count > MAX_LEARNED_AT_ONCE and self._unknown_count % LEARN_EVERY:
            return
        shape = read_shape(head, self._limits, self._fast_statuses, are_bodies_read=self._are_bodies_read)
        if shape is not None:
            del self._shapes[MAX_SHAPES - 1 :]  # the one that was not seen for longest
            self._shapes.append(shape)
