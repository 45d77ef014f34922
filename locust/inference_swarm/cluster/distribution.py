"""Which worker runs how many users of which class: the wanted number and the workers go in, steps of a ramp come out.

Pure: no clock, no messages. A step starts at most a given number of users, so workers that come or go are followed at
the spawn rate as well, and nothing moves that need not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


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

    def __init__(self, classes: Iterable[UserClass]) -> None:
        self._classes = sorted(classes, key=lambda user_class: user_class.name)
        self._wanted: dict[str, int] = {user_class.name: 0 for user_class in self._classes}
        self._names = list(self._wanted)  # of every class there ever was
        self._placed: dict[str, dict[str, int]] = {}
        self._pending: set[str] = set()

    @property
    def workers(self) -> tuple[str, ...]:
        """The workers in the order in which they were added."""
        return tuple(self._placed)

    @property
    def user_count(self) -> int:
        """Users that are assigned to workers."""
        return sum(sum(users.values()) for users in self._placed.values())

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
        for users in self._placed.values():
            for name in self._names:
                users.setdefault(name, 0)

    def add_worker(self, worker: str) -> None:
        """The worker can run users. The next step returns it, even when its number is 0."""
        if worker not in self._placed:
            self._placed[worker] = dict.fromkeys(self._names, 0)
            self._pending.add(worker)

    def remove_worker(self, worker: str) -> None:
        """Remove a worker, which runs no users any more."""
        self._placed.pop(worker, None)
        self._pending.discard(worker)

    @property
    def is_settled(self) -> bool:
        """True when all wanted users are assigned evenly, or there is no worker to run them."""
        if not self._placed:
            return True
        sizes = [sum(users.values()) for users in self._placed.values()]
        return not self._pending and self._have() == self._wanted and max(sizes) - min(sizes) <= 1

    def step(self, limit: int) -> set[str]:
        """Start or stop at most `limit` users; returns the workers whose numbers have changed."""
        changed, self._pending = self._pending, set()
        if not self._placed:
            return changed
        sizes = {worker: sum(users.values()) for worker, users in self._placed.items()}
        have = self._have()
        for _ in range(max(1, limit)):
            lacking = [name for name in self._names if have[name] < self._wanted[name]]
            spare = [name for name in self._names if have[name] > self._wanted[name]]
            if lacking and not (spare and sum(have.values()) > sum(self._wanted.values())):
                name = min(lacking, key=lambda name: (not self._is_fixed(name), have[name] / self._wanted[name]))
                worker = min(sizes, key=lambda worker: (sizes[worker], self._placed[worker][name]))
                self._change(worker, name, 1, sizes, have, changed)
                if spare:  # one class takes the place of another
                    self._drop(max(spare, key=lambda name: have[name] - self._wanted[name]), sizes, have, changed)
            elif spare:
                self._drop(max(spare, key=lambda name: have[name] - self._wanted[name]), sizes, have, changed)
            elif max(sizes.values()) - min(sizes.values()) > 1:
                fullest, emptiest = max(sizes, key=lambda w: sizes[w]), min(sizes, key=lambda w: sizes[w])
                full, empty = self._placed[fullest], self._placed[emptiest]
                name = max(self._names, key=lambda name: (full[name] > 0, full[name] - empty[name]))
                self._change(fullest, name, -1, sizes, have, changed)
                self._change(emptiest, name, 1, sizes, have, changed)
            else:
                break
        return changed

    def _drop(self, name: str, sizes: dict[str, int], have: dict[str, int], changed: set[str]) -> None:
        owners = [worker for worker, users in self._placed.items() if users[name]]
        self._change(max(owners, key=lambda worker: sizes[worker]), name, -1, sizes, have, changed)

    def _change(
        self, worker: str, name: str, by: int, sizes: dict[str, int], have: dict[str, int], changed: set[str]
    ) -> None:
        self._placed[worker][name] += by
        sizes[worker] += by
        have[name] += by
        changed.add(worker)

    def _have(self) -> dict[str, int]:
        return {name: sum(users[name] for users in self._placed.values()) for name in self._names}

    def _is_fixed(self, name: str) -> bool:
        return any(user_class.name == name and user_class.fixed_count for user_class in self._classes)
