"""A request that is sent in parts, against a stream that does what the test says: who is read first, what counts."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any

import pytest

from inference_swarm.transport.head_shapes import HeadShapes
from inference_swarm.transport.outcome import AttemptError, ErrorKind
from inference_swarm.transport.reading import ResponseReader
from inference_swarm.transport.response import ResponseError, ResponseLimits
from inference_swarm.transport.sending import send_rest

REQUEST = b"x" * 100
RESPONSE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"
UNTIL_CLOSE = b"HTTP/1.1 404 Not Found\r\n\r\nno"
RESET = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
BROKEN = BrokenPipeError(errno.EPIPE, "Broken pipe")


class ScriptedStream:
    """Each receive and each send takes the next of its events: bytes or a count, or what is raised; None: not now."""

    def __init__(self, receives: list[bytes | OSError | None], sends: list[int | OSError | None]) -> None:
        self.buffer = bytearray(65536)
        self.wait = SimpleNamespace(done_ns=5)
        self.sent_bytes = 10
        self.sent: list[bytes] = []
        self._receives, self._sends = list(receives), list(sends)

    def wait_either(self) -> None:
        assert self._receives or self._sends, "waits for ever"

    def receive_now(self) -> int:
        event = self._receives.pop(0) if self._receives else None
        if event is None:
            raise BlockingIOError
        if isinstance(event, OSError):
            raise event
        self.buffer[: len(event)] = event
        return len(event)

    def receive(self) -> int:
        while self._receives[0] is None:
            self._receives.pop(0)
        return self.receive_now()

    def send_more(self, data: memoryview) -> int:
        event = self._sends.pop(0) if self._sends else None
        if isinstance(event, OSError):
            raise event
        count = event or 0
        self.sent.append(bytes(data[:count]))
        self.sent_bytes += count
        return count


def send(stream: ScriptedStream) -> ResponseReader | None:
    shapes = HeadShapes(stream.buffer, ResponseLimits())
    typed: Any = stream
    return send_rest(typed, REQUEST, lambda: ResponseReader(ResponseLimits(), shapes, keeps_body=True))


def test_all_is_sent_in_order_when_nothing_comes() -> None:
    stream = ScriptedStream([None, None, None], [40, None, 50])
    assert send(stream) is None
    assert b"".join(stream.sent) == REQUEST[10:]
    assert stream.sent_bytes == 100


@pytest.mark.parametrize(
    "receives", [[RESPONSE], [None, RESPONSE[:7], RESPONSE[7:]], [bytes([byte]) for byte in RESPONSE]]
)
def test_a_whole_response_ends_the_sending(receives: list[bytes | OSError | None]) -> None:
    stream = ScriptedStream(receives, [1])
    reader = send(stream)
    assert reader is not None
    assert reader.response().status == 404
    assert stream.sent_bytes < 100


def test_a_response_that_has_only_begun_is_handed_over_with_the_request_sent() -> None:
    stream = ScriptedStream([RESPONSE[:30], None], [40, 50])
    reader = send(stream)
    assert reader is not None
    assert (reader.is_complete, reader.received_bytes, stream.sent_bytes) == (False, 30, 100)


@pytest.mark.parametrize("error", [RESET, BROKEN])
@pytest.mark.parametrize(
    "receives", [[None, RESPONSE], [RESPONSE[:9], RESPONSE[9:]], [None, None, RESPONSE[:9], RESPONSE[9:]]]
)
def test_what_arrived_before_the_server_refused_the_rest_is_read(
    error: OSError, receives: list[bytes | OSError | None]
) -> None:
    reader = send(ScriptedStream(receives, [error]))
    assert reader is not None
    assert (reader.response().status, reader.response().body) == (404, b"no")


def test_a_response_that_ends_with_the_connection_may_follow_a_refusal() -> None:
    reader = send(ScriptedStream([None, UNTIL_CLOSE, b""], [BROKEN]))
    assert reader is not None
    assert reader.response().body == b"no"


@pytest.mark.parametrize("receives", [[None, RESET], [None, b""], [None, RESPONSE[:9], RESET], [RESPONSE[:9], b""]])
def test_without_a_whole_response_it_is_the_refusal_that_counts(receives: list[bytes | OSError | None]) -> None:
    with pytest.raises(BrokenPipeError):
        send(ScriptedStream(receives, [BROKEN]))


def test_a_close_without_a_response_says_that_the_request_was_not_read() -> None:
    with pytest.raises(AttemptError) as raised:
        send(ScriptedStream([b""], []))
    assert raised.value.kind is ErrorKind.SEND
    assert raised.value.detail == "closed by the server before it had read the request"


def test_a_close_inside_the_response_is_one_of_receiving() -> None:
    with pytest.raises(AttemptError) as raised:
        send(ScriptedStream([RESPONSE[:9], b""], [None]))
    assert raised.value.kind is ErrorKind.RECEIVE


def test_a_close_may_be_the_end_of_a_response() -> None:
    reader = send(ScriptedStream([UNTIL_CLOSE, b""], [None]))
    assert reader is not None
    assert reader.is_complete


def test_what_is_no_response_is_refused() -> None:
    with pytest.raises(ResponseError):
        send(ScriptedStream([b"hello\r\n\r\n"], []))
