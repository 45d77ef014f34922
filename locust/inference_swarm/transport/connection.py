"""One kept-alive connection of one user: attempts in a relay inside the event loop. An edge: sockets, gevent, clock.

What the hot path costs is what this file is about (docs/benchmarks.md has the numbers): plain C sockets, one receive
buffer for the whole process, no record for the common answer, and no greenlet switch.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from time import monotonic_ns
from typing import TYPE_CHECKING

from inference_swarm.transport.exchange import Exchange
from inference_swarm.transport.link import RECEIVE_YOURSELF
from inference_swarm.transport.outcome import ErrorKind, Outcome

if TYPE_CHECKING:
    from inference_swarm.transport.client import InferenceClient

# What wakes a relay that ends, unless it is the number of bytes received.
ALL_NOTED = -1
SEND_REST = -2


class Connection(Exchange):
    """Belongs to the greenlet that made it; only that one may call `exchange` and `relay`."""

    __slots__ = ("_listener_count", "_listeners", "_may_relay", "_take", "is_starved")

    def __init__(self, client: InferenceClient) -> None:
        super().__init__(client)
        self._take: Callable[[], bytes | None] | None = None
        self._listeners: Sized = ()
        self._listener_count = 0
        self._may_relay = False
        self.is_starved = False

    def relay(
        self, take: Callable[[], bytes | None], listeners: Sized, listener_count: int, row_count: int = 1
    ) -> Outcome | None:
        """Exchange after exchange, each noted in the client's log, without waking the greenlet in between.

        Goes on in the hub as long as answers are of the common kind, `end_relay` was not called and there are
        `listener_count` listeners. So `take` may not wait: when it has nothing it says None, and `is_starved` is set;
        what it raises is raised here. Returns None when all was noted, or else the Outcome of the last attempt, which
        is not noted yet.
        """
        client = self._client
        request = take()
        self.is_starved = request is None
        if request is None:
            return None
        if self._socket is None or self._is_stale or client.common_total_bytes < 0 or self._has_idled():
            return self._note(self.exchange(request, 0, row_count))
        self._take = take
        self._listeners = listeners
        self._listener_count = listener_count
        self._may_relay = True
        self._request = request
        self._failing_kind = ErrorKind.SEND
        self.sent_ns = monotonic_ns()
        try:
            self._send_all(self._request)
            self._failing_kind = ErrorKind.RECEIVE
            self._is_waiting = True
            if self._may_relay:  # it may have been ended while the request was sent
                self._watcher.callback = self._relay_on
            count = self._switch()
            self._is_waiting = False
            self.end_relay()  # what is still to come of this answer is read here
            if count == SEND_REST:
                self._send_rest(self._request, self._sent_bytes)
                self._failing_kind = ErrorKind.RECEIVE
                count = self._receive()
            elif count == RECEIVE_YOURSELF:
                count = self._receive()
            elif count == ALL_NOTED:
                return None
            return self._note(self._read_on(count, 0, row_count))
        except BaseException as error:
            if self._failing_kind is None:
                raise
            return self._failed(error, 0)
        finally:
            self._is_waiting = False
            self.end_relay()

    def end_relay(self) -> None:
        """The attempt under way is the last of its relay."""
        self._may_relay = False
        if self._watcher is not None:
            self._watcher.callback = self._on_readable

    def _relay_on(self) -> None:
        """Called in the hub with an answer to be read: the hot path of the closed loop."""
        client = self._client
        buffer = client.buffer
        try:
            count = self._recv_into(buffer)
        except BlockingIOError:
            return
        except BaseException as error:
            self._greenlet.throw(error)
            return
        done_ns = monotonic_ns()
        if count != client.common_total_bytes or not buffer.startswith(client.common_head):
            head = client.recall_expected(count)
            if head is None:
                self.done_ns = done_ns
                self._greenlet.switch(count)
                return
            client.remember_common(head)
        client.note_sent(self.sent_ns)
        client.note_done(done_ns)
        if len(self._listeners) != self._listener_count:
            self._greenlet.switch(ALL_NOTED)
            return
        try:
            request = self._take()  # type: ignore[misc]
        except BaseException as error:
            self._failing_kind = None
            self._greenlet.throw(error)
            return
        if request is None:
            self.is_starved = True
            self._greenlet.switch(ALL_NOTED)
            return
        self._request = request
        self.sent_ns = monotonic_ns()
        try:
            sent_bytes = self._send(request)
            if sent_bytes == len(request):
                return
        except BlockingIOError:
            sent_bytes = 0
        except BaseException as error:
            self._failing_kind = ErrorKind.SEND
            self._greenlet.throw(error)
            return
        self._failing_kind = ErrorKind.SEND
        self._sent_bytes = sent_bytes
        self._greenlet.switch(SEND_REST)

    def _note(self, outcome: Outcome | None) -> Outcome | None:
        if outcome is None:
            self._client.log.add_success(self.sent_ns, self.sent_ns, self.done_ns, self.body_bytes)
        return outcome
