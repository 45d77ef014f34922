"""The outcome of one attempt: the one record from the connection to the report.

Knows no socket and no clock; all instants are monotonic nanoseconds that the caller read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class ErrorKind(StrEnum):
    """The phase in which an attempt failed; the same words in the statistics, the report and the documents."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    TLS = "tls"
    SEND = "send"
    RECEIVE = "receive"
    TIMEOUT = "timeout"
    PROTOCOL = "protocol"
    STATUS = "status"
    ANSWER = "answer"
    ABANDONED = "abandoned"
    """In flight when the run ended: sent, perhaps served, and without an outcome of its own."""


class AttemptError(Exception):
    """The error of a failed attempt as Locust's `request` event carries it.

    Its text is what groups failures in Locust's table, so it holds nothing that differs from attempt to attempt.
    """

    def __init__(self, kind: ErrorKind, detail: str) -> None:
        super().__init__(f"{kind.value}: {detail}")
        self.kind = kind
        self.detail = detail

    def __repr__(self) -> str:
        return str(self)

    def without_frames(self) -> Self:
        """Return the error without its traceback: Locust keeps failures, which must not keep connections alive."""
        self.__traceback__ = self.__context__ = self.__cause__ = None
        return self


@dataclass(slots=True)
class Outcome:
    """One attempt. An instant that was never reached is 0; `error` is None when the attempt succeeded.

    `address` is where the request was sent, "" if it never got that far. `failure_text` holds the first words of the
    body of a response that made the attempt fail. `stale_connections` counts the connections (0 or 1) on which the
    request was sent before and provably not read, because the server had closed them while they were idle.
    """

    intended_ns: int
    sent_ns: int
    first_byte_ns: int
    done_ns: int
    sent_bytes: int
    received_bytes: int
    body_bytes: int
    status: int
    error: AttemptError | None = None
    address: str = ""
    failure_text: str = ""
    stale_connections: int = 0
    row_count: int = 1
    """The number of rows in the request."""
    rows: Sequence[int] = ()
    """The positions of its rows in the dataset, where they are known."""

    @property
    def is_abandoned(self) -> bool:
        return self.error is not None and self.error.kind is ErrorKind.ABANDONED

    @property
    def latency_ns(self) -> int:
        """The time from the intended instant."""
        return self.done_ns - self.intended_ns

    @property
    def service_ns(self) -> int:
        """The time from the send; an attempt that was never sent has the time since it was intended."""
        return self.done_ns - (self.sent_ns or self.intended_ns)
