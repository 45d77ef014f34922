"""Which workers reported of a stretch of time, for how many seconds of it, and how many users they had. Pure.

Of a large swarm only the sums are kept for the past: a thousand workers in a thousand intervals would be most of a
master's memory, and of what it writes at each checkpoint.
"""

from __future__ import annotations

from typing import Any, Final, Self

from inference_swarm.config.documents import Document

# With so many workers one of them, reporting late of an interval that is packed, may count as two.
MANY_WORKERS: Final = 100


class Coverage:
    """By worker; `pack` keeps the sums of many workers."""

    __slots__ = ("_seconds", "_users", "_workers", "by_worker")

    def __init__(self) -> None:
        self.by_worker: dict[str, tuple[float, int]] = {}
        """Seconds and users of those that are not in the sums."""
        self._workers = 0
        self._seconds = 0.0
        self._users = 0

    @property
    def worker_count(self) -> int:
        return self._workers + len(self.by_worker)

    @property
    def seconds(self) -> float:
        """Seconds of all workers together."""
        return self._seconds + sum(seconds for seconds, _ in self.by_worker.values())

    @property
    def users(self) -> int:
        """Users of all workers together, each by its last report."""
        return self._users + sum(users for _, users in self.by_worker.values())

    def add(self, worker: str, seconds: float, users: int) -> None:
        """A worker had so many users, and spent so many seconds on what it reports."""
        self.by_worker[worker] = self.by_worker.get(worker, (0.0, 0))[0] + seconds, users

    def follow_with(self, later: Coverage) -> None:
        """Take in what comes after this: seconds add up, users are those of the later one where it has some."""
        if not (self._workers or later._workers):
            for worker, (seconds, users) in later.by_worker.items():
                self.add(worker, seconds, users)
            return
        # Mostly they are the same workers.
        most = max(self.worker_count, later.worker_count)
        self._workers, self._seconds, self._users = most, self.seconds + later.seconds, later.users or self.users
        self.by_worker = {}

    def pack(self) -> None:
        """Keep the sums only, if there are many workers."""
        if len(self.by_worker) > MANY_WORKERS or self._workers:
            self._workers, self._seconds, self._users = self.worker_count, self.seconds, self.users
            self.by_worker = {}

    def to_wire(self) -> Document:
        """Plain values for msgpack."""
        return {
            "covered_s": {worker: seconds for worker, (seconds, _) in self.by_worker.items()},
            "users": {worker: users for worker, (_, users) in self.by_worker.items()},
            "others": [self._workers, self._seconds, self._users],
        }

    @classmethod
    def from_wire(cls, wire: Any) -> Self:
        """Read what `to_wire` wrote. Raises AttributeError, KeyError, TypeError or ValueError."""
        coverage = cls()
        users = wire["users"]
        for worker, seconds in wire["covered_s"].items():
            coverage.add(str(worker), float(seconds), int(users.get(worker, 0)))
        workers, covered_s, more_users = wire.get("others", (0, 0.0, 0))  # a checkpoint of an earlier release has none
        coverage._workers, coverage._seconds, coverage._users = int(workers), float(covered_s), int(more_users)
        return coverage
