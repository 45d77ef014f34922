"""Reads a response from a stream, of any kind and in any number of pieces."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from inference_swarm.transport.body import KEPT_FOR_TEXT_BYTES
from inference_swarm.transport.head_shapes import HEAD_END, HeadShapes, may_be_reused
from inference_swarm.transport.response import ResponseLimits, ResponseParser


@dataclass(slots=True)
class Response:
    """A whole response. `body` is as it was sent and may be cut short unless all of it was asked for."""

    status: int
    body: bytes
    content_encoding: str
    body_bytes: int
    received_bytes: int
    is_reusable: bool
    """Whether another request may go out on this connection."""


class ResponseReader:
    """One response. `feed` it with what was received into the buffer of `shapes`."""

    __slots__ = ("_parser", "_shapes", "first_byte_ns", "received_bytes")

    def __init__(self, limits: ResponseLimits, shapes: HeadShapes, *, keeps_body: bool) -> None:
        self._shapes = shapes
        self._parser = ResponseParser(limits, max_kept_bytes=sys.maxsize if keeps_body else KEPT_FOR_TEXT_BYTES)
        self.first_byte_ns = 0
        self.received_bytes = 0

    @property
    def is_complete(self) -> bool:
        return self._parser.is_complete

    def feed(self, count: int, now_ns: int) -> bool:
        """Take the first `count` bytes of the buffer; True when the response is complete. Raises ResponseError."""
        if not self.received_bytes:
            self.first_byte_ns = now_ns
            end = self._shapes.buffer.find(HEAD_END, 0, count)
            if end >= 0:
                self._shapes.learn(bytes(self._shapes.view[: end + len(HEAD_END)]))
        self.received_bytes += count
        return self._parser.feed(self._shapes.view[:count])

    def feed_end(self) -> bool:
        """The server has closed; returns whether that is how the response ends."""
        if not self._parser.ends_with_connection:
            return False
        self._parser.feed_end()
        return True

    def response(self) -> Response:
        parser = self._parser
        return Response(
            parser.status,
            parser.body,
            parser.content_encoding,
            parser.body_bytes,
            self.received_bytes,
            may_be_reused(parser.status, is_keep_alive=parser.is_keep_alive, says_keep_alive=parser.says_keep_alive),
        )


def read_known(shapes: HeadShapes, count: int) -> Response | None:
    """The response in the first `count` bytes of the buffer, if it is whole and of a known shape."""
    body_bytes = shapes.match(count)
    shape = shapes.shape
    if body_bytes < 0 or shape is None:
        return None
    return Response(
        shape.status,
        bytes(shapes.view[shapes.head_bytes : count]),
        shape.content_encoding,
        body_bytes,
        count,
        shape.is_reusable,
    )
