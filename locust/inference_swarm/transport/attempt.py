"""One attempt, apart from its connection: what is known of it while it is under way, and the Outcome it ends in."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from inference_swarm.transport.body import EncodingError, decode_body, first_words
from inference_swarm.transport.deadlines import DeadlineExceeded, Deadlines, Wait
from inference_swarm.transport.head_shapes import HeadShapes
from inference_swarm.transport.outcome import AttemptError, ErrorKind, Outcome
from inference_swarm.transport.reading import Response
from inference_swarm.transport.response import ResponseError
from inference_swarm.transport.tls import describe_tls_error, is_about_client_certificate

if TYPE_CHECKING:
    from inference_swarm.transport.check import ResponseCheck
    from inference_swarm.transport.rules import AttemptRules

CLOSED_WITHOUT_RESPONSE: Final = "closed by the server before it responded"
ABANDONED: Final = "in flight when its user was stopped"


@dataclass(slots=True)
class Attempt:
    """The state of the attempt under way on a connection."""

    request: bytes
    intended_ns: int
    """0 stands for the instant of the send."""
    row_count: int
    address: str = ""
    phase: ErrorKind = ErrorKind.SEND
    """What is under way: an OSError is one of this kind."""
    is_sending: bool = False
    """Whether there is a connection and the send has begun, so that its instant is known."""
    may_be_sent_again: bool = False
    """Whether its connection was used before, so that the server may have closed it while it was idle."""
    last_done_ns: int = 0
    """When the attempt before it ended, since when its connection has been idle."""
    stale_connections: int = 0
    first_byte_ns: int = 0
    beginning: bytes = b""
    """The first bytes of a response that is not known by its shape."""

    def success(self, wait: Wait, shapes: HeadShapes) -> Outcome:
        """The record of a response that is the last known one to the byte, but for its body."""
        return Outcome(
            self.intended_ns or wait.sent_ns,
            wait.sent_ns,
            wait.done_ns,
            wait.done_ns,
            len(self.request),
            shapes.total_bytes,
            shapes.body_bytes,
            shapes.status,
            None,
            self.address,
            "",
            self.stale_connections,
            self.row_count,
        )

    def outcome(self, wait: Wait, response: Response | None, error: AttemptError | None, text: str = "") -> Outcome:
        """Return the record, with the instants of `wait`."""
        sent_ns = wait.sent_ns if self.is_sending else 0
        return Outcome(
            self.intended_ns or sent_ns or wait.done_ns,
            sent_ns,
            0 if response is None else self.first_byte_ns,
            wait.done_ns,
            len(self.request) if self.is_sending else 0,
            0 if response is None else response.received_bytes,
            0 if response is None else response.body_bytes,
            0 if response is None else response.status,
            error,
            self.address,
            text,
            self.stale_connections,
            self.row_count,
        )


def judge_response(
    response: Response, rules: AttemptRules, row_count: int, check: ResponseCheck | None
) -> tuple[AttemptError | None, str]:
    """Return what makes the response a failure, and its first words; (None, "") for a success."""
    if response.status not in rules.expected_status:
        error = AttemptError(ErrorKind.STATUS, describe_status(response.status))
    elif check is None:
        return None, ""
    else:
        try:
            body = decode_body(response.body, response.content_encoding, rules.limits.body_bytes)
            problem = check(body, row_count)
        except EncodingError as encoding_error:
            problem = str(encoding_error)
        if problem is None:
            return None, ""
        error = AttemptError(ErrorKind.ANSWER, problem)
    return error, first_words(response.body, response.content_encoding)


def describe_failure(
    error: BaseException, phase: ErrorKind, deadlines: Deadlines, *, has_response_begun: bool = False
) -> AttemptError | None:
    """Return the failure of an attempt that ended in `error`; None if it is none, such as the end of its user."""
    if isinstance(error, AttemptError):
        return error.without_frames()
    if isinstance(error, ResponseError):
        return AttemptError(ErrorKind.PROTOCOL, str(error))
    if isinstance(error, DeadlineExceeded):
        if phase is ErrorKind.SEND:
            return AttemptError(ErrorKind.TIMEOUT, f"not sent within {min(deadlines.send_s, deadlines.request_s):g} s")
        what = "only a part of the response arrived" if has_response_begun else "no response"
        return AttemptError(ErrorKind.TIMEOUT, f"{what} within {deadlines.request_s:g} s")
    if isinstance(error, ssl.SSLError):
        kind = ErrorKind.TLS if is_about_client_certificate(error) else phase
        return AttemptError(kind, describe_tls_error(error))
    if isinstance(error, OSError):
        return AttemptError(phase, error.strerror or str(error))
    return None


def describe_status(status: int) -> str:
    """A status with its usual reason; the server's own wording may differ from response to response."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
