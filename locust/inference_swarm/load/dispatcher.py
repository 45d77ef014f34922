"""Hands the arrivals of a worker's share to its users: a free one gets it at its instant, else it waits for one.

Instants are monotonic ns of this process; the share counts from `began_ns`. Clock, timer and the switch between
greenlets are injected, so that it can be tested with a fake clock.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from typing import Any

from gevent import get_hub, getcurrent

from inference_swarm.load.arrivals import NO_PART, Part, Schedule, Share
from inference_swarm.load.timer import Timer, make_timer

# So far ahead arrivals are computed; a change of shares must be announced earlier than that.
AHEAD_NS = 100_000_000
NO_LIMIT_NS = 1 << 62


class ArrivalDispatcher:
    """The `Arrivals` of this process's users."""

    def __init__(
        self,
        share: Share,
        began_ns: int,
        *,
        drop_after_ns: int,
        lease_until_ns: int = NO_LIMIT_NS,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        timer_with: Callable[[Callable[[], None]], Timer] = make_timer,
    ) -> None:
        self._share = share
        self._began_ns = began_ns
        self._drop_after_ns = drop_after_ns
        self._lease_until_ns = lease_until_ns
        self._clock_ns = clock_ns
        self._timer = timer_with(self._dispatch)
        self._free: deque[Any] = deque()
        self._due: deque[int] = deque()
        self._dropped_ns: array[int] = array("q")
        self.dropped_count = 0
        """Arrivals that `take_dropped_ns` has returned."""
        self._lags_ns: array[int] = array("q")
        self._is_ended = False

    @property
    def end_ns(self) -> int | None:
        """The instant at which the schedule ends; None if it does not."""
        end_ns = self._share.schedule.end_ns
        return None if end_ns is None else self._began_ns + end_ns

    def wait_next(self) -> int:
        """Block the calling user until an arrival is assigned to it; returns the intended instant."""
        now_ns = self._clock_ns()
        if not self._free and self._is_next_due(now_ns):
            return self._due.popleft()
        user = getcurrent()
        self._free.append(user)
        if len(self._free) == 1:
            self._set_timer(now_ns)
        try:
            intended_ns: int = get_hub().switch()
        except BaseException:
            self._free.remove(user)
            raise
        return intended_ns

    def give_back(self, intended_ns: int) -> None:
        """Return an arrival of a stopping user: another one gets it, or it is dropped when the load is over."""
        if self._is_ended:
            self._dropped_ns.append(intended_ns)
            return
        self._due.appendleft(intended_ns)
        if self._free:
            self._set_timer(self._clock_ns())

    @property
    def possible_duplicates(self) -> int:
        """Arrivals that others may have sent as well, since this process learned of a change too late."""
        return self._share.possible_duplicates

    def change(self, part: Part, from_ns: int) -> None:
        """Take this part from an instant on, in ns since the run began."""
        self._share.change(part, from_ns)
        if self._free:
            self._set_timer(self._clock_ns())

    def follow(self, schedule: Schedule, from_ns: int) -> None:
        """Follow another schedule from an instant on, in ns since the run began; what was missed by then is dropped."""
        self._dropped_ns.extend((self._share.follow(schedule, from_ns) + self._began_ns).tolist())
        if self._free:
            self._set_timer(self._clock_ns())

    @property
    def schedule(self) -> Schedule:
        return self._share.schedule

    @property
    def free_count(self) -> int:
        """Users that wait for an arrival."""
        return len(self._free)

    def count_waiting(self) -> int:
        """Return how many arrivals are due and wait for a user."""
        if self._free:
            return 0
        now_ns = self._clock_ns()
        self._is_next_due(now_ns)
        return bisect_right(self._due, now_ns)

    def count_needed(self, ahead_s: float) -> tuple[int, bool]:
        """Return how many arrivals wait for a user or will in the time ahead, and whether these are all of them."""
        if self._is_ended:
            return 0, True
        count, is_all = self._share.count_ahead(ahead_s)
        return len(self._due) + count, is_all

    def extend_lease(self, until_ns: int) -> None:
        """Allow arrivals up to this instant to be taken."""
        self._lease_until_ns = max(self._lease_until_ns, until_ns)

    def pause(self, until_ns: int) -> None:
        """Take no arrivals after this instant; those still waiting are dropped."""
        self._look_ahead(self._clock_ns())
        self._share.change(NO_PART, max(0, until_ns - self._began_ns))
        self._drop_due(min(until_ns, self._clock_ns()))

    def take_dropped_ns(self) -> array[int]:
        """Return the intended instants of arrivals that were dropped since the last call."""
        if not self._is_ended and not self._free:
            self._is_next_due(self._clock_ns())
        dropped_ns, self._dropped_ns = self._dropped_ns, array("q")
        self.dropped_count += len(dropped_ns)
        return dropped_ns

    def take_lags_ns(self) -> array[int]:
        """Return by how much arrivals were late though a user was free, since the last call."""
        lags_ns, self._lags_ns = self._lags_ns, array("q")
        return lags_ns

    def end(self) -> None:
        """End the load: arrivals still waiting are dropped, and none will follow."""
        if self._is_ended:
            return
        now_ns = self._clock_ns()
        self._look_ahead(now_ns)
        self._is_ended = True
        self._timer.close()
        self._drop_due(now_ns)

    def _drop_due(self, until_ns: int) -> None:
        self._dropped_ns.extend(intended_ns for intended_ns in self._due if intended_ns <= until_ns)
        self._due.clear()

    def _dispatch(self) -> None:
        """Dispatch due arrivals; runs in the hub when the next arrival is due."""
        now_ns = self._clock_ns()
        while self._free and self._is_next_due(now_ns):
            intended_ns = self._due.popleft()
            self._lags_ns.append(now_ns - intended_ns)
            self._free.popleft().switch(intended_ns)
            now_ns = self._clock_ns()
        if self._free:
            self._set_timer(now_ns)

    def _is_next_due(self, now_ns: int) -> bool:
        """Return whether an arrival is to be sent now; drops those that waited too long."""
        while True:
            if not self._due:
                self._look_ahead(now_ns)
                if not self._due:
                    return False
            age_ns = now_ns - self._due[0]
            if age_ns < 0:
                return False
            if age_ns <= self._drop_after_ns:
                return True
            self._dropped_ns.append(self._due.popleft())

    def _look_ahead(self, now_ns: int) -> None:
        if not self._is_ended:
            offsets_ns = self._share.take(min(now_ns + AHEAD_NS, self._lease_until_ns) - self._began_ns)
            self._due.extend((offsets_ns + self._began_ns).tolist())

    def _set_timer(self, now_ns: int) -> None:
        if self._is_ended or (not self._due and self._share.is_over):
            return
        # With nothing due in the time looked ahead to, look again before that time is over.
        self._timer.set(self._due[0] if self._due else now_ns + AHEAD_NS // 2)
