"""Deadlines that cost nothing per request: one timer for the process looks who has exceeded theirs and interrupts them.

The timer fires at the earliest deadline of the waiters. A waiter that begins later has a later deadline than the
shortest one from now, so a scan is due by then at the latest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from gevent import get_hub, getcurrent

_NS_PER_S: Final = 1_000_000_000
MIN_GAP_S: Final = 0.01
"""The minimum time between two scans, each of which visits every waiter; an interruption may be this late."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a phase may last. The request's own covers everything from the send to the last byte."""

    connect_s: float = 10.0
    send_s: float = 10.0
    request_s: float = 60.0

    @property
    def shortest_s(self) -> float:
        return min(self.connect_s, self.send_s, self.request_s)


class DeadlineExceeded(BaseException):
    """Thrown into a greenlet whose deadline has passed; never leaves the connection that waits for it."""


class Waiting(Protocol):
    """A waiter with a deadline: `due_ns` is 0 while it waits for nothing that has one."""

    def due_ns(self) -> int: ...
    def interrupt(self) -> None: ...


class Wait:
    """The wait of one connection's greenlet: for what, and since when. It holds the instants of the attempt as well."""

    __slots__ = ("_request_ns", "done_ns", "greenlet", "is_for_response", "phase_due_ns", "sent_ns", "switch")

    def __init__(self, request_s: float) -> None:
        """Belongs to the calling greenlet."""
        self.greenlet = getcurrent()
        self.switch: Callable[[], Any] = get_hub().switch
        self._request_ns = round(request_s * _NS_PER_S)
        self.is_for_response = False
        self.phase_due_ns = 0
        self.sent_ns = 0
        self.done_ns = 0

    def due_ns(self) -> int:
        if self.phase_due_ns:
            return self.phase_due_ns
        return self.sent_ns + self._request_ns if self.is_for_response else 0

    def interrupt(self) -> None:
        self.greenlet.throw(DeadlineExceeded)


class TimeoutScan:
    """Interrupts every registered waiter at most `MIN_GAP_S` after its deadline, if the event loop is not busy."""

    def __init__(self, deadlines: Deadlines) -> None:
        self._shortest_s = deadlines.shortest_s
        self._waiters: set[Waiting] = set()
        self._timer: Any = None

    def add(self, waiter: Waiting) -> None:
        self._waiters.add(waiter)
        if self._timer is None:
            self._start(self._shortest_s)

    def remove(self, waiter: Waiting) -> None:
        self._waiters.discard(waiter)
        if not self._waiters:
            self._stop()

    @property
    def waiter_count(self) -> int:
        return len(self._waiters)

    def run_once(self) -> float:
        """Interrupt all waiters that are due; returns the seconds until the next scan. Runs in the hub."""
        now_ns = time.monotonic_ns()
        next_ns = now_ns + round(self._shortest_s * _NS_PER_S)
        exceeded = []
        for waiter in self._waiters:
            due_ns = waiter.due_ns()
            if 0 < due_ns <= now_ns:
                exceeded.append(waiter)
            elif 0 < due_ns < next_ns:
                next_ns = due_ns
        for waiter in exceeded:
            if 0 < waiter.due_ns() <= now_ns:  # an earlier interruption may have changed this one
                waiter.interrupt()
        return max((next_ns - time.monotonic_ns()) / _NS_PER_S, MIN_GAP_S)

    def _start(self, after_s: float) -> None:
        # ref=False: a scan alone keeps no loop alive
        self._timer = get_hub().loop.timer(after_s, ref=False)
        self._timer.start(self._look, update=True)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def _look(self) -> None:
        after_s = self.run_once()
        self._stop()
        if self._waiters:  # the last one may have left
            self._start(after_s)
