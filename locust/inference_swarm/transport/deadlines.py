"""Deadlines that cost nothing per request: one timer for the process looks who is overdue and interrupts them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

from gevent import get_hub


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a phase may last. The request's own covers everything from the send to the last byte."""

    connect_s: float = 10.0
    send_s: float = 10.0
    request_s: float = 60.0

    @property
    def shortest_s(self) -> float:
        return min(self.connect_s, self.send_s, self.request_s)


class Overdue(BaseException):
    """Thrown into a greenlet whose deadline has passed; never leaves the connection that waits for it."""


class Waiting(Protocol):
    """Who can be overdue: `due_ns` is 0 while it waits for nothing that has a deadline."""

    def due_ns(self) -> int: ...
    def interrupt(self) -> None: ...


class Sweep:
    """Interrupts every registered waiter within a tenth of the shortest deadline after its own has passed."""

    def __init__(self, deadlines: Deadlines) -> None:
        self.period_s = min(max(deadlines.shortest_s / 10, 0.005), 0.5)
        self._waiters: set[Waiting] = set()
        self._timer: Any = None

    def add(self, waiter: Waiting) -> None:
        self._waiters.add(waiter)
        if self._timer is None:
            # ref=False: a sweep alone keeps no loop alive
            self._timer = get_hub().loop.timer(self.period_s, self.period_s, ref=False)
            self._timer.start(self.run_once)

    def remove(self, waiter: Waiting) -> None:
        self._waiters.discard(waiter)
        if not self._waiters and self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def run_once(self) -> None:
        """Runs in the hub; the interrupted greenlet goes on until it waits again."""
        now_ns = time.monotonic_ns()
        overdue = [waiter for waiter in self._waiters if 0 < waiter.due_ns() <= now_ns]
        for waiter in overdue:
            if 0 < waiter.due_ns() <= now_ns:  # an earlier interruption may have changed this one
                waiter.interrupt()
