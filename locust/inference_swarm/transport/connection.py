"""One kept-alive connection of one user: request bytes in, what came of them out. An edge: sockets, gevent, the clock.

What the hot path costs is what this file is about (docs/benchmarks.md has the numbers): a plain C socket, a readiness
watcher that is started once, one receive buffer for the whole process, and no record for the common answer.
"""

from __future__ import annotations

import ssl
from http import HTTPStatus
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from gevent import get_hub, getcurrent

from inference_swarm.transport.answer import HEAD_END, AnswerError, AnswerParser, Head
from inference_swarm.transport.deadlines import Overdue
from inference_swarm.transport.dial import READABLE, WRITABLE, wait_io
from inference_swarm.transport.outcome import AttemptError, ErrorKind, Outcome
from inference_swarm.transport.tls import describe_tls_error

if TYPE_CHECKING:
    from inference_swarm.transport.client import InferenceClient


class Connection:
    """Belongs to the greenlet that made it; only that one may call `exchange`."""

    __slots__ = (
        "_client",
        "_first_byte_ns",
        "_greenlet",
        "_is_stale",
        "_is_waiting",
        "_phase",
        "_phase_due_ns",
        "_received_bytes",
        "_recv_into",
        "_send",
        "_socket",
        "_status",
        "_switch",
        "_watcher",
        "body_bytes",
        "done_ns",
        "has_been_open",
        "sent_ns",
    )

    def __init__(self, client: InferenceClient) -> None:
        self._client = client
        self._greenlet = getcurrent()
        self._switch = get_hub().switch
        self._socket: Any = None
        self._watcher: Any = None
        self._send: Any = None
        self._recv_into: Any = None
        self._is_waiting = False
        self._is_stale = False
        self._phase = ""
        self._phase_due_ns = 0
        self._first_byte_ns = 0
        self._received_bytes = 0
        self._status = 0
        self.has_been_open = False
        self.sent_ns = 0
        self.done_ns = 0
        self.body_bytes = 0
        client.sweep.add(self)

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def open(self) -> AttemptError | None:
        """Connects unless connected; returns what went wrong."""
        if self._socket is not None:
            return None
        client = self._client
        client.connect_count += 1
        client.reconnect_count += self.has_been_open
        self._phase_due_ns = monotonic_ns() + client.connect_ns
        sock: Any = None
        try:
            self._phase = "the name was not resolved"
            addresses = client.dialer.resolve()
            self._phase = "not connected"
            sock = client.dialer.connect(addresses)
            if client.target.is_tls:
                self._phase = "the TLS handshake was not done"
                channel: Any = client.dialer.start_tls(sock)
            else:
                channel = sock
            self._watcher = get_hub().loop.io(sock.fileno(), READABLE)
            self._watcher.start(self._on_readable)
        except BaseException as error:
            if sock is not None:
                sock.close()
            client.connect_failure_count += 1
            if isinstance(error, Overdue):
                return AttemptError(ErrorKind.TIMEOUT, f"{self._phase} within {client.deadlines.connect_s:g} s")
            if isinstance(error, AttemptError):
                return error
            raise
        finally:
            self._phase_due_ns = 0
        self._socket = sock
        self._send = channel.send
        self._recv_into = channel.recv_into
        self._is_stale = False
        self.has_been_open = True
        client.open_connections += 1
        return None

    def close(self) -> None:
        """Closes the socket; the next exchange connects again."""
        sock, self._socket = self._socket, None
        self._is_stale = self._is_waiting = False
        if sock is None:
            return
        self._watcher.stop()
        self._watcher.close()
        self._watcher = self._send = self._recv_into = None
        sock.close()
        self._client.open_connections -= 1

    def release(self) -> None:
        """Closes for good."""
        self.close()
        self._client.sweep.remove(self)

    def exchange(self, request: bytes, intended_ns: int = 0, row_count: int = 1) -> Outcome | None:
        """Sends a whole request and reads its answer; an attempt is an attempt, nothing is sent twice.

        None is a success on a connection that was open: `sent_ns`, `done_ns` and `body_bytes` are on this object, and
        it was intended at `intended_ns` or, when that is 0, at the send. Everything else comes as an Outcome.
        """
        if self._socket is None or (self._is_stale and not self._is_still_fit()):
            return self._exchange_on_new(request, intended_ns or monotonic_ns(), row_count)
        client = self._client
        buffer = client.buffer
        self.sent_ns = monotonic_ns()
        try:
            sent_bytes = self._send(request)
            if sent_bytes != len(request):
                self._send_rest(request, sent_bytes)
        except BlockingIOError:
            outcome = self._send_later(request, intended_ns)
            if outcome is not None:
                return outcome
        except BaseException as error:
            return self._failed(error, ErrorKind.SEND, request, intended_ns)
        try:
            self._is_waiting = True
            self._switch()
            self._is_waiting = False
            count = self._recv_into(buffer)
            self.done_ns = monotonic_ns()
            if count == client.common_total_bytes and buffer.startswith(client.common_head):
                self.body_bytes = client.common_body_bytes
                return None
            return self._read_on(count, request, intended_ns, row_count)
        except BaseException as error:
            return self._failed(error, ErrorKind.RECEIVE, request, intended_ns)

    # the longer ways

    def _exchange_on_new(self, request: bytes, intended_ns: int, row_count: int) -> Outcome:
        self.close()
        failure = self.open()
        if failure is not None:
            return Outcome(intended_ns, 0, 0, monotonic_ns(), 0, 0, 0, 0, failure)
        outcome = self.exchange(request, intended_ns, row_count)
        return outcome or self._outcome(request, intended_ns, None)

    def _is_still_fit(self) -> bool:
        """Something arrived while nobody waited: the server closed, or bytes that only TLS itself wanted."""
        try:
            self._recv_into(self._client.buffer)
        except BlockingIOError:
            self._is_stale = False
            self._watcher.start(self._on_readable)
            return True
        except OSError:
            return False
        return False  # closed, or bytes that answer nothing

    def _send_later(self, request: bytes, intended_ns: int) -> Outcome | None:
        try:
            self._send_rest(request, 0)
        except BaseException as error:
            return self._failed(error, ErrorKind.SEND, request, intended_ns)
        return None

    def _send_rest(self, request: bytes, sent_bytes: int) -> None:
        """The socket took only a part: a large request or a server that does not read."""
        client = self._client
        self._phase = f"not sent within {client.deadlines.send_s:g} s"
        self._phase_due_ns = self.sent_ns + min(client.send_ns, client.request_ns)
        view = memoryview(request)
        try:
            while sent_bytes < len(request):
                wait_io(self._socket, WRITABLE)
                try:
                    sent_bytes += self._send(view[sent_bytes:])
                except BlockingIOError:
                    continue
        finally:
            self._phase_due_ns = 0

    def _receive(self) -> int:
        """More bytes into the shared buffer: how many, 0 at the end of the connection."""
        while True:
            try:
                count: int = self._recv_into(self._client.buffer)
            except BlockingIOError:
                self._is_waiting = True
                self._switch()
                self._is_waiting = False
                continue
            self.done_ns = monotonic_ns()
            return count

    def _read_on(self, count: int, request: bytes, intended_ns: int, row_count: int) -> Outcome | None:
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
            body, is_kept = self._read_counted(head, count, keeps_body), True
        if self._status not in client.expected_status:
            failure = AttemptError(ErrorKind.STATUS, describe_status(self._status))
        elif keeps_body and (problem := client.answer_check(body, row_count)):  # type: ignore[misc]
            failure = AttemptError(ErrorKind.ANSWER, problem)
        else:
            failure = None
            if head is not None:
                client.remember_common(head)
        outcome = None if failure is None else self._outcome(request, intended_ns, failure)
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

    def _failed(self, error: BaseException, kind: ErrorKind, request: bytes, intended_ns: int) -> Outcome:
        """The record of an attempt that ended in `error`; what is no failure of an attempt is raised again."""
        due_phase = self._phase if self._phase_due_ns else ""
        self.close()
        if isinstance(error, AttemptError):
            failure = error
        elif isinstance(error, AnswerError):
            failure = AttemptError(ErrorKind.PROTOCOL, str(error))
        elif isinstance(error, Overdue):
            detail = due_phase or f"not answered within {self._client.deadlines.request_s:g} s"
            failure = AttemptError(ErrorKind.TIMEOUT, detail)
        elif isinstance(error, ssl.SSLError):
            failure = AttemptError(kind, describe_tls_error(error))
        elif isinstance(error, OSError):
            failure = AttemptError(kind, error.strerror or str(error))
        else:
            raise error
        self.done_ns = monotonic_ns()
        self._first_byte_ns = self._received_bytes = self._status = self.body_bytes = 0
        return self._outcome(request, intended_ns, failure)

    def _outcome(self, request: bytes, intended_ns: int, failure: AttemptError | None) -> Outcome:
        return Outcome(
            intended_ns or self.sent_ns,
            self.sent_ns,
            self._first_byte_ns,
            self.done_ns,
            len(request),
            self._received_bytes,
            self.body_bytes,
            self._status,
            failure,
        )

    # called in the hub

    def _on_readable(self) -> None:
        if self._is_waiting:
            self._greenlet.switch()
        else:  # nobody asked for it; the watcher would call again and again
            self._is_stale = True
            self._watcher.stop()

    def due_ns(self) -> int:
        """When the sweep shall interrupt; 0 while no deadline runs."""
        if self._phase_due_ns:
            return self._phase_due_ns
        return self.sent_ns + self._client.request_ns if self._is_waiting else 0

    def interrupt(self) -> None:
        self._greenlet.throw(Overdue)


def describe_status(status: int) -> str:
    """A status with its usual reason; the server's own wording may differ from answer to answer."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
