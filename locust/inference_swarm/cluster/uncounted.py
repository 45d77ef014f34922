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
    """An order to a worker: users to run, and its part of the arrivals."""

    generation: int
    users: int
    share: float
    from_s: float = 0.0  # open load: when the share holds, since the run began
    indexes: tuple[int, ...] = ()  # open load: which arrivals they are; as many as before may be others

    @property
    def excess(self) -> float:
        """By how many at most a stretch of arrivals may hold more of the worker's than its share of them."""
        if not self.indexes:
            return 1.0 if self.share else 0.0
        ahead = [before - index * self.share for before, index in enumerate(self.indexes)]
        return max(ahead) - min(ahead) + 1 - self.share


@dataclass(frozen=True, slots=True)
class FormerOrder:
    """An order that the worker no longer follows."""

    order: Order
    since_s: float  # when that was known
    arrivals_until_s: float  # open load: later ones were not its own by this order


@dataclass(slots=True)
class Exposure:
    """The requests that one worker may have sent since `reported_s`, an instant of the master's clock."""

    reported_s: float
    orders: list[Order] = field(default_factory=list)  # the one that it follows, and those that it may follow by now
    counted: int = 0  # requests of all its reports
    is_evidence: bool = True  # its reports show how fast its users send
    judged_generation: int = -1  # orders up to this one have been searched for possible duplicates
    past: list[FormerOrder] = field(default_factory=list)  # by which it may have sent since then
    in_flight: int = 0  # requests under way at that instant, also those of users that were stopping
    next_sequence: int = 0  # of the first report that is missing
    early: dict[int, tuple[float, int]] = field(default_factory=dict)  # later ones: until when, requests in flight then

    @property
    def max_users(self) -> int:
        """The most users that the worker may have run since then."""
        followed = [former.order for former in self.past if former.since_s > self.reported_s]
        return max((order.users for order in (*self.orders, *followed)), default=0)

    def begin_again(self, until_s: float, in_flight: int, drop_after_s: float) -> None:
        """Restart: only orders count that may be in force, or whose arrivals may still be sent, late as they are."""
        self.reported_s = until_s
        self.in_flight = in_flight
        self.past = [
            former
            for former in self.past
            if former.since_s > until_s or former.arrivals_until_s > until_s - drop_after_s
        ]


@dataclass(slots=True)
class Uncounted:
    """Follows all workers of a run."""

    schedule: Schedule | None = None
    drop_after_s: float = 0.0
    began_s: float = 0.0  # the run, by the master's clock
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

    def applied(self, worker: str, generation: int, now_s: float) -> None:
        """The worker follows the order of this generation; earlier ones are past."""
        exposure = self._exposures.get(worker)
        if exposure is not None and len(exposure.orders) > 1:
            from_s = max((order.from_s for order in exposure.orders if order.generation <= generation), default=0.0)
            exposure.past += [
                FormerOrder(order, now_s, max(now_s, self.began_s + from_s))
                for order in exposure.orders
                if order.generation < generation
            ]
            exposure.orders = [order for order in exposure.orders if order.generation >= generation]

    def is_exposed(self, worker: str) -> bool:
        """Return whether the worker was ever sent an order of this run."""
        return worker in self._exposures

    def was_silent(self, worker: str) -> None:
        """It may have stood still, and its users with it: its reports do not show how fast others send."""
        if worker in self._exposures:
            self._exposures[worker].is_evidence = False

    def reported(
        self, worker: str, sequence: int, ended: int, user_seconds: float, until_s: float, in_flight: int
    ) -> None:
        """What the worker sent since its report before this one, up to `until_s`, and that has ended, is counted.

        `in_flight`: what had not ended then.
        """
        exposure = self._exposures[worker]
        exposure.counted += ended
        if exposure.is_evidence and user_seconds >= MIN_USER_S * exposure.max_users > 0:
            # Each user may have begun one request more than have ended.
            peak_rps = (ended + exposure.max_users) / user_seconds
            self.peak_per_user_rps = max(self.peak_per_user_rps or 0.0, peak_rps)
        exposure.early[sequence] = until_s, in_flight
        while exposure.next_sequence in exposure.early:
            in_until_s, in_flight = exposure.early.pop(exposure.next_sequence)
            exposure.next_sequence += 1
            exposure.begin_again(max(in_until_s, exposure.reported_s), in_flight, self.drop_after_s)

    def possible_duplicates(self, worker: str, until_s: float) -> int:
        """Open load: return how many arrivals the worker may have sent by an outdated order, at most.

        Call it once, when the worker stops or is lost: from then on it follows no order.
        """
        exposure = self._exposures.get(worker)
        if exposure is None or self.schedule is None:
            return 0
        orders = [order for order in exposure.orders if order.generation > exposure.judged_generation]
        if orders:
            exposure.judged_generation = orders[-1].generation
        return sum(self._outdated(former, order, until_s) for former, order in pairwise(orders))

    def unreported_duplicates(self, worker: str) -> int:
        """Open load: return how many arrivals the worker may have sent by an outdated order, as its report would tell.

        It has learned of its later orders since, and counts what it has sent twice; but the report is lost.
        """
        exposure = self._exposures[worker]
        if self.schedule is None:
            return 0
        past = [former for former in exposure.past if former.since_s > exposure.reported_s]
        followed = [former.order for former in past] + exposure.orders[:1]
        return sum(
            self._outdated(former.order, order, former.since_s)
            for former, order in zip(past, followed[1:], strict=True)
        )

    def _outdated(self, former: Order, order: Order, until_s: float) -> int:
        """Return how many arrivals a worker may have sent by the former order, when the later one was in force."""
        if (order.share, order.from_s, order.indexes) == (former.share, former.from_s, former.indexes):
            return 0
        wanted = self._count_between(order.from_s, until_s - self.began_s)
        return math.ceil(wanted * former.share + former.excess) if wanted > 0 else 0

    def bound(self, worker: str, until_s: float, possibly_sent: int | None = None) -> int | None:
        """Return the maximum of uncounted requests if the worker sent until `until_s`; None: no bound is known.

        `possibly_sent`: order once knows the requests that the worker may have made in all.
        """
        exposure = self._exposures[worker]
        if possibly_sent is not None:
            return max(0, possibly_sent - exposure.counted)
        if self.schedule is not None:
            first = max(0.0, exposure.reported_s - self.drop_after_s - self.began_s)
            wanted = self._count_between(first, until_s - self.began_s)
            orders = [*exposure.orders, *(former.order for former in exposure.past)]
            share = max((order.share for order in orders), default=0.0)
            return math.ceil(wanted * share + sum(order.excess for order in orders)) + exposure.in_flight
        in_flight = exposure.max_users + exposure.in_flight  # each user may have begun one more
        if not in_flight:
            return 0
        if self.peak_per_user_rps is None:
            return None
        since_s = max(0.0, until_s - exposure.reported_s)
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
