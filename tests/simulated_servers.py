"""Servers of known capacity in virtual time, and a search that is run against them: for tests and for benchmarks.

Requests come as a Poisson process, second by second; a model says when each is done. `found_by` runs a whole search.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from inference_swarm.judge.capacity.plan import SearchPlan
from inference_swarm.judge.capacity.search import Search
from inference_swarm.judge.capacity.steps import Look

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
REPORT_S = 1.0
LEAD_S = 0.4
STALL_S = 0.1


class Server(Protocol):
    """Arrival instants in, ascending; when each is done, and whether it succeeded."""

    def serve(self, arrivals_s: Floats) -> tuple[Floats, Flags]:
        """Return both for each arrival."""


@dataclass
class OneQueue:
    """One server with one queue; `service_s` draws the service times of so many requests."""

    service_s: Callable[[int], Floats]
    _free_s: float = 0.0

    def serve(self, arrivals_s: Floats) -> tuple[Floats, Flags]:
        service = self.service_s(len(arrivals_s))
        worked = np.cumsum(service)
        before = worked - service
        done = worked + np.maximum(np.maximum.accumulate(arrivals_s - before), self._free_s)
        if len(done):
            self._free_s = float(done[-1])
        return done, np.ones(len(done), dtype=bool)


@dataclass
class ManyServers:
    """`count` servers with one queue."""

    service_s: Callable[[int], Floats]
    count: int = 4
    _free: list[float] = field(default_factory=list)

    def serve(self, arrivals_s: Floats) -> tuple[Floats, Flags]:
        free = self._free or [0.0] * self.count
        heapq.heapify(free)
        done = np.empty(len(arrivals_s))
        for place, (at_s, service_s) in enumerate(
            zip(arrivals_s.tolist(), self.service_s(len(arrivals_s)).tolist(), strict=True)
        ):
            end_s = max(at_s, free[0]) + service_s
            heapq.heapreplace(free, end_s)
            done[place] = end_s
        self._free = free
        return done, np.ones(len(done), dtype=bool)


@dataclass
class HardLimit:
    """Answers in 2 ms; what comes above `limit_rps` is answered with 503 at once (a bucket of a tenth of a second)."""

    limit_rps: float = 300.0
    burst: float = 30.0
    _level: float = 30.0
    _last_s: float = 0.0

    def serve(self, arrivals_s: Floats) -> tuple[Floats, Flags]:
        is_served = np.empty(len(arrivals_s), dtype=bool)
        for place, at_s in enumerate(arrivals_s.tolist()):
            self._level = min(self.burst, self._level + (at_s - self._last_s) * self.limit_rps)
            self._last_s = at_s
            is_served[place] = self._level >= 1
            self._level -= self._level >= 1
        return arrivals_s + 0.002, is_served


@dataclass
class Cliff:
    """A single-server queue that collapses when `limit` requests wait, and needs 5 s without a queue to recover."""

    service_s: Callable[[int], Floats]
    limit: int = 100
    slow_factor: float = 10.0
    recovery_s: float = 5.0
    _free_s: float = 0.0
    _waiting: list[float] = field(default_factory=list)
    _collapsed_until_s: float = -1.0

    def serve(self, arrivals_s: Floats) -> tuple[Floats, Flags]:
        done = np.empty(len(arrivals_s))
        waiting = self._waiting
        for place, (at_s, service_s) in enumerate(
            zip(arrivals_s.tolist(), self.service_s(len(arrivals_s)).tolist(), strict=True)
        ):
            while waiting and waiting[0] <= at_s:
                heapq.heappop(waiting)
            if len(waiting) >= self.limit:
                self._collapsed_until_s = math.inf
            elif len(waiting) <= 2 and math.isinf(self._collapsed_until_s):
                self._collapsed_until_s = at_s + self.recovery_s
            slow = self.slow_factor if at_s < self._collapsed_until_s else 1.0
            self._free_s = max(at_s, self._free_s) + service_s * slow
            heapq.heappush(waiting, self._free_s)
            done[place] = self._free_s
        return done, np.ones(len(done), dtype=bool)


@dataclass
class Noisy:
    """A single-server queue whose speed wanders by some per cent, and which stops for a moment now and then."""

    rng: np.random.Generator
    service_s: Callable[[int], Floats]
    spread: float = 0.03
    pause_s: float = 0.015
    pause_every_s: float = 10.0
    _free_s: float = 0.0
    _level: float = 0.0
    _level_at_s: float = 0.0
    _pause_at_s: float = 5.0

    def serve(self, arrivals_s: Floats) -> tuple[Floats, Flags]:
        while len(arrivals_s) and self._level_at_s <= arrivals_s[0]:
            self._level_at_s += 1.0
            self._level = 0.8 * self._level + self.spread * 0.6 * float(self.rng.standard_normal())
        service = self.service_s(len(arrivals_s)) * math.exp(self._level)
        for place, at_s in enumerate(arrivals_s.tolist()):
            if at_s >= self._pause_at_s:
                service[place] += self.pause_s
                self._pause_at_s = at_s + float(self.rng.exponential(self.pause_every_s))
                break
        worked = np.cumsum(service)
        done = worked + np.maximum(np.maximum.accumulate(arrivals_s - (worked - service)), self._free_s)
        if len(done):
            self._free_s = float(done[-1])
        return done, np.ones(len(done), dtype=bool)


@dataclass
class World:
    """A server under a load that a search decides, in virtual time."""

    server: Server
    rng: np.random.Generator
    plan: SearchPlan
    stalls_per_s: float = 0.0
    """How often the load generator stands still for a tenth of a second, and sends late what was due then."""
    is_stall_known: bool = True
    now_s: float = 0.0
    offered: int = 0
    _done: Floats = field(default_factory=lambda: np.zeros(0))
    _latency: Floats = field(default_factory=lambda: np.zeros(0))
    _served: Flags = field(default_factory=lambda: np.zeros(0, dtype=bool))
    _step: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _is_late: bool = False
    _stall_rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def run(self, search: Search, max_s: float = 3600.0) -> Search:
        """Run the search to its end."""
        order = search.begin()
        start_s, load, step, settled_s = 0.0, order.load, order.step, order.settle_s
        search.begun(0.0)
        while search.outcome is None and self.now_s < max_s:
            self._second(load, step, settled_s)
            ended = self._done <= self.now_s
            mine = ended & (self._step == step)
            times = self._latency[mine & self._served]
            mean_s = float(times.mean()) if times.size else 0.0
            in_flight, is_late = int((~ended).sum()), self._is_late and self.is_stall_known
            look = Look(
                step, self.now_s, int(mine.sum()), self._beyond(mine), in_flight, mean_s,
                is_generator_bound=is_late, is_late=is_late,
            )  # fmt: skip
            self._keep(~ended)
            order_now = search.look(look)
            if order_now is not None:
                self._second(load, step, settled_s, LEAD_S)
                start_s, load, step = self.now_s, order_now.load, order_now.step
                settled_s = start_s + order_now.settle_s
                search.begun(start_s)
        return search

    def _second(self, load: float, step: int, settled_s: float, length_s: float = REPORT_S) -> None:
        count = int(self.rng.poisson(load * length_s))
        arrivals = np.sort(self.rng.random(count)) * length_s + self.now_s
        self.offered += count
        done, served = self.server.serve(self._sent(arrivals, length_s))
        self._done = np.concatenate([self._done, done])
        self._latency = np.concatenate([self._latency, done - arrivals])
        self._served = np.concatenate([self._served, served])
        self._step = np.concatenate([self._step, np.where(arrivals >= settled_s, step, 0)])
        self.now_s += length_s

    def _sent(self, arrivals: Floats, length_s: float) -> Floats:
        """When the load generator sends what is intended at these instants of a second."""
        self._is_late = bool(self.stalls_per_s) and self._stall_rng.random() < self.stalls_per_s * length_s
        if not self._is_late:
            return arrivals
        end_s = self.now_s + STALL_S + self._stall_rng.random() * (length_s - STALL_S)
        stalled = (arrivals > end_s - STALL_S) & (arrivals < end_s)
        return np.where(stalled, end_s, arrivals)

    def _beyond(self, mine: Flags) -> tuple[int, ...]:
        latency, served = self._latency[mine], self._served[mine]
        found = []
        for criterion in self.plan.criteria:
            is_slow = ~served if criterion.bound_us is None else ~served | (latency >= criterion.bound_us / 1e6)
            found.append(int(is_slow.sum()))
        return tuple(found)

    def _keep(self, which: Flags) -> None:
        self._done, self._latency = self._done[which], self._latency[which]
        self._served, self._step = self._served[which], self._step[which]


def exponential(rng: np.random.Generator, mean_s: float) -> Callable[[int], Floats]:
    """Service times of an M/M queue."""
    return lambda count: rng.exponential(mean_s, count)


def fixed(mean_s: float) -> Callable[[int], Floats]:
    """Service times of an M/D queue."""
    return lambda count: np.full(count, mean_s)


def models(rng: np.random.Generator) -> dict[str, Callable[[], Server]]:
    """All models by name."""
    return {
        "mm1": lambda: OneQueue(exponential(rng, 0.002)),
        "md1": lambda: OneQueue(fixed(0.002)),
        "mm4": lambda: ManyServers(exponential(rng, 0.008)),
        "slow": lambda: ManyServers(fixed(0.05)),
        "limit": HardLimit,
        "cliff": lambda: Cliff(exponential(rng, 0.002)),
        "noisy": lambda: Noisy(rng, exponential(rng, 0.002)),
    }
