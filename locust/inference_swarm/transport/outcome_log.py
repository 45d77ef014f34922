"""Records every attempt cheaply: attempts are appended here and taken in batches by the measuring code.

Knows no clock and no Locust. Instants are monotonic nanoseconds.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference_swarm.transport.outcome import ErrorKind, Outcome

Nanoseconds = NDArray[np.int64]
Counts = NDArray[np.int64]
MAX_LANES: Final = 500
OTHER_ADDRESSES: Final = "other addresses"
_INT64: Final = "q"


@dataclass(frozen=True, slots=True)
class Batch:
    """Attempts since the batch before. The arrays are parallel and hold successes only; failures are whole."""

    done_ns: Nanoseconds
    latency_ns: Nanoseconds
    service_ns: Nanoseconds
    body_bytes: int
    failures: list[Outcome]
    abandoned: list[Outcome] = field(default_factory=list)
    """Attempts that were in flight when the run ended; they are not in `failures`."""
    stale_connections: int = 0
    """Requests of all of these that went out again: the server had closed their connection while it was idle."""
    row_counts: Counts | None = None
    """How many rows each success had, parallel to the other arrays; None: one."""
    spans: list[tuple[str, int, int]] = field(default_factory=list)
    """Which part of the arrays is of which address: address, begin and end. None: of no address that is known."""

    @property
    def success_count(self) -> int:
        return len(self.done_ns)

    def rows_of_each(self) -> Counts:
        """Return the number of rows of each success."""
        return np.ones_like(self.done_ns) if self.row_counts is None else self.row_counts

    def successes_by_address(self) -> Iterator[tuple[str, Batch]]:
        """The successes of each address, without what belongs to all of them."""
        if len(self.spans) < 2:
            yield self.spans[0][0] if self.spans else "", self
            return
        for address, begin, end in self.spans:
            arrays = (self.done_ns[begin:end], self.latency_ns[begin:end], self.service_ns[begin:end])
            row_counts = None if self.row_counts is None else self.row_counts[begin:end]
            yield address, Batch(*arrays, body_bytes=0, failures=[], row_counts=row_counts)


class Lane:
    """The attempts that were sent to one address, noted without a record each.

    `sent_ns` and `done_ns` are for the fast path: successes that were intended when they were sent, of requests with
    `row_count` rows. Each is taken to have a body of the log's common length; whoever appends another one adds the
    difference to `body_bytes`.
    """

    __slots__ = (
        "_counted",
        "_done_ns",
        "_intended_ns",
        "_row_count",
        "_row_counts",
        "_sent_ns",
        "body_bytes",
        "done_ns",
        "sent_ns",
    )

    def __init__(self, row_count: int = 1) -> None:
        self.sent_ns: array[int] = array(_INT64)
        self.done_ns: array[int] = array(_INT64)
        self.body_bytes = 0
        self._counted = 0
        self._intended_ns: array[int] = array(_INT64)
        self._sent_ns: array[int] = array(_INT64)
        self._done_ns: array[int] = array(_INT64)
        self._row_count = row_count
        self._row_counts: array[int] = array(_INT64)

    def add_success(self, outcome: Outcome) -> None:
        self._intended_ns.append(outcome.intended_ns)
        self._sent_ns.append(outcome.sent_ns)
        self._done_ns.append(outcome.done_ns)
        self._row_counts.append(outcome.row_count)
        self.body_bytes += outcome.body_bytes

    def count_bodies(self, common_body_bytes: int) -> None:
        """Add the common bodies that were noted since the last call."""
        self.body_bytes += (len(self.done_ns) - self._counted) * common_body_bytes
        self._counted = len(self.done_ns)

    def take(self) -> tuple[Nanoseconds, Nanoseconds, Nanoseconds, Counts]:
        """Return the done instants, latencies, service times and row counts of all successes since the last call."""
        common_sent, common_done = _take(self.sent_ns), _take(self.done_ns)
        self._counted = 0
        intended, sent, done = _take(self._intended_ns), _take(self._sent_ns), _take(self._done_ns)
        service_ns = latency_ns = common_done - common_sent
        done_ns = common_done
        row_counts = np.full(len(common_done), self._row_count, dtype=np.int64)
        if len(done):
            latency_ns = np.concatenate((service_ns, done - intended))
            service_ns = np.concatenate((service_ns, done - sent))
            done_ns = np.concatenate((common_done, done))
            row_counts = np.concatenate((row_counts, _take(self._row_counts)))
        return done_ns, latency_ns, service_ns, row_counts


class OutcomeLog:
    """The attempts of one process under one request name, in a lane for each address."""

    __slots__ = (
        "_abandoned",
        "_common_body_bytes",
        "_failures",
        "_lanes",
        "_stale_connections",
        "abandoned_count",
        "attempt_count",
        "failure_counts",
        "row_count",
    )

    def __init__(self, row_count: int = 1) -> None:
        self.row_count = row_count
        """Rows of the requests that lanes note on the fast path; to be set before there are any."""
        self._lanes: dict[str, Lane] = {}
        self._failures: list[Outcome] = []
        self._abandoned: list[Outcome] = []
        self._common_body_bytes = 0
        self._stale_connections = 0
        self.abandoned_count = 0
        """Attempts under way when their user was stopped by force: sent, and without an outcome of their own."""
        self.attempt_count = 0
        """Attempts in batches already taken, without the abandoned ones."""
        self.failure_counts: Counter[ErrorKind] = Counter()
        """Failed attempts by kind since the log was made."""

    def set_common_body(self, body_bytes: int) -> None:
        """Set the body length of what lanes note on the fast path from now on."""
        self._count_bodies()
        self._common_body_bytes = body_bytes

    def lane(self, address: str) -> Lane:
        """Return the lane of an address, always the same one; "" means none."""
        if len(self._lanes) >= MAX_LANES and address not in self._lanes:
            address = OTHER_ADDRESSES
        found = self._lanes.get(address)
        if found is None:
            found = self._lanes[address] = Lane(self.row_count)
        return found

    def add(self, outcome: Outcome) -> None:
        self._stale_connections += outcome.stale_connections
        if outcome.error is None:
            lane = self._lanes.get(outcome.address) or self.lane(outcome.address)
            lane.add_success(outcome)
        elif outcome.is_abandoned:
            self.abandoned_count += 1
            self._abandoned.append(outcome)
        else:
            self._failures.append(outcome)
            self.failure_counts[outcome.error.kind] += 1

    def take_batch(self) -> Batch:
        """Return and forget everything noted since the last call."""
        self._count_bodies()
        lanes = list(self._lanes.values())
        taken = [lane.take() for lane in lanes]
        done_ns, latency_ns, service_ns, row_counts = (_join([part[index] for part in taken]) for index in range(4))
        spans: list[tuple[str, int, int]] = []
        begin = 0
        for address, part in zip(self._lanes, taken, strict=True):
            if count := len(part[0]):
                spans.append((address, begin, begin + count))
                begin += count
        body_bytes = 0
        for lane in lanes:
            body_bytes += lane.body_bytes
            lane.body_bytes = 0
        failures, self._failures = self._failures, []
        abandoned, self._abandoned = self._abandoned, []
        stale_connections, self._stale_connections = self._stale_connections, 0
        self.attempt_count += len(done_ns) + len(failures)
        return Batch(
            done_ns, latency_ns, service_ns, body_bytes, failures, abandoned, stale_connections, row_counts, spans
        )

    def _count_bodies(self) -> None:
        for lane in self._lanes.values():
            lane.count_bodies(self._common_body_bytes)


def _join(parts: Sequence[Nanoseconds]) -> Nanoseconds:
    if not parts:
        return np.empty(0, dtype=np.int64)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _take(numbers: array[int]) -> Nanoseconds:
    taken = np.array(numbers, dtype=np.int64)
    del numbers[:]
    return taken
