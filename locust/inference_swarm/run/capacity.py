"""A search for a capacity while a run is on: reports of workers in, the next load out; and what it has come to. Pure.

`judge.capacity` decides. Here reports of all workers become one look a second, and steps become rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from inference_swarm.config.settings import Settings
from inference_swarm.judge.capacity.plan import Criterion, SearchPlan
from inference_swarm.judge.capacity.result import CapacityResult, StepRow
from inference_swarm.judge.capacity.scalability import Scalability, fit_scalability
from inference_swarm.judge.capacity.search import Order, Search
from inference_swarm.judge.capacity.steps import Look, Part
from inference_swarm.judge.evaluate import find_name
from inference_swarm.judge.objectives import TimeOrigin
from inference_swarm.judge.self_check import LIMITS
from inference_swarm.load.steps import NS_PER_S, step_of_stage
from inference_swarm.measure.counters import RequestCounters, add_counters
from inference_swarm.measure.snapshot import Snapshot, WorkerHealth
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.run.capacity_rows import StepNumbers, row_of
from inference_swarm.run.course import RunCourse
from inference_swarm.run.search_plan import max_senders, senders_for

LOOK_S = 0.9
# A generator that is held up at less than this does not lack workers.
BUSY_PERCENT = 50.0


@dataclass(frozen=True, slots=True)
class NextLoad:
    """The load that is to be set."""

    rate_rps: float
    users: int
    settle_s: float


@dataclass(slots=True)
class _Worker:
    until_s: float = 0.0
    in_flight: int = 0
    health: WorkerHealth = field(default_factory=WorkerHealth)


@dataclass(slots=True)
class CapacityCourse:
    """The search of one run."""

    plan: SearchPlan
    settings: Settings
    search: Search
    rows: list[StepRow] = field(default_factory=list)
    """Of steps that are over."""
    users: int = 0
    _workers: dict[str, _Worker] = field(default_factory=dict)
    _present: frozenset[str] | None = None
    _looked_s: float = 0.0
    _fresh: dict[str, RequestCounters] = field(default_factory=dict)
    _numbers: StepNumbers = field(default_factory=StepNumbers)

    @classmethod
    def begin(cls, plan: SearchPlan, settings: Settings) -> CapacityCourse:
        """Begin a search, whose first load is that of the settings."""
        course = cls(plan, settings, Search(plan), users=settings.users)
        course.search.begin()
        return course

    # reports in, loads out

    def take(self, snapshot: Snapshot) -> None:
        """Take in a report that was counted."""
        if snapshot.is_final:
            self._workers.pop(snapshot.worker, None)
        else:
            self._workers[snapshot.worker] = _Worker(snapshot.end_s, snapshot.in_flight, snapshot.health)
        current = len(self.search.steps)
        for part in snapshot.slices:
            if step_of_stage(part.stage) == current:
                add_counters(self._fresh, part.names)

    def look(self, course: RunCourse, totals: SwarmTotals) -> NextLoad | None:
        """Return the next load when the step under way is over. Nothing is decided until all workers have reported."""
        self._follow(course)
        here = [worker for worker, record in totals.workers.items() if record.final_sequence is None]
        present = frozenset(here) - set(course.losses) - set(course.failures)
        if not present or not present <= self._workers.keys() or self.search.outcome is not None:
            return None
        known_s = min(self._workers[worker].until_s for worker in present)
        before, self._present = self._present, present
        if before is not None and present != before:
            self._fresh, self._looked_s = {}, known_s
            return self._ordered(self.search.disturbed(known_s, _change_words(before, present)), known_s)
        if known_s - self._looked_s < LOOK_S:
            return None
        self._looked_s = known_s
        return self._ordered(self.search.look(self._make_look(known_s, present)), known_s)

    def _follow(self, course: RunCourse) -> None:
        """A step has begun when the coordinator has set it."""
        if len(course.steps) > len(self.search.steps):
            self.search.begun(course.steps[-1].from_ns / NS_PER_S)
            self._fresh, self._numbers = {}, StepNumbers()

    def _make_look(self, known_s: float, present: frozenset[str]) -> Look:
        names, self._fresh = self._fresh, {}
        workers = [self._workers[worker] for worker in present]
        in_flight = sum(worker.in_flight for worker in workers)
        is_late = any(_is_late(worker.health) for worker in workers)
        self._numbers.take(names, in_flight, [worker.health for worker in workers], is_late=is_late)
        asked = sum(counters.succeeded + counters.unserved for counters in names.values())
        succeeded = sum(counters.succeeded for counters in names.values())
        seconds = sum(counters.latency.sum_us for counters in names.values()) / 1e6
        return Look(
            step=len(self.search.steps),
            now_s=known_s,
            asked=asked,
            beyond=tuple(beyond(criterion, names) for criterion in self.plan.criteria),
            in_flight=in_flight,
            mean_s=seconds / succeeded if succeeded else 0.0,
            is_generator_bound=is_late or self._lacks_senders(in_flight),
            is_late=is_late,
        )

    def _lacks_senders(self, in_flight: int) -> bool:
        """All senders that are allowed are busy, though there are fewer than a load within the bound may need."""
        limit, step = max_senders(self.settings), self.search.steps[-1] if self.search.steps else None
        if self.plan.by_users or step is None or in_flight < limit:
            return False
        return limit < step.load * self.plan.bound_s

    def _ordered(self, order: Order | None, now_s: float) -> NextLoad | None:
        if self.search.steps and (order is not None or self.search.outcome is not None):
            step = self.search.steps[-1]
            if step.end_s is None:
                step.end_s = now_s
            self.rows.append(row_of(step, self._numbers, self.plan))
        if order is None:
            return None
        if self.plan.by_users:
            self.users = round(order.load)
            return NextLoad(0.0, self.users, order.settle_s)
        wanted = senders_for(self.plan, self.settings, order.load, self.search.usual_s)
        self.users = max(self.users, wanted)
        return NextLoad(order.load, self.users, order.settle_s)

    # what it has come to

    @property
    def is_over(self) -> bool:
        return self.search.outcome is not None

    def result(self) -> CapacityResult:
        """Return the result, or the state of the search so far."""
        search = self.search
        rows = list(self.rows)
        if search.steps and len(rows) < len(search.steps):
            rows.append(row_of(search.steps[-1], self._numbers, self.plan))
        by_number = {row.step: row for row in rows}
        answer = None if search.answer is None else by_number.get(search.answer.number)
        bracket = search.bracket
        missed = _missed(rows, bracket.high)
        is_at_least = missed is not None and missed.is_generator_bound
        return CapacityResult(
            outcome=search.outcome,
            by_users=self.plan.by_users,
            load=None if answer is None else answer.load,
            answer=answer,
            missed=missed,
            is_at_least=is_at_least,
            why=search.why,
            notes=tuple(search.notes),
            steps=tuple(rows),
            workers=len(self._present or ()),
            workers_needed=_workers_needed(answer, missed, len(self._present or ())) if is_at_least else None,
            low=bracket.low,
            high=bracket.high,
            precision=self.plan.precision,
            scalability=_scalability(rows) if self.plan.by_users else None,
            target_rps=self.settings.target_rate_rps,
            at_least_rps=self.settings.at_least_rps,
        )


def beyond(criterion: Criterion, names: Mapping[str, RequestCounters]) -> int:
    """Return how many requests are beyond the bound of an objective, of all or of those with its name."""
    objective = criterion.objective
    if objective.name is not None:
        found = find_name(names, objective.name)
        names = {} if found is None else {found: names[found]}
    count = 0
    for counters in names.values():
        count += counters.unserved
        if criterion.bound_us is not None:
            times = counters.latency if objective.origin is TimeOrigin.LATENCY else counters.service
            count += times.count - times.count_at_or_below_us(criterion.bound_us)
    return count


def _is_late(health: WorkerHealth) -> bool:
    return any((getattr(health, limit.metric) or 0.0) >= limit.limit for limit in LIMITS)


def _change_words(before: frozenset[str], now: frozenset[str]) -> str:
    gone, come = sorted(before - now), sorted(now - before)
    words = [f"worker {worker} is gone" for worker in gone] + [f"worker {worker} has joined" for worker in come]
    return ", ".join(words)


def _scalability(rows: list[StepRow]) -> Scalability | None:
    """Return the fit of all steps that were judged, met or not: throughput is what it is."""
    return fit_scalability([(row.load, row.rate_rps) for row in rows if row.is_judged and row.part is not Part.DRAIN])


def _missed(rows: list[StepRow], high: float | None) -> StepRow | None:
    """Return the step that shows the miss at this load: the longest one."""
    found = [row for row in rows if row.load == high and row.finding is not None and not row.finding.is_met]
    return max(found, key=lambda row: row.requests, default=None)


def _workers_needed(answer: StepRow | None, missed: StepRow | None, workers: int) -> int | None:
    """Return how many workers like these would carry the rate at which they ran out of CPU; None if they did not."""
    if missed is None or not workers or missed.cpu_percent < BUSY_PERCENT:
        return None
    carried = missed.rate_rps if answer is None else max(answer.load, missed.rate_rps)
    if not carried:
        return None
    return max(workers + 1, math.ceil(workers * missed.load / carried / 0.8))
