"""Which worker runs how many users of which class: the wanted number and the workers go in, steps of a ramp come out.

Pure: no clock, no messages. A step starts at most a given number of users, so workers that come or go are followed at
the spawn rate as well, and nothing moves that need not. Workers differ by one user at most; those of a large swarm by
5 %, and a step gives several users to one worker, since each worker that a step changes is sent a message.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from inference_swarm.cluster.ranks import Ranks

# A ramp's step changes about so many workers at most, where there are more than that.
MAX_CHANGED: Final = 50
# In a larger swarm than this nothing moves because of a smaller difference than a part of a worker's users.
FEW_WORKERS: Final = 50
SLACK_PART: Final = 20


@dataclass(frozen=True, slots=True)
class UserClass:
    """A user class of Locust: users of a fixed count come first, the others by weight."""

    name: str
    weight: float = 1
    fixed_count: int = 0


def divide_users(count: int, classes: Sequence[UserClass]) -> dict[str, int]:
    """Return the users of each class when there are `count` in all."""
    wanted = {user_class.name: 0 for user_class in classes}
    left = count
    for user_class in classes:
        if user_class.fixed_count:
            wanted[user_class.name] = min(user_class.fixed_count, left)
            left -= wanted[user_class.name]
    weighted = [user_class for user_class in classes if not user_class.fixed_count and user_class.weight > 0]
    total_weight = sum(user_class.weight for user_class in weighted)
    if not weighted:
        return wanted
    exact = {user_class.name: left * user_class.weight / total_weight for user_class in weighted}
    wanted.update({name: int(users) for name, users in exact.items()})
    rest = left - sum(int(users) for users in exact.values())
    for name in sorted(exact, key=lambda name: (int(exact[name]) - exact[name], name))[:rest]:
        wanted[name] += 1
    return wanted


class UserDistribution:
    """The users of a run. Workers that are added or removed any number of times keep the wanted total right."""

    def __init__(self, classes: Iterable[UserClass], few_workers: int = FEW_WORKERS) -> None:
        self._few_workers = few_workers
        self._classes = sorted(classes, key=lambda user_class: user_class.name)
        self._wanted: dict[str, int] = {user_class.name: 0 for user_class in self._classes}
        self._names = list(self._wanted)  # of every class there ever was
        self._placed: dict[str, dict[str, int]] = {}
        self._have = dict.fromkeys(self._names, 0)
        self._pending: set[str] = set()
        self._is_settled: bool | None = None
        self.changed_count = 0
        """Workers whose users the last step has changed."""

    @property
    def workers(self) -> tuple[str, ...]:
        """The workers in the order in which they were added."""
        return tuple(self._placed)

    @property
    def user_count(self) -> int:
        """Users that are assigned to workers."""
        return sum(self._have.values())

    def __len__(self) -> int:
        return len(self._placed)

    def __contains__(self, worker: str) -> bool:
        return worker in self._placed

    def users_of(self, worker: str) -> Mapping[str, int]:
        """Return the users by class that a worker is to run now."""
        return dict(self._placed[worker])

    def want(self, count: int, classes: Iterable[UserClass] | None = None) -> None:
        """Aim at the given number of users, of other classes if `classes` are given."""
        if classes is not None:
            self._classes = sorted(classes, key=lambda user_class: user_class.name)
        wanted = divide_users(count, self._classes)
        self._names = list(dict.fromkeys([*self._names, *wanted]))
        self._wanted = {name: wanted.get(name, 0) for name in self._names}
        for users in (*self._placed.values(), self._have):
            for name in self._names:
                users.setdefault(name, 0)
        self._is_settled = None

    def add_worker(self, worker: str) -> None:
        """The worker can run users. The next step returns it, even when its number is 0."""
        if worker not in self._placed:
            self._placed[worker] = dict.fromkeys(self._names, 0)
            self._pending.add(worker)
            self._is_settled = None

    def remove_worker(self, worker: str) -> None:
        """Remove a worker, which runs no users any more."""
        for name, count in self._placed.pop(worker, {}).items():
            self._have[name] -= count
        self._pending.discard(worker)
        self._is_settled = None

    @property
    def is_settled(self) -> bool:
        """True when all wanted users are assigned evenly, or there is no worker to run them."""
        if self._is_settled is None:
            sizes = [sum(users.values()) for users in self._placed.values()]
            is_even = not sizes or max(sizes) - min(sizes) <= self._slack
            self._is_settled = not sizes or (not self._pending and self._have == self._wanted and is_even)
        return self._is_settled

    @property
    def _slack(self) -> int:
        """Return by how many users workers may differ."""
        count = len(self._placed)
        return 1 if count <= self._few_workers else max(1, sum(self._wanted.values()) // count // SLACK_PART)

    def step(self, limit: int) -> set[str]:
        """Start or stop at most `limit` users; returns the workers whose numbers have changed."""
        changed, self._pending = self._pending, set()
        self._is_settled = None
        with_others = set(self._changes(max(1, limit), Ranks(self._placed))) if self._placed else set()
        self.changed_count = len(with_others)
        return changed | with_others

    def _changes(self, limit: int, ranks: Ranks) -> Iterator[str]:
        """Make the changes of one step; yields each worker that is changed."""
        wanted, slack = sum(self._wanted.values()), self._slack
        level, at_once = wanted // len(self._placed), math.ceil(limit / MAX_CHANGED)
        while limit > 0:
            lacking = [name for name in self._names if self._have[name] < self._wanted[name]]
            spare = [name for name in self._names if self._have[name] > self._wanted[name]]
            if lacking and not (spare and self.user_count > wanted):
                name = self._most_lacking(lacking)
                worker = ranks.emptiest(name)
                room = level - ranks.size(worker)
                count = 1 if spare else min(limit, at_once, max(room, slack))
                self._fill(worker, name, count, ranks)
                yield worker
                if spare:  # one class takes the place of another
                    yield self._drop(spare, 1, ranks)[0]
            elif spare:
                count = min(limit, at_once, max(1, self.user_count - wanted))
                worker, count = self._drop(spare, count, ranks, down_to=level + 1)
                yield worker
            elif ranks.size(fullest := ranks.fullest()) - ranks.size(emptiest := ranks.emptiest()) > slack:
                full, empty = self._placed[fullest], self._placed[emptiest]
                name = max(self._names, key=lambda name: (full[name] > 0, full[name] - empty[name]))
                half = (ranks.size(fullest) - ranks.size(emptiest)) // 2
                count = max(1, min(limit, slack, half, full[name]))
                self._change(fullest, name, -count, ranks)
                self._change(emptiest, name, count, ranks)
                yield fullest
                yield emptiest
            else:
                return
            limit -= count

    def _most_lacking(self, lacking: Sequence[str]) -> str:
        if len(lacking) == 1:
            return lacking[0]
        return min(lacking, key=lambda name: (not self._is_fixed(name), self._have[name] / self._wanted[name]))

    def _fill(self, worker: str, name: str, count: int, ranks: Ranks) -> None:
        """Give the worker so many users, the first of the given class, the others of those that lack most by then."""
        while count > 0:
            lacking = [one for one in self._names if self._have[one] < self._wanted[one]]
            more = min(count, self._wanted[name] - self._have[name]) if len(lacking) == 1 else 1
            self._change(worker, name, more, ranks)
            count -= more
            lacking = [one for one in self._names if self._have[one] < self._wanted[one]]
            if not lacking:
                return
            name = self._most_lacking(lacking)

    def _drop(self, spare: Sequence[str], count: int, ranks: Ranks, down_to: int = 0) -> tuple[str, int]:
        """Stop up to so many users of the class that has most too many, at the worker with most users."""
        name = max(spare, key=lambda name: self._have[name] - self._wanted[name])
        worker = ranks.fullest(name)
        most = min(self._placed[worker][name], self._have[name] - self._wanted[name])
        count = max(1, min(count, most, ranks.size(worker) - down_to))
        self._change(worker, name, -count, ranks)
        return worker, count

    def _change(self, worker: str, name: str, by: int, ranks: Ranks) -> None:
        self._placed[worker][name] += by
        self._have[name] += by
        ranks.note(worker, by)

    def _is_fixed(self, name: str) -> bool:
        return any(user_class.name == name and user_class.fixed_count for user_class in self._classes)
