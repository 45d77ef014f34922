"""The numbers of one step of a search, from reports to its row. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from inference_swarm.judge.capacity.plan import SearchPlan
from inference_swarm.judge.capacity.result import Measured, StepRow
from inference_swarm.judge.capacity.steps import Step
from inference_swarm.judge.evaluate import Evidence, evaluate
from inference_swarm.measure.counters import RequestCounters, add_counters, merge_counters
from inference_swarm.measure.snapshot import WorkerHealth

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9}


@dataclass(slots=True)
class StepNumbers:
    """What was reported of the judged part of a step, and of the workers meanwhile."""

    names: dict[str, RequestCounters] = field(default_factory=dict)
    late_names: dict[str, RequestCounters] = field(default_factory=dict)
    """Of the seconds in which the load generator was late."""
    in_flight: int = 0
    cpu_percents: list[float] = field(default_factory=list)

    def take(
        self,
        names: Mapping[str, RequestCounters],
        in_flight: int,
        health: Sequence[WorkerHealth],
        *,
        is_late: bool = False,
    ) -> None:
        """Take in what has come since the last look."""
        add_counters(self.late_names if is_late else self.names, names)
        self.in_flight = in_flight
        used = [one.cpu_percent for one in health if one.cpu_percent is not None]
        if used:
            self.cpu_percents.append(sum(used) / len(used))

    def of(self, step: Step) -> dict[str, RequestCounters]:
        """Return the numbers of the seconds that the step is judged by."""
        found: dict[str, RequestCounters] = {}
        for names in (self.names,) if step.leaves_out else (self.names, self.late_names):
            add_counters(found, names)
        return found

    @property
    def cpu_percent(self) -> float:
        """On average over its looks."""
        return sum(self.cpu_percents) / len(self.cpu_percents) if self.cpu_percents else 0.0


def row_of(step: Step, numbers: StepNumbers, plan: SearchPlan) -> StepRow:
    """Return the row of a step, over or under way."""
    names = numbers.of(step)
    total = merge_counters(names.values())
    length_s = 0.0 if step.end_s is None else step.judged_s(step.end_s)
    values = total.latency.percentiles_us(list(PERCENTILES.values()))
    percentiles = {name: _known(value) for name, value in zip(PERCENTILES, values, strict=True)}
    return StepRow(
        step=step.number,
        part=step.part,
        load=step.load,
        start_s=step.start_s,
        settled_s=step.settled_s,
        end_s=step.end_s,
        finding=step.finding,
        is_overloaded=step.is_overloaded,
        is_generator_bound=step.is_generator_bound,
        is_discarded=step.is_discarded,
        left_out_s=step.left_out_s,
        requests=total.ended,
        failures=total.failures,
        dropped=total.dropped,
        rate_rps=total.succeeded / length_s if length_s else 0.0,
        percentiles_us=percentiles,
        measured=_measured(step, names, plan, length_s),
        in_flight=numbers.in_flight,
        cpu_percent=numbers.cpu_percent,
    )


def _measured(
    step: Step, names: Mapping[str, RequestCounters], plan: SearchPlan, length_s: float
) -> tuple[Measured, ...]:
    found = []
    for criterion, share in zip(plan.criteria, step.evidence.shares(), strict=True):
        result = evaluate(criterion.objective, names, Evidence(length_s, is_open=not plan.by_users))
        low, high = share.interval()
        outcome = "pass" if share.measured <= share.allowed and not step.is_overloaded else "fail"
        objective = criterion.objective.text
        found.append(
            Measured(objective, result.measured_text, outcome, _known(result.measured), share.measured, low, high)
        )
    return tuple(found)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
