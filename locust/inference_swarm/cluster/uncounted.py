"""Bounds how many requests a worker may have sent since its last report: what a loss leaves unknown.

A worker may send until its lease ends, a fixed time after its last acknowledged heartbeat. Until then it
sent no faster than users were seen to send (closed load), or no more than the schedule held (open load). Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

from inference_swarm.load.arrivals import Schedule

NS_PER_S = 1_000_000_000
# A rate is taken from reports in which users ran for this long on average.
MIN_USER_S = 1.0
MAX_FORMER = 4


@dataclass(frozen=True, slots=True)
class Order:
    """An order to a worker: users to run, and its part of the arrivals as a share."""

    generation: int
    users: int
    share: float
    from_s: float = 0.0  # open load: when the share holds, since the run began
    indexes: tuple[int, ...] = ()  # open load: which arrivals they are; as many as before may be others


@dataclass(slots=True)
class Exposure:
    """The requests that one worker may have sent since `reported_s`, an instant of the master's clock."""

    reported_s: float
    orders: list[Order] = field(default_factory=list)  # the one that it follows, and those that it may follow by now
    counted: int = 0  # requests of all its reports
    judged_generation: int = -1  # orders up to this one have been searched for possible duplicates
    max_users: int = 0  # since then
    past: list[tuple[float, Order]] = field(default_factory=list)  # orders that it no longer follows, and since when
    in_flight: int = 0  # requests under way at that instant, also those of users that were stopping
    max_share: float = 0.0
    next_sequence: int = 0  # of the first report that is missing
    early: dict[int, tuple[float, int]] = field(default_factory=dict)  # later ones: until when, requests in flight then

    def begin_again(self, until_s: float, in_flight: int) -> None:
        """Restart: only orders that may be in force count, and requests that were under way."""
        self.reported_s = until_s
        self.in_flight = in_flight
        self.past = [(since_s, order) for since_s, order in self.past if since_s > until_s]
        in_force = [*self.orders, *(order for _, order in self.past)]
        self.max_users = max((order.users for order in in_force), default=0)
        self.max_share = max((order.share for order in in_force), default=0.0)


@dataclass(slots=True)
class Uncounted:
    """Follows all workers of a run."""

    schedule: Schedule | None = None
    drop_after_s: float = 0.0
    peak_per_user_rps: float | None = None
    _exposures: dict[str, Exposure] = field(default_factory=dict)
    _former: list[Schedule] = field(default_factory=list)  # which a worker may still follow

    def follow(self, schedule: Schedule | None) -> None:
        """The arrivals are those of another schedule from now on."""
        if schedule is not None and self.schedule is not None:
            self._former = [*self._former, self.schedule][-MAX_FORMER:]
            self.schedule = schedule

    def notified(self, worker: str, order: Order, now_s: float) -> None:
        """The worker was sent an order."""
        exposure = self._exposures.setdefault(worker, Exposure(now_s))
        exposure.orders.append(order)
        exposure.max_users = max(exposure.max_users, order.users)
        exposure.max_share = max(exposure.max_share, order.share)

    def applied(self, worker: str, generation: int, now_s: float) -> None:
        """The worker follows the order of this generation; earlier ones are past."""
        exposure = self._exposures.get(worker)
        if exposure is not None and len(exposure.orders) > 1:
            exposure.past += [(now_s, order) for order in exposure.orders if order.generation < generation]
            exposure.orders = [order for order in exposure.orders if order.generation >= generation]

    def is_exposed(self, worker: str) -> bool:
        """Return whether the worker was ever sent an order of this run."""
        return worker in self._exposures

    def reported(
        self, worker: str, sequence: int, ended: int, user_seconds: float, until_s: float, in_flight: int
    ) -> None:
        """What the worker sent since its report before this one, up to `until_s`, and that has ended, is counted.

        `in_flight`: what had not ended then.
        """
        exposure = self._exposures[worker]
        exposure.counted += ended
        if user_seconds >= MIN_USER_S * exposure.max_users > 0:
            # Each user may have begun one request more than have ended.
            peak_rps = (ended + exposure.max_users) / user_seconds
            self.peak_per_user_rps = max(self.peak_per_user_rps or 0.0, peak_rps)
        exposure.early[sequence] = until_s, in_flight
        while exposure.next_sequence in exposure.early:
            in_until_s, in_flight = exposure.early.pop(exposure.next_sequence)
            exposure.next_sequence += 1
            exposure.begin_again(max(in_until_s, exposure.reported_s), in_flight)

    def possible_duplicates(self, worker: str, until_s: float, began_s: float) -> int:
        """Open load: return how many arrivals the worker may have sent by an outdated order, at most.

        Call it once, when the worker stops or is lost: from then on it follows no order.
        """
        exposure = self._exposures.get(worker)
        if exposure is None or self.schedule is None:
            return 0
        orders = [order for order in exposure.orders if order.generation > exposure.judged_generation]
        if orders:
            exposure.judged_generation = orders[-1].generation
        return sum(self._outdated(former, order, until_s - began_s) for former, order in pairwise(orders))

    def unreported_duplicates(self, worker: str, began_s: float) -> int:
        """Open load: return how many arrivals the worker may have sent by an outdated order, as its report would tell.

        It has learned of its later orders since, and counts what it has sent twice; but the report is lost.
        """
        exposure = self._exposures[worker]
        if self.schedule is None:
            return 0
        followed = [order for _, order in exposure.past] + exposure.orders[:1]
        return sum(
            self._outdated(former, order, since_s - began_s)
            for (since_s, former), order in zip(exposure.past, followed[1:], strict=True)
        )

    def _outdated(self, former: Order, order: Order, until_s: float) -> int:
        """Return how many arrivals a worker may have sent by the former order, when the later one was in force."""
        if (order.share, order.from_s, order.indexes) == (former.share, former.from_s, former.indexes):
            return 0
        wanted = self._count_between(order.from_s, until_s)
        return math.ceil(wanted * former.share) + 1 if wanted > 0 and former.share else 0

    def bound(self, worker: str, until_s: float, began_s: float, possibly_sent: int | None = None) -> int | None:
        """Return the maximum of uncounted requests if the worker sent until `until_s`; None: no bound is known.

        `possibly_sent`: order once knows the requests that the worker may have made in all.
        """
        exposure = self._exposures[worker]
        if possibly_sent is not None:
            return max(0, possibly_sent - exposure.counted)
        since_s = max(0.0, until_s - exposure.reported_s)
        if self.schedule is not None:
            first = max(0.0, exposure.reported_s - self.drop_after_s - began_s)
            wanted = self._count_between(first, until_s - began_s)
            return math.ceil(wanted * exposure.max_share) + 1 + exposure.in_flight
        in_flight = exposure.max_users + exposure.in_flight  # each user may have begun one more
        if not in_flight:
            return 0
        if self.peak_per_user_rps is None:
            return None
        return math.ceil(since_s * self.peak_per_user_rps * exposure.max_users) + in_flight

    def _count_between(self, from_s: float, until_s: float) -> int:
        """Return the arrivals of the schedule that has most of them."""
        assert self.schedule is not None
        edges_ns = [round(max(0.0, at_s) * NS_PER_S) for at_s in (from_s, until_s)]
        counts = [
            schedule.count_until(edges_ns[1]) - schedule.count_until(edges_ns[0])
            for schedule in (self.schedule, *self._former)
        ]
        return max(counts)
