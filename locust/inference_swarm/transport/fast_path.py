"""Attempt after attempt inside the event loop, without waking the user in between. An edge: gevent and the clock.

This module keeps the cost of an attempt low (docs/benchmarks.md has the numbers): plain C sockets, one receive
buffer for the whole process, no record for a response of a known shape, and no greenlet switch.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sized
from time import monotonic_ns
from typing import Final

from inference_swarm.transport.check import AnswerChecks
from inference_swarm.transport.head_shapes import HeadShapes
from inference_swarm.transport.stream import RECEIVE_YOURSELF, Stream

# Why a run on the fast path ended, unless it is the number of bytes that were received.
ALL_NOTED: Final = -1
SENT_IN_PART: Final = -2
__all__ = ["ALL_NOTED", "RECEIVE_YOURSELF", "SENT_IN_PART", "FastPath"]


class FastPath:
    """The fast path of one open stream. `run` goes on as long as everything is as expected."""

    __slots__ = (
        "_answers",
        "_asked",
        "_greenlet",
        "_is_running",
        "_lane",
        "_listener_count",
        "_listeners",
        "_note_done",
        "_note_sent",
        "_recv_into",
        "_send",
        "_shapes",
        "_take",
        "_wait",
        "is_in_flight",
        "is_sent",
        "is_starved",
        "request",
        "stream",
    )

    def __init__(self, stream: Stream, shapes: HeadShapes, answers: AnswerChecks | None = None) -> None:
        self.stream = stream
        self._answers = answers
        self._asked: Container[int] | None = None if answers is None else answers.asked
        self._shapes = shapes
        self._wait = stream.wait
        self._greenlet = stream.wait.greenlet
        self._send = stream.send
        self._recv_into = stream.recv_into
        self._lane = stream.lane
        self._note_sent = stream.lane.sent_ns.append
        self._note_done = stream.lane.done_ns.append
        self._take: Callable[[], bytes | None] = lambda: None
        self._listeners: Sized = ()
        self._listener_count = 0
        self._is_running = False
        self.request = b""
        """The request under way."""
        self.is_in_flight = False
        """Whether it was sent, or partly, and has no outcome yet."""
        self.is_sent = False
        """Whether it was sent whole."""
        self.is_starved = False
        """Whether the run ended because there was no other request."""

    def run(self, request: bytes, take: Callable[[], bytes | None], listeners: Sized, listener_count: int) -> int:
        """Send `request` and, as long as all is as expected, what `take` returns, noting each attempt in the lane.

        Returns ALL_NOTED when all of them are noted; otherwise `request` is under way and what has come of it is
        returned. Raises what `take` raises, with `is_in_flight` false, and everything that ends an attempt.
        """
        stream = self.stream
        self._take = take
        self._listeners = listeners
        self._listener_count = listener_count
        self.request = request
        self.is_starved = False
        self.is_in_flight = self._is_running = True
        self.is_sent = False
        try:
            self._wait.sent_ns = monotonic_ns()
            self.is_sent = stream.begin_send(request) == len(request)
            if not self.is_sent:
                return SENT_IN_PART
            if self._is_running:  # it may have been ended while the request was sent
                stream.call_when_readable(self._go_on)
            count: int = stream.wait_for_response()
        finally:
            self.end()  # what is still to come of this response is received by the user
            if self.is_sent:
                stream.sent_bytes = len(self.request)
        return count

    def end(self) -> None:
        """The attempt under way is the last of its run."""
        if self._is_running:
            self._is_running = False
            self.stream.call_when_readable(None)

    def _go_on(self) -> None:
        """Called in the hub with a response to be read: the hot path of the closed loop."""
        shapes, buffer = self._shapes, self._shapes.buffer
        try:
            count = self._recv_into(buffer)
        except BlockingIOError:
            return
        except BaseException as error:
            self._greenlet.throw(error)
            return
        done_ns, wait = monotonic_ns(), self._wait
        is_asked = self._asked is not None and id(self.request) in self._asked
        if count != shapes.total_bytes or not buffer.startswith(shapes.head):
            body_bytes = shapes.match_fast(count)
            if body_bytes < 0 or (is_asked and not self._is_right(shapes.head_bytes, count, done_ns)):
                self._hand_over(count, done_ns)
                return
            self._lane.body_bytes += body_bytes - shapes.body_bytes
        elif is_asked and not self._is_right(len(shapes.head), count, done_ns):
            self._hand_over(count, done_ns)
            return
        self._note_sent(wait.sent_ns)
        self._note_done(done_ns)
        if len(self._listeners) != self._listener_count:
            self._stop_noted(done_ns)
            return
        try:
            request = self._take()
        except BaseException as error:
            self.is_in_flight = False
            wait.done_ns = done_ns
            self._greenlet.throw(error)
            return
        if request is None:
            self._stop_noted(done_ns, is_starved=True)
            return
        self.request = request
        wait.sent_ns = monotonic_ns()
        try:
            sent_bytes = self._send(request)
            if sent_bytes == len(request):
                return
        except BlockingIOError:
            sent_bytes = 0
        except BaseException as error:
            self.is_sent = False
            self.stream.sent_bytes = 0
            self._greenlet.throw(error)
            return
        self._stop_sent_in_part(sent_bytes)

    def _is_right(self, head_bytes: int, count: int, done_ns: int) -> bool:
        """Look at the answer, which somebody asks for; what is wrong with it is found out by the user."""
        assert self._answers is not None
        body = bytes(self._shapes.view[head_bytes:count])
        try:
            return self._answers.accepts(self.request, body, self._wait.sent_ns, done_ns)
        except Exception:  # it is looked at again by the user, and raises there: the event loop has nobody to tell
            return False

    def _hand_over(self, count: int, done_ns: int) -> None:
        self._wait.done_ns = done_ns
        self._greenlet.switch(count)

    def _stop_sent_in_part(self, sent_bytes: int) -> None:
        self.is_sent = False
        self.stream.sent_bytes = sent_bytes
        self._greenlet.switch(SENT_IN_PART)

    def _stop_noted(self, done_ns: int, *, is_starved: bool = False) -> None:
        self.is_starved = is_starved
        self.is_in_flight = False
        self._wait.done_ns = done_ns
        self._greenlet.switch(ALL_NOTED)
