"""Bytes from the server to one HTTP response. Pure: pieces in, status and lengths out; no socket, no clock.

`ResponseParser` reads any response through llhttp (httptools).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

import httptools

NO_BODY_STATUSES: Final = frozenset({204, 304})
TOO_LARGE: Final = "larger than the limit"
HEAD_END: Final = b"\r\n\r\n"


class ResponseError(Exception):
    """The bytes are not a response that can be accepted."""


@dataclass(frozen=True, slots=True)
class ResponseLimits:
    """The limits of one response."""

    head_bytes: int = 64 * 1024
    header_count: int = 128
    body_bytes: int = 64 * 1024 * 1024


class ResponseParser:
    """Reads one response, fed in pieces of any size. After the final head, informational ones (1xx) are forgotten."""

    __slots__ = (
        "_chunk_count",
        "_content_encoding",
        "_content_length",
        "_fed_bytes",
        "_header_count",
        "_is_chunked",
        "_is_complete",
        "_is_excess",
        "_is_keep_alive",
        "_kept_bytes",
        "_limits",
        "_max_kept_bytes",
        "_parser",
        "_pieces",
        "_says_keep_alive",
        "body_bytes",
        "is_head_complete",
        "status",
        "version",
    )

    def __init__(self, limits: ResponseLimits, *, max_kept_bytes: int = sys.maxsize) -> None:
        """Of the body at most its first `max_kept_bytes` are kept, rounded up to whole pieces."""
        self._limits = limits
        self._max_kept_bytes = max_kept_bytes
        self._kept_bytes = 0
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
        self._content_encoding = ""
        self._is_chunked: bool | None = None
        self._says_keep_alive = False

    @property
    def is_complete(self) -> bool:
        return self._is_complete

    @property
    def is_keep_alive(self) -> bool:
        """Whether the connection may be used again; known when the head is complete, unless the body has no length."""
        return self._is_keep_alive

    @property
    def body(self) -> bytes:
        """The kept part of the body, as it was sent."""
        return b"".join(self._pieces)

    @property
    def content_encoding(self) -> str:
        """The Content-Encoding of the body, in lower case; "" for none."""
        return self._content_encoding

    @property
    def says_keep_alive(self) -> bool:
        """Whether the server itself says so, in a Connection or Keep-Alive header; HTTP/1.1 has it as the default."""
        return self._says_keep_alive

    @property
    def content_length(self) -> int | None:
        return self._content_length

    @property
    def is_chunked(self) -> bool | None:
        """Whether the body is chunked; None without a Transfer-Encoding."""
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
        """Take the next piece; True when the response is complete. Raises ResponseError."""
        view = memoryview(piece)
        # In two steps, because llhttp skips empty lines after a response in silence: it must end with the last byte.
        if len(view) > 1:
            self._feed(view[:-1])
        self._feed(view[-1:])
        return self._is_complete

    def _feed(self, view: memoryview) -> None:
        if self._is_complete and view:
            raise ResponseError("more bytes than the response has")
        self._fed_bytes += len(view)
        try:
            self._parser.feed_data(view)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            raise cause if isinstance(cause, ResponseError) else ResponseError("callback failed") from None
        except httptools.HttpParserUpgrade:
            raise ResponseError("the server switches to another protocol") from None
        except httptools.HttpParserError as error:
            if self._is_complete:
                raise ResponseError("more bytes than the response has") from None
            raise ResponseError(f"not HTTP: {error}") from None
        if self._is_excess:
            raise ResponseError("more bytes than the response has")
        # Bytes that are not body: heads, chunk sizes and extensions, trailers. An honest chunk size line is short.
        if self._fed_bytes - self.body_bytes - 32 * self._chunk_count > self._limits.head_bytes:
            raise ResponseError(f"head {TOO_LARGE}")

    def feed_end(self) -> None:
        """The server closed the connection. Raises ResponseError unless that is how this response ends."""
        if self._is_complete:
            return
        if not self.ends_with_connection:
            raise ResponseError("the connection ended inside the response")
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
            raise ResponseError("more headers than the limit")
        if self.is_head_complete:  # a trailer says nothing about framing
            return
        key = name.lower()
        if key == b"content-length":
            self._content_length = int(value)
        elif key == b"transfer-encoding":
            self._is_chunked = value.rstrip().lower().endswith(b"chunked")
        elif key == b"content-encoding":
            self._content_encoding = value.decode("latin-1").strip().lower()
        elif key == b"keep-alive" or (key == b"connection" and b"keep-alive" in value.lower()):
            self._says_keep_alive = True

    def on_headers_complete(self) -> None:
        if self._is_excess:
            return
        self.is_head_complete = True
        self.status = self._parser.get_status_code()
        self.version = self._parser.get_http_version()
        self._is_keep_alive = self._parser.should_keep_alive()
        if self.status < 100:
            raise ResponseError("the status has fewer than three digits")
        if self.status == 101:
            raise ResponseError("the server switches to another protocol")
        if self._content_length is not None and self._content_length > self._limits.body_bytes:
            raise ResponseError(f"body {TOO_LARGE}")

    def on_chunk_header(self) -> None:
        self._chunk_count += 1

    def on_body(self, piece: bytes) -> None:
        if self._is_excess:
            return
        self.body_bytes += len(piece)
        if self.body_bytes > self._limits.body_bytes:
            raise ResponseError(f"body {TOO_LARGE}")
        if self._kept_bytes < self._max_kept_bytes:
            self._pieces.append(piece)
            self._kept_bytes += len(piece)

    def on_message_complete(self) -> None:
        if self._is_excess:
            return
        if self.status < 200:
            self._begin()  # the final response follows
        else:
            self._is_complete = True
