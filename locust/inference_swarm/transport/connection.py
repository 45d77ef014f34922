"""The connection of one user, used for one attempt after the other. An edge.

Nothing is sent twice, except a request that provably was not read, because the server had closed its idle connection
(`tcp_info`). That is done once for an attempt, and counted.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sized
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from inference_swarm.transport.attempt import (
    ABANDONED,
    CLOSED_WITHOUT_RESPONSE,
    Attempt,
    describe_failure,
    judge_response,
)
from inference_swarm.transport.body import MAX_TEXT_BYTES, first_words
from inference_swarm.transport.deadlines import Wait
from inference_swarm.transport.fast_path import ALL_NOTED, RECEIVE_YOURSELF, SENT_IN_PART
from inference_swarm.transport.outcome import AttemptError, ErrorKind, Outcome
from inference_swarm.transport.reading import Response, ResponseReader, read_known
from inference_swarm.transport.sending import CLOSED_INSIDE, send_rest
from inference_swarm.transport.session import Session
from inference_swarm.transport.stream import Stream
from inference_swarm.transport.tcp_info import Delivery

if TYPE_CHECKING:
    from inference_swarm.transport.client import InferenceClient

_NS_PER_S: Final = 1_000_000_000


class NoResponseError(AttemptError):
    """The server closed the connection after, or while, the request was sent, and nothing came before that."""

    def __init__(self) -> None:
        super().__init__(ErrorKind.RECEIVE, CLOSED_WITHOUT_RESPONSE)


class Connection:
    """Belongs to the greenlet that made it; only that one may call anything but `end_fast_path`."""

    __slots__ = ("_client", "_session", "_wait", "failed_request", "is_starved", "log")

    def __init__(self, client: InferenceClient) -> None:
        self._client = client
        self._wait = Wait(client.rules.deadlines.request_s)
        self._session = Session(client, self._wait)
        self.is_starved = False
        """Whether `attempt_repeatedly` ended because there was no request."""
        self.failed_request = b""
        """What the last attempt that failed had to send."""
        self.log = client.log
        """Where an attempt is noted that is abandoned."""
        client.timeout_scan.add(self._wait)

    @property
    def client(self) -> InferenceClient:
        return self._client

    @property
    def is_open(self) -> bool:
        return self._session.stream is not None

    @property
    def pause_s(self) -> float:
        """The time that its user should wait before the next attempt, because no connection could be made."""
        return self._session.pause_s

    def attempt(self, request: bytes, intended_ns: int = 0, row_count: int = 1) -> Outcome:
        """Send a whole request and read its response.

        It was intended at `intended_ns`; 0 means when it is sent or, if a connection has to be opened for it, now.
        When the calling greenlet is stopped meanwhile, the attempt is noted in the client's log as abandoned.
        """
        return self._carry_out(Attempt(request, intended_ns, row_count))

    def attempt_repeatedly(
        self, take: Callable[[], bytes | None], listeners: Sized, listener_count: int, row_count: int = 1
    ) -> Outcome | None:
        """Make attempt after attempt, each noted in the client's log, without waking the greenlet in between.

        Goes on in the hub as long as responses are of a known shape, `end_fast_path` was not called and there are
        `listener_count` listeners. So `take` may not wait: when it has nothing it says None, and `is_starved` is set;
        what it raises is raised here. Returns None when all was noted, or else the Outcome of the last attempt, which
        is not noted yet.
        """
        request = take()
        self.is_starved = request is None
        if request is None:
            return None
        stream = self._session.stream
        if stream is None or not self._client.shapes.is_primed or not self._session.is_surely_fit:
            return self.attempt(request, 0, row_count)
        fast_path = self._session.fast_path_of(stream)
        attempt = Attempt(request, 0, row_count, stream.label, may_be_sent_again=True, is_sending=True)
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
            attempt.last_done_ns = self._wait.sent_ns
            return self._end_failed(attempt, stream, error) or self._carry_out(attempt)

    def end_fast_path(self) -> None:
        """The attempt under way is the last of its `attempt_repeatedly`; may be called by anybody."""
        self._session.end_fast_path()

    def close(self) -> None:
        """Closes the socket; the next attempt connects again."""
        self._session.close()

    def release(self) -> None:
        """Closes for good."""
        self._session.release()
        self._client.timeout_scan.remove(self._wait)

    # one attempt

    def _carry_out(self, attempt: Attempt) -> Outcome:
        """Try once, and once more when the first request provably was not read."""
        outcome = self._try(attempt)
        while outcome is None:  # once: only a connection that was idle proves anything, and the next one is new
            outcome = self._try(attempt)
        return outcome

    def _try(self, attempt: Attempt) -> Outcome | None:
        """Make one attempt; returns None when the request may go out again."""
        session = self._session
        stream = session.stream if session.is_surely_fit else session.find_fit()
        attempt.may_be_sent_again = stream is not None and not attempt.stale_connections
        attempt.last_done_ns = self._wait.done_ns
        attempt.phase = ErrorKind.SEND
        attempt.is_sending = False
        try:
            if stream is None:
                attempt.intended_ns = attempt.intended_ns or monotonic_ns()
                stream = session.open()
            attempt.address = stream.label
            attempt.is_sending = True
            self._wait.sent_ns = monotonic_ns()
            is_sent = stream.begin_send(attempt.request) == len(attempt.request)
            return self._finish(attempt, stream, RECEIVE_YOURSELF if is_sent else SENT_IN_PART)
        except BaseException as error:
            return self._end_failed(attempt, stream, error)

    def _finish(self, attempt: Attempt, stream: Stream, count: int) -> Outcome:
        """Send the rest of the request, receive the response and return the outcome.

        `count` is what was received of it already, or SENT_IN_PART, or RECEIVE_YOURSELF.
        """
        reader = None
        if count == SENT_IN_PART:
            reader = self._send_rest(attempt, stream)
        attempt.phase = ErrorKind.RECEIVE
        if count < 0 and reader is None:
            stream.wait_for_response()
            count = stream.receive()
            shapes, is_answer_read = self._client.shapes, self._client.rules.answers is not None
            if count == shapes.total_bytes and shapes.buffer.startswith(shapes.head) and not is_answer_read:
                return attempt.success(self._wait, shapes)
        response = self._receive_all(attempt, stream, reader, count)
        error, text = self._judge(attempt, response)
        if not response.is_reusable or stream.sent_bytes < len(attempt.request):
            self._session.close()
        if error is not None:
            self.failed_request = attempt.request
        if error is not None and error.kind is ErrorKind.STATUS:
            self._client.log_refusal(response.status, error.detail, text)
        return attempt.outcome(self._wait, response, error, text)

    def _judge(self, attempt: Attempt, response: Response) -> tuple[AttemptError | None, str]:
        rules, wait = self._client.rules, self._wait
        answers, check = rules.answers, rules.response_check
        if answers is None:
            return judge_response(response, rules, attempt.row_count, check)
        check = answers.check_of(attempt.request, attempt.intended_ns or wait.sent_ns, wait.sent_ns, wait.done_ns)
        judged = judge_response(response, rules, attempt.row_count, check)
        answers.forget(attempt.request)
        return judged

    def _receive_all(self, attempt: Attempt, stream: Stream, reader: ResponseReader | None, count: int) -> Response:
        client = self._client
        if reader is None:
            if count == 0:
                raise NoResponseError
            attempt.first_byte_ns = self._wait.done_ns
            if (known := read_known(client.shapes, count)) is not None:
                return known
            attempt.beginning = bytes(client.shapes.view[: min(count, MAX_TEXT_BYTES)])
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
        """Return the record of an attempt that ended in `error`, or None when it may be sent again.

        Any other exception is raised again: the user was stopped, and the attempt is abandoned.
        """
        client, wait = self._client, self._wait
        if stream is not None and attempt.may_be_sent_again:
            try:
                if self._is_unread(attempt, stream, error):
                    attempt.stale_connections += 1
                    attempt.intended_ns = attempt.intended_ns or wait.sent_ns
                    client.idle_limits.note_close(wait.sent_ns - attempt.last_done_ns)
                    self._session.close()
                    return None
                if isinstance(error, (OSError, NoResponseError)):
                    client.idle_limits.note_close(wait.sent_ns - attempt.last_done_ns)
            except BaseException as interruption:
                error = interruption
        self._session.close()
        wait.done_ns = monotonic_ns()
        has_begun = bool(attempt.first_byte_ns)
        if client.rules.answers is not None:
            client.rules.answers.forget(attempt.request)
        failure = describe_failure(error, attempt.phase, client.rules.deadlines, has_response_begun=has_begun)
        if failure is None:
            self.log.add(attempt.outcome(wait, None, AttemptError(ErrorKind.ABANDONED, ABANDONED)))
            raise error
        self.failed_request = attempt.request
        return attempt.outcome(wait, None, failure, first_words(attempt.beginning))

    def _is_unread(self, attempt: Attempt, stream: Stream, error: BaseException) -> bool:
        """Return whether the server had closed the connection before any of the request reached it."""
        if isinstance(error, OSError) and attempt.phase is ErrorKind.SEND and not stream.written_bytes:
            return True
        has_ended_first = isinstance(error, NoResponseError) or (
            isinstance(error, OSError) and error.errno == errno.EPIPE  # it had ended, then it refused the request
        )
        if not has_ended_first:
            return False
        due_ns = self._wait.sent_ns + round(self._client.rules.deadlines.request_s * _NS_PER_S)
        return stream.find_delivery(due_ns) is Delivery.UNREAD
