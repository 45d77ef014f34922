"""What the connections of one process share: target, limits, receive buffer, remembered heads, sweep, counters."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from inference_swarm.transport.answer import HEAD_END, AnswerLimits, Head, HeadMemory
from inference_swarm.transport.check import DEFAULT_EXPECTED_STATUS, AnswerCheck, parse_expected_status
from inference_swarm.transport.connection import Connection
from inference_swarm.transport.deadlines import Deadlines, Sweep
from inference_swarm.transport.dial import Dialer
from inference_swarm.transport.outcome_log import OutcomeLog
from inference_swarm.transport.target import Target
from inference_swarm.transport.tls import make_tls_context

logger = logging.getLogger(__name__)

_BUFFER_BYTES = 64 * 1024
_REFUSAL_CHARACTERS = 400
_NS_PER_S = 1_000_000_000


class InferenceClient:
    """One for each process and target. `connect()` gives a greenlet its connection."""

    def __init__(
        self,
        target: Target,
        *,
        deadlines: Deadlines | None = None,
        limits: AnswerLimits | None = None,
        expected_status: frozenset[int] | None = None,
        answer_check: AnswerCheck | None = None,
        ca_file: Path | None = None,
        is_insecure: bool = False,
        log: OutcomeLog | None = None,
    ) -> None:
        self.target = target
        self.deadlines = deadlines or Deadlines()
        self.limits = limits or AnswerLimits()
        self.log = log or OutcomeLog()
        self.heard_log = OutcomeLog()
        """Attempts that listeners of the request event, Locust's own among them, were told of one by one."""
        self.note_sent = self.log.common_sent.append
        self.note_done = self.log.common_done.append
        self.expected_status = expected_status or parse_expected_status(DEFAULT_EXPECTED_STATUS)
        self.answer_check = answer_check
        self.request_ns = round(self.deadlines.request_s * _NS_PER_S)
        self.connect_ns = round(self.deadlines.connect_s * _NS_PER_S)
        self.send_ns = round(self.deadlines.send_s * _NS_PER_S)
        tls_context = make_tls_context(ca_file=ca_file, is_insecure=is_insecure) if target.is_tls else None
        self.dialer = Dialer(target, tls_context=tls_context, clock_s=time.monotonic)
        self.sweep = Sweep(self.deadlines)
        self.buffer = bytearray(_BUFFER_BYTES)
        self.view = memoryview(self.buffer)
        self.heads = HeadMemory(self.limits)
        # The head of the last successful answer of the common kind; a check of the content needs the longer way.
        self.common_head = b"\r\n"
        self.common_total_bytes = -1
        self.common_body_bytes = 0
        self.common_status = 0
        self._logged_refusals: set[int] = set()
        self.connect_count = 0
        self.reconnect_count = 0
        self.connect_failure_count = 0
        self.open_connections = 0
        self.opened_count = 0

    def connect(self) -> Connection:
        """The connection of the calling greenlet, not opened yet: `open()` or the first exchange does that."""
        return Connection(self)

    def remember_common(self, head: Head) -> None:
        if self.answer_check is None:
            self.common_head = head.data
            self.common_total_bytes = head.total_bytes
            self.common_body_bytes = head.body_bytes
            self.common_status = head.status
            self.log.set_common_body(head.body_bytes)

    def recall_expected(self, count: int) -> Head | None:
        """The head of the answer in the buffer, if it is known, a success, and all of its `count` bytes are there."""
        end = self.buffer.find(HEAD_END, 0, count) + len(HEAD_END)
        head = self.heads.known(bytes(self.view[:end]))
        if head is None or head.total_bytes != count or head.status not in self.expected_status or self.answer_check:
            return None
        return head

    def log_refusal(self, status: int, words: str, body: bytes) -> None:
        """The server's own explanation of a failure, once for each status: a wrong model or column shows at once."""
        if status in self._logged_refusals:
            return
        self._logged_refusals.add(status)
        said = body[: 4 * _REFUSAL_CHARACTERS].decode("utf-8", "replace").strip()[:_REFUSAL_CHARACTERS]
        printable = "".join(character if character.isprintable() else " " for character in said)
        logger.warning("The server under test answered %s: %s", words, printable or "(no text)")
