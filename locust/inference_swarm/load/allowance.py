"""The worker's side of `--requests`: grants of the master in, requests that may be sent now and reports out. Pure.

A grant is a limit of everything that this worker sends in the run, with a number. It never sends beyond it. What it
will not need it gives up itself: its reports name the limit that it keeps, and the number of the grant that they know.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
# So far ahead a worker asks for requests. A cut from the master shorter than this leaves no user without one.
AHEAD_S = 3.0
RATE_OVER_S = 1.0
# What it asks for while nobody knows how fast the server is, for each user.
FIRST_OF_USER = 100
# What is as it was is said again so often: "nothing is left to be sent" counts from the end of the arrivals.
AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Need:
    """How many requests more than those begun are wanted now; exact: there will be no others as things stand."""

    count: int
    is_exact: bool = False


@dataclass(frozen=True, slots=True)
class RequestUse:
    """What a report says: begun and ended so far, the limit that is kept, the one that is wanted."""

    number: int
    limit: int
    wanted: int
    started: int
    ended: int


class RequestAllowance:
    """What this worker may still send. An arrival that was dropped uses up its request."""

    def __init__(self) -> None:
        self.limit = 0
        self.started = 0
        self.on_low: Callable[[], None] = lambda: None
        """Called when half of what was left at the last report has been used."""
        self._number = -1
        self._low_at = 0
        self._marks: deque[tuple[float, int]] = deque()
        self._dropped = 0
        self._told: tuple[float, RequestUse] | None = None

    @property
    def is_used_up(self) -> bool:
        return self.started >= self.limit

    def grant(self, number: int, limit: int) -> bool:
        """Take up a grant; an older one, or one that is known, changes nothing. Returns whether it was a new one."""
        if number <= self._number:
            return False
        self._number, self.limit = number, limit
        self._set_low()
        return True

    def counted(self, take: Callable[[], T | None]) -> Callable[[], T | None]:
        """Return `take`, which counts each request and has none beyond the limit."""

        def take_counted() -> T | None:
            if self.started >= self.limit:
                self.on_low()
                return None
            taken = take()
            if taken is not None:
                self.started += 1
                if self.started == self._low_at:
                    self.on_low()
            return taken

        return take_counted

    def take_one(self) -> bool:
        """Count one request; returns whether it may be sent."""
        return bool(self.counted(lambda: True)())

    def skip(self, dropped: int) -> None:
        """So many arrivals were dropped in all: nobody will send their requests."""
        self.started += dropped - self._dropped
        self._dropped = dropped

    def need_of_users(self, users: int, now_s: float) -> Need:
        """Closed load: what users may send in the time ahead at the pace of the last second."""
        if not users:
            return Need(0, is_exact=True)
        since_s, started = self._marks[0] if self._marks else (now_s, self.started)
        passed_s = now_s - since_s
        pace_rps = (self.started - started) / passed_s if passed_s > 0 else 0.0
        wanted = max(users, math.ceil(pace_rps * AHEAD_S))
        # What turns out to be too much is given up again.
        return Need(wanted if passed_s >= RATE_OVER_S else max(wanted, FIRST_OF_USER * users))

    def report(self, ended: int, need: Need, now_s: float) -> RequestUse:
        """Return what the master is to know now. What is left beyond the need is given up."""
        is_plenty = self.limit - self.started > 2 * need.count
        if need.is_exact or is_plenty:
            self.limit = max(self.started, min(self.limit, self.started + need.count))
        self._marks.append((now_s, self.started))
        while len(self._marks) > 1 and self._marks[1][0] <= now_s - RATE_OVER_S:
            self._marks.popleft()
        self._set_low()
        return RequestUse(self._number, self.limit, self.started + need.count, self.started, ended)

    def is_to_be_told(self, use: RequestUse, now_s: float) -> bool:
        """Return whether the master is to have this report: it is new, or asks for more, or time has passed."""
        is_known = self._told is not None and self._told[1] == use and now_s - self._told[0] < AGAIN_S
        if is_known and use.ended >= use.started and use.wanted <= use.limit:
            return False
        self._told = now_s, use
        return True

    def final_use(self, dropped: int) -> RequestUse:
        """Return what was begun in all; everything has ended, and so many arrivals were dropped in all."""
        self.skip(dropped)
        return RequestUse(self._number, self.limit, self.started, self.started, self.started)

    def _set_low(self) -> None:
        self._low_at = self.started + max(1, (self.limit - self.started) // 2)
