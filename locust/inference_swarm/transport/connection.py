"""The connection of one user: opened when it is needed, used for one attempt after the other. An edge.

An attempt is an attempt: nothing is sent twice, except a request that provably nothing has read, because the server had
closed its idle connection (`tcp_info`). That is done once for an attempt, and counted.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Sized
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from inference_swarm.transport.attempt import (
    ABANDONED,
    CLOSED_UNANSWERED,
    Attempt,
    describe_failure,
    judge_response,
)
from inference_swarm.transport.deadlines import DeadlineExceeded, Wait
from inference_swarm.transport.fast_path import ALL_NOTED, RECEIVE_YOURSELF, SENT_IN_PART, FastPath
from inference_swarm.transport.outcome import AttemptError, ErrorKind, Outcome
from inference_swarm.transport.reading import Response, ResponseReader, read_known
from inference_swarm.transport.sending import CLOSED_INSIDE, send_rest
from inference_swarm.transport.stream import Stream
from inference_swarm.transport.tcp_info import Delivery

if TYPE_CHECKING:
    from inference_swarm.transport.client import InferenceClient

IDLE_NS: Final = 1_000_000_000
FIRST_PAUSE_S: Final = 0.05
MAX_PAUSE_S: Final = 1.0
MAX_CONNECTS_PER_S: Final = 200.0
"""Of the users of a process whose last connection could not be made, all together, once they have begun to pause."""
MAX_SHARED_PAUSE_S: Final = 10.0
_NS_PER_S: Final = 1_000_000_000


class ClosedUnansweredError(AttemptError):
    """The server closed the connection after, or while, the request was sent, and nothing came before that."""

    def __init__(self) -> None:
        super().__init__(ErrorKind.RECEIVE, CLOSED_UNANSWERED)


class Connection:
    """Belongs to the greenlet that made it; only that one may call anything but `end_fast_path`."""

    __slots__ = ("_client", "_failed_opens", "_fast_path", "_has_been_open", "_stream", "_wait", "is_starved")

    def __init__(self, client: InferenceClient) -> None:
        self._client = client
        self._wait = Wait(client.rules.deadlines.request_s)
        self._stream: Stream | None = None
        self._fast_path: FastPath | None = None
        self._has_been_open = False
        self._failed_opens = 0
        self.is_starved = False
        """Whether `attempt_repeatedly` ended because there was no request."""
        client.timeout_scan.add(self._wait)

    @property
    def is_open(self) -> bool:
        return self._stream is not None

    @property
    def pause_s(self) -> float:
        """How long its user should wait before the next attempt: longer with each connection in a row that failed.

        A server that is down is then not asked thousands of times a second, however many the users are.
        """
        if not self._failed_opens:
            return 0.0
        pause_s = min(FIRST_PAUSE_S * 2.0 ** (min(self._failed_opens, 10) - 1), MAX_PAUSE_S)
        pause_s = max(pause_s, min(self._client.disconnected_users / MAX_CONNECTS_PER_S, MAX_SHARED_PAUSE_S))
        return pause_s * random.uniform(0.75, 1.0)

    def attempt(self, request: bytes, intended_ns: int = 0, row_count: int = 1) -> Outcome:
        """Sends a whole request and reads its response.

        It was intended at `intended_ns`; 0 stands for when it is sent or, if a connection has to be opened for it, for
        now. When the calling greenlet is ended meanwhile, the attempt is noted in the client's log as abandoned.
        """
        return self._carry_out(Attempt(request, intended_ns, row_count))

    def attempt_repeatedly(
        self, take: Callable[[], bytes | None], listeners: Sized, listener_count: int, row_count: int = 1
    ) -> Outcome | None:
        """Attempt after attempt, each noted in the client's log, without waking the greenlet in between.

        Goes on in the hub as long as responses are of a known shape, `end_fast_path` was not called and there are
        `listener_count` listeners. So `take` may not wait: when it has nothing it says None, and `is_starved` is set;
        what it raises is raised here. Returns None when all was noted, or else the Outcome of the last attempt, which
        is not noted yet.
        """
        request = take()
        self.is_starved = request is None
        if request is None:
            return None
        stream, fast_path = self._stream, self._fast_path
        if stream is None or fast_path is None or not self._client.shapes.is_primed or not self._is_surely_fit(stream):
            return self.attempt(request, 0, row_count)
        attempt = Attempt(request, 0, row_count, stream.address.label, may_be_sent_again=True, is_sending=True)
        try:
            count = fast_path.run(request, take, listeners, listener_count)
            if count == ALL_NOTED:
                self.is_starved = fast_path.is_starved
                return None
            attempt.request = fast_path.request
            return self._finish(attempt, stream, count)
        except BaseException as error:
            if not fast_path.is_in_flight:
                raise
            attempt.request = fast_path.request
            attempt.phase = ErrorKind.RECEIVE if fast_path.is_sent else attempt.phase
            return self._end_failed(attempt, stream, error) or self._carry_out(attempt)

    def end_fast_path(self) -> None:
        """The attempt under way is the last of its `attempt_repeatedly`; may be called by anybody."""
        if self._fast_path is not None:
            self._fast_path.end()

    def close(self) -> None:
        """Closes the socket; the next attempt connects again."""
        stream, self._stream, self._fast_path = self._stream, None, None
        if stream is not None:
            stream.close()
            self._client.note_closed(stream.address)

    def release(self) -> None:
        """Closes for good."""
        self.close()
        self._forget_failures()
        self._client.timeout_scan.remove(self._wait)

    # one attempt

    def _carry_out(self, attempt: Attempt) -> Outcome:
        """Tries once, and once more when the first time proved to have reached nobody."""
        outcome = self._try(attempt)
        while outcome is None:  # once: only a connection that was idle proves anything, and the next one is new
            outcome = self._try(attempt)
        return outcome

    def _try(self, attempt: Attempt) -> Outcome | None:
        """None when the request may go out again."""
        stream = self._fit_stream()
        attempt.may_be_sent_again = stream is not None and not attempt.stale_connections
        attempt.idle_ns = monotonic_ns() - self._wait.done_ns
        attempt.phase = ErrorKind.SEND
        attempt.is_sending = False
        try:
            if stream is None:
                attempt.intended_ns = attempt.intended_ns or monotonic_ns()
                stream = self._open()
            attempt.address = stream.address.label
            attempt.is_sending = True
            self._wait.sent_ns = monotonic_ns()
            is_sent = stream.begin_send(attempt.request) == len(attempt.request)
            return self._finish(attempt, stream, RECEIVE_YOURSELF if is_sent else SENT_IN_PART)
        except BaseException as error:
            return self._end_failed(attempt, stream, error)

    def _finish(self, attempt: Attempt, stream: Stream, count: int) -> Outcome:
        """Sends what is left of the request, receives the response and says what came of it.

        `count` is what was received of it already, or SENT_IN_PART, or RECEIVE_YOURSELF.
        """
        reader = None
        if count == SENT_IN_PART:
            reader = self._send_rest(attempt, stream)
        attempt.phase = ErrorKind.RECEIVE
        if count < 0 and reader is None:
            stream.wait_for_response()
            count = stream.receive()
        response = self._receive_all(attempt, stream, reader, count)
        error, text = judge_response(response, self._client.rules, attempt.row_count)
        if not response.is_reusable or stream.sent_bytes < len(attempt.request):
            self.close()
        if error is not None and error.kind is ErrorKind.STATUS:
            self._client.log_refusal(response.status, error.detail, text)
        return attempt.outcome(self._wait, response, error, text)

    def _receive_all(self, attempt: Attempt, stream: Stream, reader: ResponseReader | None, count: int) -> Response:
        client = self._client
        if reader is None:
            if count == 0:
                raise ClosedUnansweredError
            attempt.first_byte_ns = self._wait.done_ns
            if (known := read_known(client.shapes, count)) is not None:
                return known
            reader = client.make_reader()
            reader.feed(count, self._wait.done_ns)
            client.shapes.prime(count)
        attempt.first_byte_ns = reader.first_byte_ns
        attempt.may_be_sent_again = False
        while not reader.is_complete:
            count = stream.receive()
            if count:
                reader.feed(count, self._wait.done_ns)
            elif not reader.feed_end():
                raise AttemptError(ErrorKind.RECEIVE, CLOSED_INSIDE)
        return reader.response()

    def _send_rest(self, attempt: Attempt, stream: Stream) -> ResponseReader | None:
        wait, deadlines = self._wait, self._client.rules.deadlines
        wait.phase_due_ns = wait.sent_ns + round(min(deadlines.send_s, deadlines.request_s) * _NS_PER_S)
        try:
            return send_rest(stream, attempt.request, self._client.make_reader)
        finally:
            wait.phase_due_ns = 0

    def _end_failed(self, attempt: Attempt, stream: Stream | None, error: BaseException) -> Outcome | None:
        """The record of an attempt that ended in `error`, or None when it may be sent again.

        What is no failure of an attempt is raised again: its user was ended, and the attempt is abandoned.
        """
        client, wait = self._client, self._wait
        if stream is not None and attempt.may_be_sent_again:
            try:
                if self._is_unread(attempt, stream, error):
                    attempt.stale_connections += 1
                    attempt.intended_ns = attempt.intended_ns or wait.sent_ns
                    client.idle_limits.note_close(attempt.idle_ns)
                    self.close()
                    return None
                if isinstance(error, (OSError, ClosedUnansweredError)):
                    client.idle_limits.note_close(attempt.idle_ns)
            except BaseException as interruption:
                error = interruption
        self.close()
        wait.done_ns = monotonic_ns()
        failure = describe_failure(error, attempt.phase, client.rules.deadlines)
        if failure is None:
            client.log.add(attempt.outcome(wait, None, AttemptError(ErrorKind.ABANDONED, ABANDONED)))
            raise error
        return attempt.outcome(wait, None, failure)

    def _is_unread(self, attempt: Attempt, stream: Stream, error: BaseException) -> bool:
        """Whether the server had closed the connection before any of the request reached it."""
        if isinstance(error, OSError) and attempt.phase is ErrorKind.SEND and not stream.written_bytes:
            return True
        has_ended_first = isinstance(error, ClosedUnansweredError) or (
            isinstance(error, OSError) and error.errno == errno.EPIPE  # it had ended, then it refused the request
        )
        if not has_ended_first:
            return False
        due_ns = self._wait.sent_ns + round(self._client.rules.deadlines.request_s * _NS_PER_S)
        return stream.find_delivery(due_ns) is Delivery.UNREAD

    # opening

    def _fit_stream(self) -> Stream | None:
        """The open connection, if another request may go out on it."""
        stream, limits = self._stream, self._client.idle_limits
        if stream is None or self._is_surely_fit(stream):
            return stream
        idle_ns = monotonic_ns() - self._wait.done_ns
        if stream.is_expired:
            self.close()
            return None
        if not stream.is_still_fit():
            limits.note_close((stream.stale_since_ns or monotonic_ns()) - self._wait.done_ns)
            self.close()
            return None
        limit_ns = limits.find_risk(idle_ns)
        if limit_ns is None:
            return stream
        self._stream = self._fast_path = None
        self._client.retire(stream, limit_ns)
        return None

    def _is_surely_fit(self, stream: Stream) -> bool:
        """Servers close connections that were idle; on a busy loop the watcher may not have said so yet."""
        return not stream.is_stale and not stream.is_expired and monotonic_ns() - self._wait.done_ns <= IDLE_NS

    def _forget_failures(self) -> None:
        self._client.disconnected_users -= self._failed_opens > 0
        self._failed_opens = 0

    def _open(self) -> Stream:
        """Connects. Raises AttemptError."""
        client, wait = self._client, self._wait
        client.counters.attempts += 1
        client.counters.reconnects += self._has_been_open
        phase = ""

        def note_phase(words: str) -> None:
            nonlocal phase
            phase = words

        wait.phase_due_ns = monotonic_ns() + round(client.rules.deadlines.connect_s * _NS_PER_S)
        try:
            opened = client.dialer.open(note_phase)
        except BaseException as error:
            client.counters.failures += 1
            client.disconnected_users += not self._failed_opens
            self._failed_opens += 1
            if isinstance(error, DeadlineExceeded):
                detail = f"{phase} within {client.rules.deadlines.connect_s:g} s"
                raise AttemptError(ErrorKind.TIMEOUT, detail) from None
            raise
        finally:
            wait.phase_due_ns = 0
        stream = self._stream = Stream(opened, wait, client.shapes.buffer, client.note_opened(opened.address))
        self._fast_path = FastPath(stream, client.shapes)
        if (lifetime_s := client.rules.connection_lifetime_s) is not None:
            # A little earlier, each at another time: not all users connect again at once.
            stream.expire_after(lifetime_s * random.uniform(0.9, 1.0), self.end_fast_path)
        self._has_been_open = True
        self._forget_failures()
        return stream
