"""Where attempts are noted, cheaply enough to note each: appended here, taken in batches by whoever measures.

Knows no clock and no Locust. Instants are monotonic nanoseconds.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference_swarm.transport.outcome import ErrorKind, Outcome

Nanoseconds = NDArray[np.int64]
_INT64: Final = "q"


@dataclass(frozen=True, slots=True)
class Batch:
    """Attempts since the batch before. The arrays are parallel and hold successes only; failures are whole."""

    done_ns: Nanoseconds
    latency_ns: Nanoseconds
    service_ns: Nanoseconds
    body_bytes: int
    failures: list[Outcome]

    @property
    def success_count(self) -> int:
        return len(self.done_ns)


class OutcomeLog:
    """The attempts of one process under one request name.

    `common_sent` and `common_done` are for the hot path: successes that were intended when they were sent and whose
    body had the length last given to `set_common_body`. Everything else goes through `add`.
    """

    __slots__ = (
        "_body_bytes",
        "_common_body_bytes",
        "_counted",
        "_done",
        "_failures",
        "_intended",
        "_sent",
        "abandoned_count",
        "attempt_count",
        "common_done",
        "common_sent",
        "failure_counts",
    )

    def __init__(self) -> None:
        self.common_sent: array[int] = array(_INT64)
        self.common_done: array[int] = array(_INT64)
        self._intended: array[int] = array(_INT64)
        self._sent: array[int] = array(_INT64)
        self._done: array[int] = array(_INT64)
        self._failures: list[Outcome] = []
        self._body_bytes = 0
        self._common_body_bytes = 0
        self._counted = 0
        self.abandoned_count = 0
        """Attempts under way when their user was killed: sent, and without an outcome."""
        self.attempt_count = 0
        """Attempts in batches already taken."""
        self.failure_counts: Counter[ErrorKind] = Counter()
        """Failed attempts by kind since the log was made."""

    def set_common_body(self, body_bytes: int) -> None:
        """The answers noted from now on in `common_*` have bodies of this length."""
        self._count_common_bodies()
        self._common_body_bytes = body_bytes

    def add_success(self, intended_ns: int, sent_ns: int, done_ns: int, body_bytes: int) -> None:
        self._intended.append(intended_ns)
        self._sent.append(sent_ns)
        self._done.append(done_ns)
        self._body_bytes += body_bytes

    def add(self, outcome: Outcome) -> None:
        if outcome.error is None:
            self.add_success(outcome.intended_ns, outcome.sent_ns, outcome.done_ns, outcome.body_bytes)
        else:
            self._failures.append(outcome)
            self.failure_counts[outcome.error.kind] += 1

    def take_batch(self) -> Batch:
        """Everything noted since the last call, which is forgotten here."""
        self._count_common_bodies()
        common_sent, common_done = _take(self.common_sent), _take(self.common_done)
        intended, sent, done = _take(self._intended), _take(self._sent), _take(self._done)
        failures, self._failures = self._failures, []
        body_bytes, self._body_bytes = self._body_bytes, 0
        self._counted = 0
        common_service = common_done - common_sent
        if len(done):
            done_ns = np.concatenate((common_done, done))
            service_ns = np.concatenate((common_service, done - sent))
            latency_ns = np.concatenate((common_service, done - intended))
        else:
            done_ns, service_ns, latency_ns = common_done, common_service, common_service
        self.attempt_count += len(done_ns) + len(failures)
        return Batch(done_ns, latency_ns, service_ns, body_bytes, failures)

    def _count_common_bodies(self) -> None:
        count = len(self.common_done)
        self._body_bytes += (count - self._counted) * self._common_body_bytes
        self._counted = count


def _take(numbers: array[int]) -> Nanoseconds:
    taken = np.array(numbers, dtype=np.int64)
    del numbers[:]
    return taken
