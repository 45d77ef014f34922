"""Bytes from the server to one HTTP answer. Pure: pieces in, status and lengths out; no socket, no clock.

`AnswerParser` reads any answer through llhttp (httptools). `HeadMemory` is the short path: a head that llhttp has
read once, byte for byte, needs no second reading. So both agree by construction, and a property test checks it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import httptools

NO_BODY_STATUSES: Final = frozenset({204, 304})
HEAD_END: Final = b"\r\n\r\n"


class AnswerError(Exception):
    """The bytes are not an answer that can be accepted."""


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """What one answer may have at most."""

    head_bytes: int = 64 * 1024
    header_count: int = 128
    body_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Head:
    """A head of the common kind: HTTP/1.1, final, its length said by Content-Length, connection kept."""

    data: bytes
    status: int
    body_bytes: int
    total_bytes: int


class AnswerParser:
    """Reads one answer, fed in pieces of any size. After the final head, informational ones (1xx) are forgotten."""

    __slots__ = (
        "_chunk_count",
        "_content_length",
        "_fed_bytes",
        "_header_count",
        "_is_chunked",
        "_is_complete",
        "_is_excess",
        "_is_keep_alive",
        "_keeps_body",
        "_limits",
        "_parser",
        "_pieces",
        "body_bytes",
        "is_head_complete",
        "status",
        "version",
    )

    def __init__(self, limits: AnswerLimits, *, keeps_body: bool = False) -> None:
        self._limits = limits
        self._keeps_body = keeps_body
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._fed_bytes = 0
        self._chunk_count = 0
        self._is_complete = False
        self._is_excess = False
        self._is_keep_alive = False
        self._begin()

    def _begin(self) -> None:
        self.status = 0
        self.version = ""
        self.body_bytes = 0
        self.is_head_complete = False
        self._header_count = 0
        self._content_length: int | None = None
        self._is_chunked: bool | None = None

    @property
    def is_complete(self) -> bool:
        return self._is_complete

    @property
    def is_keep_alive(self) -> bool:
        """Whether the connection may be used again; known when complete."""
        return self._is_keep_alive

    @property
    def body(self) -> bytes:
        """The body, when it was to be kept."""
        return b"".join(self._pieces)

    @property
    def content_length(self) -> int | None:
        return self._content_length

    @property
    def is_chunked(self) -> bool | None:
        """None without a Transfer-Encoding."""
        return self._is_chunked

    @property
    def ends_with_connection(self) -> bool:
        """Whether only the end of the connection says where the body ends."""
        return (
            self.is_head_complete
            and self.status not in NO_BODY_STATUSES
            and not self._is_chunked
            and (self._content_length is None or self._is_chunked is False)
        )

    def feed(self, piece: bytes | bytearray | memoryview) -> bool:
        """Takes the next piece; True when the answer is complete. Raises AnswerError."""
        view = memoryview(piece)
        # In two steps, because llhttp skips empty lines after an answer in silence: it must end with the last byte.
        if len(view) > 1:
            self._feed(view[:-1])
        self._feed(view[-1:])
        return self._is_complete

    def _feed(self, view: memoryview) -> None:
        if self._is_complete and view:
            raise AnswerError("more bytes than the answer has")
        self._fed_bytes += len(view)
        try:
            self._parser.feed_data(view)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            raise cause if isinstance(cause, AnswerError) else AnswerError("callback failed") from None
        except httptools.HttpParserUpgrade:
            raise AnswerError("the server switches to another protocol") from None
        except httptools.HttpParserError as error:
            if self._is_complete:
                raise AnswerError("more bytes than the answer has") from None
            raise AnswerError(f"not HTTP: {error}") from None
        if self._is_excess:
            raise AnswerError("more bytes than the answer has")
        # Bytes that are no body: heads, chunk sizes and extensions, trailers. An honest chunk size line is short.
        if self._fed_bytes - self.body_bytes - 32 * self._chunk_count > self._limits.head_bytes:
            raise AnswerError("head larger than the limit")

    def feed_end(self) -> None:
        """The server closed the connection. Raises AnswerError unless that is how this answer ends."""
        if self._is_complete:
            return
        if not self.ends_with_connection:
            raise AnswerError("the connection ended inside the answer")
        self._is_complete = True
        self._is_keep_alive = False

    # llhttp calls these

    def on_message_begin(self) -> None:
        if self._is_complete:
            self._is_excess = True
        else:
            self._begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        if self._header_count > self._limits.header_count:
            raise AnswerError("more headers than the limit")
        if self.is_head_complete:  # a trailer says nothing about framing
            return
        key = name.lower()
        if key == b"content-length":
            self._content_length = int(value)
        elif key == b"transfer-encoding":
            self._is_chunked = value.rstrip().lower().endswith(b"chunked")

    def on_headers_complete(self) -> None:
        if self._is_excess:
            return
        self.is_head_complete = True
        self.status = self._parser.get_status_code()
        self.version = self._parser.get_http_version()
        self._is_keep_alive = self._parser.should_keep_alive()
        if self.status < 100:
            raise AnswerError("the status has fewer than three digits")
        if self.status == 101:
            raise AnswerError("the server switches to another protocol")
        if self._content_length is not None and self._content_length > self._limits.body_bytes:
            raise AnswerError("body larger than the limit")

    def on_chunk_header(self) -> None:
        self._chunk_count += 1

    def on_body(self, piece: bytes) -> None:
        if self._is_excess:
            return
        self.body_bytes += len(piece)
        if self.body_bytes > self._limits.body_bytes:
            raise AnswerError("body larger than the limit")
        if self._keeps_body:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        if self._is_excess:
            return
        if self.status < 200:
            self._begin()  # the final answer follows
        else:
            self._is_complete = True


class HeadMemory:
    """Heads that were read before. Servers repeat theirs for a second (Date) or for ever."""

    __slots__ = ("_heads", "_limits", "_max_heads")

    def __init__(self, limits: AnswerLimits, *, max_heads: int = 1024) -> None:
        self._limits = limits
        self._max_heads = max_heads
        self._heads: dict[bytes, Head | None] = {}

    def known(self, data: bytes) -> Head | None:
        """As `recall`, without reading a head that was not seen before."""
        return self._heads.get(data)

    def recall(self, data: bytes) -> Head | None:
        """What `data`, the bytes up to and with the first empty line, says; None when it is not of the common kind.

        None also stands for bytes that are not HTTP: the parser, fed the whole answer, then says why.
        """
        try:
            return self._heads[data]
        except KeyError:
            pass
        if len(self._heads) >= self._max_heads:
            self._heads.clear()
        head = self._heads[data] = read_common_head(data, self._limits)
        return head


def read_common_head(data: bytes, limits: AnswerLimits) -> Head | None:
    """The head in `data` if it is of the common kind and all of `data`."""
    parser = AnswerParser(limits)
    try:
        is_complete = parser.feed(data)
    except AnswerError:
        return None
    if not parser.is_head_complete or parser.status < 200 or parser.version != "1.1" or parser.is_chunked is not None:
        return None
    length = 0 if is_complete else parser.content_length
    if length is None or not parser.is_keep_alive:
        return None
    return Head(data, parser.status, length, len(data) + length)
