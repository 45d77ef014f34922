"""Shared by the connections of one process: target, rules, dialer, receive buffer, timeout scan, logs, counters."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from typing import Final

from inference_swarm.transport.addresses import Address, AddressPool
from inference_swarm.transport.connection import Connection
from inference_swarm.transport.deadlines import TimeoutScan
from inference_swarm.transport.dial import Dialer
from inference_swarm.transport.head_shapes import HeadShapes
from inference_swarm.transport.idle_limits import LINGER_S, IdleLimits
from inference_swarm.transport.outcome_log import Lane, OutcomeLog
from inference_swarm.transport.reading import ResponseReader
from inference_swarm.transport.resolve import LOOKUP_TTL_S, Resolver
from inference_swarm.transport.rules import AttemptRules
from inference_swarm.transport.source_addresses import SourceAddresses
from inference_swarm.transport.stream import Stream
from inference_swarm.transport.target import Target
from inference_swarm.transport.tls import TlsFiles, make_tls_context

logger = logging.getLogger(__name__)

LATELY_S: Final = 1.0
_BUFFER_BYTES: Final = 64 * 1024


@dataclass(slots=True)
class ConnectionCounters:
    """Connections of one process since it began."""

    attempts: int = 0
    failures: int = 0
    opened: int = 0
    reconnects: int = 0
    """Attempts to connect of users who had been connected before."""
    open: int = 0
    replaced_in_time: int = 0
    """Connections that were idle for about as long as the server allows, and were replaced before they were used."""


class InferenceClient:
    """One for each process and target. `connect()` gives a greenlet its connection."""

    def __init__(
        self,
        target: Target,
        rules: AttemptRules | None = None,
        *,
        tls_files: TlsFiles | None = None,
        row_count: int = 1,
    ) -> None:
        """`row_count`: rows of most requests. Raises SettingProblem for files and addresses that cannot be used."""
        self.target = target
        self.rules = rules or AttemptRules()
        self.tls_files = tls_files or TlsFiles()
        self.log = OutcomeLog(row_count)
        self.notified_log = OutcomeLog(row_count)
        """Attempts that listeners of the request event, Locust's own among them, were notified of one by one."""
        self.named_logs: dict[str, tuple[OutcomeLog, OutcomeLog]] = {}
        """Like `log` and `notified_log`, of attempts that have a name of their own in the statistics."""
        self.connection_type: type[Connection] = Connection
        self.counters = ConnectionCounters()
        self.timeout_scan = TimeoutScan(self.rules.deadlines)
        self.shapes = HeadShapes(
            bytearray(_BUFFER_BYTES),
            self.rules.limits,
            self.rules.fast_statuses,
            are_bodies_read=self.rules.answers is not None,
            on_body_length=self.log.set_common_body,
        )
        lifetime_s = self.rules.connection_lifetime_s
        self.dialer = Dialer(
            Resolver(
                target.host,
                target.port,
                clock_s=time.monotonic,
                ttl_s=LOOKUP_TTL_S if lifetime_s is None else min(LOOKUP_TTL_S, lifetime_s),
            ),
            AddressPool(first=random.randrange(1 << 16)),
            host=target.host,
            tls_context=make_tls_context(self.tls_files) if target.is_tls else None,
            sources=SourceAddresses(self.rules.source_addresses),
            clock_s=time.monotonic,
        )
        self.idle_limits = IdleLimits()
        self.disconnected_users = 0
        """Users whose last connection could not be made."""
        self._logged_refusals: set[int] = set()
        self._closings_began_s, self._open_before = float("-inf"), 0

    def connect(self) -> Connection:
        """Return a connection for the calling greenlet; the first attempt opens it."""
        return self.connection_type(self)

    def logs_of(self, name: str | None) -> tuple[OutcomeLog, OutcomeLog]:
        """Return the log and the notified log of a request name; None is the target's own."""
        if name is None or name == self.target.name:
            return self.log, self.notified_log
        found = self.named_logs.get(name)
        if found is None:
            found = self.named_logs[name] = (OutcomeLog(), OutcomeLog())
        return found

    def count_open_lately(self) -> int:
        """Connections that are open, or were before those that closed within the last second: at the end all do."""
        is_late = time.monotonic() - self._closings_began_s > LATELY_S
        return self.counters.open if is_late else max(self.counters.open, self._open_before)

    # for connections

    def make_reader(self) -> ResponseReader:
        return ResponseReader(self.rules.limits, self.shapes, keeps_body=self.rules.keeps_bodies)

    def note_opened(self, address: Address) -> Lane:
        """Count a connection; returns the lane for its attempts."""
        self.counters.open += 1
        self.counters.opened += 1
        return self.log.lane(address.label)

    def note_closed(self, address: Address) -> None:
        now_s = time.monotonic()
        if now_s - self._closings_began_s > LATELY_S:
            self._closings_began_s, self._open_before = now_s, self.counters.open
        self.counters.open -= 1
        self.dialer.release(address)

    def retire(self, stream: Stream, limit_ns: int) -> None:
        """Replace a connection that the server may be about to close, and watch whether it does."""
        self.counters.replaced_in_time += 1
        self.note_closed(stream.address)

        def on_end(is_closed_by_server: bool) -> None:
            if not is_closed_by_server:
                self.idle_limits.note_survival(limit_ns)

        stream.retire(LINGER_S, on_end)

    def log_refusal(self, status: int, words: str, text: str) -> None:
        """Log the server's own explanation of a failure, once for each status: a wrong model shows at once."""
        if status not in self._logged_refusals:
            self._logged_refusals.add(status)
            logger.warning("The server under test responded %s: %s", words, text or "(no text)")
