"""What users do, without making a request: how many were begun, ended and cut off by a time.

A request takes `service_s`. Closed: each user begins the next one when one has ended. Open: each arrival begins at its
instant. Order once: as closed, each with a row of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counted:
    """What a snapshot holds. `arrivals`: sent and dropped."""

    run_id: str
    worker: str
    sequence: int
    is_final: bool
    end_s: float
    ended: int = 0
    abandoned: int = 0
    dropped: int = 0
    possible_duplicates: int = 0
    user_seconds: float = 0.0
    in_flight: int = 0


@dataclass(slots=True)
class _User:
    since_s: float
    begun: int = 0  # requests
    ended: int = 0


class Users:
    """Closed load and order once. `take`: whether there is a row to send; `done`: its request has ended."""

    def __init__(
        self, service_s: float, take: Callable[[float], object | None], done: Callable[[object], None]
    ) -> None:
        self._service_s = service_s
        self._take = take
        self._done = done
        self._idle = 0  # users that found no row
        self._busy: deque[tuple[float, object]] = deque()  # ends, in order
        self._leaving = 0  # of the busy ones, how many begin no other
        self.begun = self.ended = self.abandoned = 0
        self.open_count = 0  # users of an open load, whose requests are not begun here

    @property
    def count(self) -> int:
        """Users that go on."""
        return self.open_count + self._idle + len(self._busy) - self._leaving

    @property
    def in_flight(self) -> int:
        return len(self._busy)

    def advance(self, now_s: float) -> None:
        """Everything up to now."""
        while self._busy and self._busy[0][0] <= now_s:
            end_s, row = self._busy.popleft()
            self.ended += 1
            self._done(row)
            if self._leaving:
                self._leaving -= 1
            else:
                self._begin(end_s)
        for _ in range(self._idle):
            self._idle -= 1
            if not self._begin(now_s):
                break

    def _begin(self, now_s: float) -> bool:
        row = self._take(now_s)
        if row is None:
            self._idle += 1
            return False
        self.begun += 1
        self._busy.append((now_s + self._service_s, row))
        return True

    def set(self, wanted: int, now_s: float) -> None:
        """Start or stop users; those that stop end their request first."""
        self.advance(now_s)
        while self.count < wanted:
            self._begin(now_s)
        while self.count > wanted:
            if self._idle:
                self._idle -= 1
            else:
                self._leaving += 1

    def kill(self, now_s: float) -> None:
        """Cut off what users that are stopping have in flight; others may have begun meanwhile."""
        self.advance(now_s)
        self.abandoned += self._leaving
        for _ in range(self._leaving):
            self._done(self._busy.popleft()[1])
        self._leaving = 0

    def shift_to(self, now_s: float) -> None:
        """The process did not run until now: what would have ended meanwhile ends now, and nothing was begun."""
        self._busy = deque((max(end_s, now_s), row) for end_s, row in self._busy)

    def last_end_s(self, now_s: float) -> float:
        """When the last request in flight ends."""
        return self._busy[-1][0] if self._busy else now_s


@dataclass(slots=True)
class Truth:
    """What the server under test has seen of one run, and what nobody has told anyone."""

    served: dict[str, int] = field(default_factory=dict)
    """By worker."""
    last_begun_s: float = 0.0
    arrivals: dict[int, int] = field(default_factory=dict)
    """How often each arrival was sent, by its instant."""
    rows: dict[int, int] = field(default_factory=dict)
    """Order once: how often each row was sent."""
    failed: dict[str, float] = field(default_factory=dict)
    """Workers that could not load rows, and when."""
    unattended_s: float = 0.0
    """How long users were wanted and none ran that had rows."""
    gap_s: float = 0.0
    """How long none ran at all, the last time and at most."""
    longest_gap_s: float = 0.0

    def begin(self, worker: str, now_s: float, *, is_thawing: bool = False) -> None:
        """A request has reached the server. A process that was frozen may send before it sees what time it is."""
        self.served[worker] = self.served.get(worker, 0) + 1
        if not is_thawing:
            self.last_begun_s = max(self.last_begun_s, now_s)
