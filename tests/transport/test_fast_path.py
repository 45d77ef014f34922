"""The fast path, step by step, on a stream that does what the test says: when it goes on and when it wakes the user."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from inference_swarm.transport.check import AnswerChecks
from inference_swarm.transport.fast_path import ALL_NOTED, SENT_IN_PART, FastPath
from inference_swarm.transport.head_shapes import HeadShapes
from inference_swarm.transport.outcome_log import OutcomeLog
from inference_swarm.transport.response import ResponseLimits

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
OK = HEAD + b"[]"


class Woken(Exception):
    """The user's greenlet goes on with `value`, or with an error."""

    def __init__(self, value: object) -> None:
        super().__init__(value)
        self.value = value


class FakeStream:
    """Each receive takes the next of `receives`, each send of `sends`; both may be errors."""

    def __init__(self, receives: list[bytes | Exception], sends: list[int | Exception], log: OutcomeLog) -> None:
        self.buffer = bytearray(65536)
        self.lane = log.lane("a:1")
        self.sent_bytes = 0
        self.callback: Callable[[], None] | None = None
        self._receives, self._sends = receives, sends
        self.wait = SimpleNamespace(sent_ns=0, done_ns=0, greenlet=SimpleNamespace(switch=self._wake, throw=self._wake))

    def _wake(self, value: object) -> None:
        raise Woken(value)

    def send(self, data: bytes) -> int:
        event = self._sends.pop(0)
        if isinstance(event, Exception):
            raise event
        return min(event, len(data))

    def begin_send(self, data: bytes) -> int:
        self.sent_bytes = self.send(data)
        return self.sent_bytes

    def recv_into(self, buffer: bytearray) -> int:
        event = self._receives.pop(0)
        if isinstance(event, Exception):
            raise event
        buffer[: len(event)] = event
        return len(event)

    def call_when_readable(self, callback: Callable[[], None] | None) -> None:
        self.callback = callback

    def wait_for_response(self) -> object:
        """The event loop: calls whoever is to be called until somebody wakes the user."""
        try:
            while self.callback is not None:
                self.callback()
        except Woken as woken:
            if isinstance(woken.value, Exception):
                raise woken.value from None
            return woken.value
        return -3


class Case:
    """A fast path that knows responses like OK, and requests named by their number."""

    def __init__(
        self,
        receives: list[bytes | Exception],
        sends: list[int | Exception],
        rows: int = 99,
        answers: AnswerChecks | None = None,
    ) -> None:
        self.log = OutcomeLog()
        self.stream = FakeStream(receives, sends, self.log)
        self.shapes = HeadShapes(
            self.stream.buffer, ResponseLimits(), frozenset({200}), on_body_length=self.log.set_common_body
        )
        self.shapes.learn(HEAD)
        self.stream.buffer[: len(OK)] = OK
        self.shapes.prime(len(OK))
        stream: Any = self.stream
        self.path = FastPath(stream, self.shapes, answers)
        self.listeners: list[int] = []
        self.rows = rows
        self.taken = 0

    def take(self) -> bytes | None:
        self.taken += 1
        return b"request %03d" % self.taken if self.taken <= self.rows else None

    def run(self) -> int:
        first = self.take()
        assert first is not None
        return self.path.run(first, self.take, self.listeners, 0)


def test_attempts_go_on_until_there_is_no_row_and_all_are_noted() -> None:
    case = Case([OK] * 5, [99] * 5, rows=5)
    assert case.run() == ALL_NOTED
    assert (case.path.is_starved, case.path.is_in_flight) == (True, False)
    batch = case.log.take_batch()
    assert (batch.success_count, batch.body_bytes) == (5, 10)
    assert (batch.latency_ns >= 0).all()
    assert case.stream.wait.done_ns == batch.done_ns[-1]


def test_a_readiness_without_bytes_is_waited_out() -> None:
    case = Case([BlockingIOError(), OK, BlockingIOError(), OK], [99] * 2, rows=2)
    assert case.run() == ALL_NOTED
    assert case.log.take_batch().success_count == 2


def test_bodies_of_other_lengths_are_counted_exactly() -> None:
    others = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (length, b"x" * length) for length in range(30)]
    case = Case(list(others), [99] * 30, rows=30)
    assert case.run() == ALL_NOTED
    assert case.log.take_batch().body_bytes == sum(range(30))


@pytest.mark.parametrize("other", [b"", OK[:-1], OK + b"!", OK.replace(b"200", b"503"), b"HTTP/1.1 204 No\r\n\r\n"])
def test_what_is_not_as_expected_is_handed_over_with_its_request(other: bytes) -> None:
    case = Case([OK, other], [99] * 2)
    assert case.run() == len(other)
    assert case.path.request == b"request 002"
    assert (case.path.is_in_flight, case.path.is_sent) == (True, True)
    assert case.stream.sent_bytes == len(b"request 002")
    assert case.stream.wait.done_ns >= case.stream.wait.sent_ns > 0
    assert case.log.take_batch().success_count == 1


def test_a_listener_ends_it_after_the_attempt_under_way() -> None:
    case = Case([OK] * 3, [99] * 3)
    inner = case.stream.recv_into

    def receive(buffer: bytearray) -> int:
        if case.taken == 2:
            case.listeners.append(1)
        return inner(buffer)

    case.path._recv_into = receive
    assert case.run() == ALL_NOTED
    assert (case.taken, case.path.is_starved, case.log.take_batch().success_count) == (2, False, 2)


def test_an_error_of_take_comes_out_with_nothing_in_flight() -> None:
    case = Case([OK], [99])
    case.taken = 1

    def take() -> bytes:
        raise LookupError("odd row")

    with pytest.raises(LookupError):
        case.path.run(b"request 001", take, (), 0)
    assert not case.path.is_in_flight
    assert case.log.take_batch().success_count == 1


@pytest.mark.parametrize(("sends", "sent_bytes"), [([99, 4], 4), ([99, BlockingIOError()], 0)])
def test_a_request_that_is_sent_in_part_is_handed_over(sends: list[int | Exception], sent_bytes: int) -> None:
    case = Case([OK], sends)
    assert case.run() == SENT_IN_PART
    assert (case.path.request, case.path.is_sent, case.path.is_in_flight) == (b"request 002", False, True)
    assert case.stream.sent_bytes == sent_bytes


def test_the_first_request_may_be_sent_in_part_as_well() -> None:
    case = Case([], [3])
    assert case.run() == SENT_IN_PART
    assert (case.path.request, case.path.is_sent, case.stream.sent_bytes) == (b"request 001", False, 3)


def test_errors_come_out_with_what_was_sent_by_then() -> None:
    case = Case([OK], [99, ConnectionResetError()])
    with pytest.raises(ConnectionResetError):
        case.run()
    assert (case.path.is_in_flight, case.path.is_sent, case.stream.sent_bytes) == (True, False, 0)
    case = Case([OK, ConnectionResetError()], [99, 99])
    with pytest.raises(ConnectionResetError):
        case.run()
    assert (case.path.is_in_flight, case.path.is_sent, case.stream.sent_bytes) == (True, True, 11)


def test_when_it_was_ended_the_response_is_left_to_the_user() -> None:
    case = Case([OK] * 9, [99] * 9)
    inner = case.stream.begin_send

    def begin_send(data: bytes) -> int:
        case.path.end()
        return inner(data)

    case.stream.begin_send = begin_send  # type: ignore[method-assign]
    assert case.run() == -3
    assert (case.path.is_in_flight, case.log.take_batch().success_count) == (True, 0)
    case.path.end()  # once more does nothing
    assert case.stream.callback is None
