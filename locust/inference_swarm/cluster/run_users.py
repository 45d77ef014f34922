"""The users of one run over its workers, and which part of an open load's arrivals each of them sends.

Pure: wanted numbers, workers and the time go in, `SetUsers` messages come out.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping

from inference_swarm.cluster.distribution import FEW_WORKERS, UserClass, UserDistribution
from inference_swarm.cluster.protocol import MAX_EARLIER, Partition, SetUsers, Step
from inference_swarm.load.steps import LoadStep

NS_PER_S = 1_000_000_000
# From the announcement of new partitions until they hold: more than any worker has looked ahead and a message takes.
CHANGE_LEAD_S = 0.4
# Users of one step, and of one worker in it: 8 ms in which those who run already are not answered.
MAX_AT_ONCE, MAX_PER_WORKER = 5000, 200
# Workers that come and go one after the other are followed together.
FOLLOW_PERIOD_S = 0.1
# Each change of a worker's users is a message, a heartbeat and its reply: 0.25 ms of the master's time.
MAX_CHANGES_PER_S = 500
# With more users than this the workers' shares of the arrivals are equal, which is then as good as by users.
MAX_PARTITION_COUNT = 256


class RunUsers:
    """Users follow the workers at the spawn rate; arrivals follow the users."""

    def __init__(
        self,
        run_id: str,
        classes: Iterable[UserClass],
        spawn_rate: float,
        began_s: float,
        boot: str,
        *,
        is_open: bool,
        few_workers: int = FEW_WORKERS,
    ) -> None:
        self._run_id = run_id
        self._distribution = UserDistribution(classes, few_workers)
        self._spawn_rate = spawn_rate
        self._began_s = began_s
        self._boot = boot
        self._is_open = is_open
        self._generation = 0
        self._due_s: float | None = None
        self._stepped_s = self._pause_until_s = -math.inf
        self._touched: set[str] = set()
        self._partitions: dict[str, Partition] = {}
        self._unconfirmed: dict[str, deque[tuple[int, Partition]]] = {}  # by worker: (generation, partition)
        self._is_divided = False
        self._epochs_ns: tuple[int, ...] = ()
        self._steps: tuple[Step, ...] = ()
        self.wanted = 0

    @property
    def due_s(self) -> float | None:
        """Return when the next step of the ramp is due; None while there is none."""
        return self._due_s

    @property
    def is_settled(self) -> bool:
        """True when all wanted users are assigned evenly, or there is no worker to run them."""
        return self._distribution.is_settled

    @property
    def user_count(self) -> int:
        """Users that are assigned to workers."""
        return self._distribution.user_count

    def users_of(self, worker: str) -> int:
        """Return the users that are assigned to the worker."""
        return sum(self._distribution.users_of(worker).values()) if worker in self._distribution else 0

    def partition_of(self, worker: str) -> Partition:
        """Return the worker's partition of the arrivals as it was last sent."""
        return self._partitions.get(worker, Partition())

    def want(self, count: int, spawn_rate: float, now_s: float, classes: Iterable[UserClass] | None = None) -> None:
        """Aim at the given number of users, of other classes if `classes` are given."""
        self.wanted, self._spawn_rate = count, spawn_rate
        self._distribution.want(count, classes)
        self._due_s = now_s

    def set_hosts(self, workers: Iterable[str], now_s: float) -> None:
        """Let these workers, and no others, run users; of an open load the former ones do while there are no others."""
        hosts = list(workers)
        if self._is_open and not hosts:
            return
        for worker in set(self._distribution.workers) - set(hosts):
            self._distribution.remove_worker(worker)
            self._touched.add(worker)
        for worker in hosts:
            self._distribution.add_worker(worker)
        if not self._distribution.is_settled or self._touched:
            soon_s = max(now_s, self._stepped_s + FOLLOW_PERIOD_S, self._pause_until_s)
            self._due_s = soon_s if self._due_s is None else min(self._due_s, soon_s)

    def reset(self, at_s: float) -> None:
        """Restart the statistics at this instant, in seconds since the run began."""
        self._epochs_ns = (*self._epochs_ns, round(at_s * NS_PER_S))
        self._touched.update(self._distribution.workers)

    def set_steps(self, steps: Iterable[LoadStep]) -> None:
        """These are the steps of the load so far; every worker is to know them."""
        self._steps = tuple(Step(step.from_ns, step.settled_ns, step.rate_rps) for step in steps)
        self._touched.update(self._distribution.workers)

    def forget(self, worker: str) -> None:
        """Forget a worker that is gone: nothing more is sent to it."""
        self._distribution.remove_worker(worker)
        self._touched.discard(worker)
        self._partitions.pop(worker, None)
        self._unconfirmed.pop(worker, None)

    def confirm(self, worker: str, generation: int) -> None:
        """The worker follows its order of this generation, so it knows the partitions up to that one."""
        unconfirmed = self._unconfirmed.get(worker, ())
        while unconfirmed and unconfirmed[0][0] <= generation:
            unconfirmed.popleft()

    def repeat(self, worker: str) -> None:
        """Send the worker's last order again, which seems to be lost."""
        self._touched.add(worker)

    def advance(self, now_s: float) -> None:
        """Make the next step of the ramp, if it is due."""
        if self._due_s is None or now_s < self._due_s:
            return
        most = min(MAX_AT_ONCE, MAX_PER_WORKER * max(1, len(self._distribution)))
        at_once = max(1, min(math.floor(self._spawn_rate), most))
        self._touched |= self._distribution.step(at_once)
        self._stepped_s = now_s
        self._pause_until_s = now_s + self._distribution.changed_count / MAX_CHANGES_PER_S
        period_s = at_once / self._spawn_rate
        planned_s = max(self._due_s, now_s - period_s)  # a step that is late does not make the next one late
        self._due_s = None if self._distribution.is_settled else max(planned_s + period_s, self._pause_until_s)

    def take_messages(self, now_s: float) -> list[tuple[str, SetUsers]]:
        """Return the messages that are due now, by worker."""
        if not self._touched:
            return []
        if self._is_open:
            self._divide_arrivals(now_s)
        self._generation += 1
        touched, self._touched = self._touched, set()
        return [(worker, self._message(worker, now_s)) for worker in sorted(touched)]

    def _divide_arrivals(self, now_s: float) -> None:
        """Assign arrivals to the workers that have users. All changed partitions are sent with one common instant."""
        users = {worker: count for worker in self._distribution.workers if (count := self.users_of(worker))}
        from_s = max(0.0, now_s + CHANGE_LEAD_S - self._began_s) if self._is_divided else 0.0
        self._is_divided = True
        former, parts = self._partitions, divide(users)
        self._partitions = {}
        for worker in {*former, *parts, *self._touched}:
            indexes, count = parts.get(worker, ((), 0))
            known = former.get(worker)
            if known is not None and (known.indexes, known.count) == (indexes, count):
                self._partitions[worker] = known
                continue
            self._partitions[worker] = Partition(indexes, count, round(from_s * NS_PER_S))
            self._touched.add(worker)

    def _message(self, worker: str, now_s: float) -> SetUsers:
        known = worker in self._distribution
        partition = self._partitions.get(worker, Partition()) if self._is_open else None
        earlier: tuple[Partition, ...] = ()
        if partition is not None:
            unconfirmed = self._unconfirmed.setdefault(worker, deque(maxlen=MAX_EARLIER))
            earlier = tuple(one for _, one in unconfirmed if one != partition)
            unconfirmed.append((self._generation, partition))
        return SetUsers(
            self._run_id,
            self._generation,
            dict(self._distribution.users_of(worker)) if known else {},
            round(self._began_s * NS_PER_S),
            round(now_s * NS_PER_S),
            self._boot,
            partition,
            self._epochs_ns,
            earlier,
            self._steps,
        )


def divide(users: Mapping[str, int]) -> dict[str, tuple[tuple[int, ...], int]]:
    """Return (indexes, count) of each worker with users: its arrivals are those with these indexes of every `count`.

    In proportion to users where there are few, evenly interleaved; else equal: workers hardly differ then.
    """
    workers = [worker for worker, count in users.items() if count]
    total = sum(users[worker] for worker in workers)
    if total > MAX_PARTITION_COUNT or len({users[worker] for worker in workers}) == 1:
        return {worker: ((rank,), len(workers)) for rank, worker in enumerate(workers)}
    slots = sorted(
        ((turn + 0.5) / users[worker], rank, worker)
        for rank, worker in enumerate(workers)
        for turn in range(users[worker])
    )
    parts: dict[str, list[int]] = {worker: [] for worker in workers}
    for index, (_, _, worker) in enumerate(slots):
        parts[worker].append(index)
    return {worker: (tuple(indexes), total) for worker, indexes in parts.items()}
