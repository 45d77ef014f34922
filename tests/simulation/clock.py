"""The virtual clock: things happen in order of their time, ties in order of their planning."""

from __future__ import annotations

import heapq
from collections.abc import Callable

Deed = Callable[[], None]


class Clock:
    """Seconds since the world began; nothing here reads a real clock."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.count = 0
        self._queue: list[tuple[float, int, Deed]] = []

    def at(self, time_s: float, deed: Deed) -> None:
        """Do something at a time, or now if that has passed."""
        self.count += 1
        heapq.heappush(self._queue, (max(time_s, self.now_s), self.count, deed))

    def after(self, pause_s: float, deed: Deed) -> None:
        """Do something after a pause."""
        self.at(self.now_s + pause_s, deed)

    def run_until(self, end_s: float) -> None:
        """Everything up to a time, that included."""
        queue, pop = self._queue, heapq.heappop
        while queue and queue[0][0] <= end_s:
            self.now_s, _, deed = pop(queue)
            deed()
        self.now_s = end_s
