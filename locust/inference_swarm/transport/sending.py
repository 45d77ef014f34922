"""A request that the socket takes only in parts, and the response that may come before all of it was sent. An edge.

A server may respond before it has read the request, with a 404 or a 413, say, and may not read the rest at all.
"""

from __future__ import annotations

from collections.abc import Callable

from inference_swarm.transport.outcome import AttemptError, ErrorKind
from inference_swarm.transport.reading import ResponseReader
from inference_swarm.transport.stream import Stream

CLOSED_INSIDE = "closed by the server inside the response"


def send_rest(stream: Stream, request: bytes, make_reader: Callable[[], ResponseReader]) -> ResponseReader | None:
    """Send the rest of the request while reading what arrives.

    Returns the reader of a response that has begun, None if all was sent before that. If the response is complete
    (`is_complete` of the reader) the request may not be. Raises AttemptError, OSError, ResponseError.
    """
    view = memoryview(request)
    reader: ResponseReader | None = None
    while stream.sent_bytes < len(request):
        stream.wait_either()
        try:
            count = stream.receive_now()
            if count:
                reader = reader or make_reader()
                if reader.feed(count, stream.wait.done_ns):
                    return reader
            elif reader is None or not reader.feed_end():
                raise AttemptError(ErrorKind.SEND if reader is None else ErrorKind.RECEIVE, _closed(reader))
            else:
                return reader
        except BlockingIOError:
            pass
        try:
            stream.send_more(view[stream.sent_bytes :])
        except OSError as error:
            return _read_what_came(stream, reader or make_reader(), error)
    return reader


def _read_what_came(stream: Stream, reader: ResponseReader, error: OSError) -> ResponseReader:
    """The whole response that arrived before the server refused the rest of the request; without one raises `error`."""
    while not reader.is_complete:
        try:
            count = stream.receive()
        except OSError:
            raise error from None
        if count:
            reader.feed(count, stream.wait.done_ns)
        elif not reader.feed_end():
            raise error
    return reader


def _closed(reader: ResponseReader | None) -> str:
    return CLOSED_INSIDE if reader else "closed by the server before it had read the request"
