"""One attempt on a connection: request bytes in, what came of them out. An edge: sockets, gevent, the clock.

The common answer costs one send, one receive and no record; everything else takes the longer ways below.
"""

from __future__ import annotations

import ssl
from http import HTTPStatus
from time import monotonic_ns
from typing import TYPE_CHECKING

from inference_swarm.transport.answer import HEAD_END, AnswerError, AnswerParser, Head
from inference_swarm.transport.deadlines import Overdue
from inference_swarm.transport.dial import WRITABLE, wait_io
from inference_swarm.transport.link import Link
from inference_swarm.transport.outcome import AttemptError, ErrorKind, Outcome
from inference_swarm.transport.tls import describe_tls_error

if TYPE_CHECKING:
    from inference_swarm.transport.client import InferenceClient


IDLE_NS = 1_000_000_000


class Exchange(Link):
    """A link on which its greenlet makes one attempt after the other."""

    __slots__ = (
        "_failing_kind",
        "_first_byte_ns",
        "_received_bytes",
        "_request",
        "_sent_bytes",
        "_status",
        "body_bytes",
    )

    def __init__(self, client: InferenceClient) -> None:
        super().__init__(client)
        self._failing_kind: ErrorKind | None = None
        self._request = b""
        self._sent_bytes = 0
        self._first_byte_ns = 0
        self._received_bytes = 0
        self._status = 0
        self.body_bytes = 0

    # An attempt is an attempt: nothing below is ever sent twice.

    def exchange(self, request: bytes, intended_ns: int = 0, row_count: int = 1) -> Outcome | None:
        """Sends a whole request and reads its answer.

        None is a success on a connection that was open: `sent_ns`, `done_ns` and `body_bytes` are on this object, and
        it was intended at `intended_ns` or, when that is 0, at the send. Everything else comes as an Outcome.
        """
        if self._socket is None or ((self._is_stale or self._has_idled()) and not self._is_still_fit()):
            return self._exchange_on_new(request, intended_ns or monotonic_ns(), row_count)
        client = self._client
        self._failing_kind = ErrorKind.SEND
        self._request = request
        self.sent_ns = monotonic_ns()
        try:
            self._send_all(request)
            self._failing_kind = ErrorKind.RECEIVE
            self._is_waiting = True
            self._switch()
            self._is_waiting = False
            count = self._receive()
            if count == client.common_total_bytes and client.buffer.startswith(client.common_head):
                self._status = client.common_status
                self._first_byte_ns = self.done_ns
                self._received_bytes = count
                self.body_bytes = client.common_body_bytes
                return None
            return self._read_on(count, intended_ns, row_count)
        except BaseException as error:
            return self._failed(error, intended_ns)

    def _has_idled(self) -> bool:
        """Servers close connections that were idle; on a busy loop the watcher may not have said so yet."""
        return monotonic_ns() - self.done_ns > IDLE_NS

    def attempt(self, request: bytes, intended_ns: int = 0, row_count: int = 1) -> Outcome:
        """As `exchange`, with an Outcome in every case."""
        return self.exchange(request, intended_ns, row_count) or self._outcome(intended_ns, None)

    # the longer ways

    def _exchange_on_new(self, request: bytes, intended_ns: int, row_count: int) -> Outcome:
        self.close()
        failure = self.open()
        if failure is not None:
            return Outcome(intended_ns, 0, 0, monotonic_ns(), 0, 0, 0, 0, failure)
        outcome = self.exchange(request, intended_ns, row_count)
        return outcome or self._outcome(intended_ns, None)

    def _send_all(self, request: bytes) -> None:
        try:
            sent_bytes: int = self._send(request)
        except BlockingIOError:
            sent_bytes = 0
        if sent_bytes != len(request):
            self._send_rest(request, sent_bytes)

    def _send_rest(self, request: bytes, sent_bytes: int) -> None:
        """The socket took only a part: a large request or a server that does not read."""
        client = self._client
        self._phase_due_ns = self.sent_ns + min(client.send_ns, client.request_ns)
        view = memoryview(request)
        try:
            while sent_bytes < len(request):
                wait_io(self._socket, WRITABLE)
                try:
                    sent_bytes += self._send(view[sent_bytes:])
                except BlockingIOError:
                    continue
        except Overdue:
            raise AttemptError(ErrorKind.TIMEOUT, f"not sent within {client.deadlines.send_s:g} s") from None
        finally:
            self._phase_due_ns = 0

    def _read_on(self, count: int, intended_ns: int, row_count: int) -> Outcome | None:
        """Reads the answer whose first `count` bytes are in the buffer."""
        client = self._client
        if count == 0:
            raise AttemptError(ErrorKind.RECEIVE, "closed by the server before it answered")
        self._first_byte_ns = self.done_ns
        keeps_body = client.answer_check is not None
        end = client.buffer.find(HEAD_END, 0, count) + len(HEAD_END)
        head = client.heads.recall(bytes(client.view[:end])) if end >= len(HEAD_END) else None
        if head is None:
            body, is_kept = self._read_any(count, keeps_body)
        else:
            is_refusal = head.status not in client.expected_status
            body, is_kept = self._read_counted(head, count, keeps_body or is_refusal), True
        if self._status not in client.expected_status:
            failure = AttemptError(ErrorKind.STATUS, describe_status(self._status))
            client.log_refusal(self._status, describe_status(self._status), body)
        elif keeps_body and (problem := client.answer_check(body, row_count)):  # type: ignore[misc]
            failure = AttemptError(ErrorKind.ANSWER, problem)
        else:
            failure = None
            if head is not None:
                client.remember_common(head)
        outcome = None if failure is None else self._outcome(intended_ns, failure)
        if not is_kept:
            self.close()
        return outcome

    def _read_counted(self, head: Head, count: int, keeps_body: bool) -> bytes:
        """The rest of an answer whose length the head said."""
        client = self._client
        pieces = [bytes(client.view[len(head.data) : count])] if keeps_body else []
        received_bytes = count
        while received_bytes < head.total_bytes:
            count = self._receive()
            if count == 0:
                raise AttemptError(ErrorKind.RECEIVE, "closed by the server inside the answer")
            received_bytes += count
            if keeps_body:
                pieces.append(bytes(client.view[:count]))
        if received_bytes > head.total_bytes:
            raise AnswerError("more bytes than the answer has")
        self._status = head.status
        self._received_bytes = received_bytes
        self.body_bytes = head.body_bytes
        return b"".join(pieces)

    def _read_any(self, count: int, keeps_body: bool) -> tuple[bytes, bool]:
        """An answer of any kind, through the full parser: its body, and whether the connection is kept."""
        client = self._client
        parser = AnswerParser(client.limits, keeps_body=keeps_body)
        received_bytes = count
        while not parser.feed(client.view[:count]):
            count = self._receive()
            received_bytes += count
            if count == 0:
                if not parser.ends_with_connection:
                    raise AttemptError(ErrorKind.RECEIVE, "closed by the server inside the answer")
                parser.feed_end()
                break
        self._status = parser.status
        self._received_bytes = received_bytes
        self.body_bytes = parser.body_bytes
        return parser.body, parser.is_keep_alive

    def _failed(self, error: BaseException, intended_ns: int) -> Outcome:
        """The record of an attempt that ended in `error`; what is no failure of an attempt is raised again."""
        self.close()
        if isinstance(error, AttemptError):
            failure = error.without_frames()
        elif isinstance(error, AnswerError):
            failure = AttemptError(ErrorKind.PROTOCOL, str(error))
        elif isinstance(error, Overdue):
            failure = AttemptError(ErrorKind.TIMEOUT, f"not answered within {self._client.deadlines.request_s:g} s")
        elif isinstance(error, ssl.SSLError):
            failure = AttemptError(self._failing_kind or ErrorKind.RECEIVE, describe_tls_error(error))
        elif isinstance(error, OSError):
            failure = AttemptError(self._failing_kind or ErrorKind.RECEIVE, error.strerror or str(error))
        else:  # the user was killed: its request has no outcome, but the server may have counted it
            self._client.log.abandoned_count += 1
            raise error
        self.done_ns = monotonic_ns()
        self._first_byte_ns = self._received_bytes = self._status = self.body_bytes = 0
        return self._outcome(intended_ns, failure)

    def _outcome(self, intended_ns: int, failure: AttemptError | None) -> Outcome:
        return Outcome(
            intended_ns or self.sent_ns,
            self.sent_ns,
            self._first_byte_ns,
            self.done_ns,
            len(self._request),
            self._received_bytes,
            self.body_bytes,
            self._status,
            failure,
        )


def describe_status(status: int) -> str:
    """A status with its usual reason; the server's own wording may differ from answer to answer."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
