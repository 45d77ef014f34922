"""Merged results and objectives in; pass, fail or incomplete out, with the measured value beside each bound.

A metric without samples never passes, a percentile needs `samples_needed`, and what never got an answer (dropped
arrivals) counts as slower than any bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from inference_swarm.errors import ExitCode
from inference_swarm.judge.objectives import Objective, Quantity, TimeOrigin
from inference_swarm.judge.sample_size import samples_needed
from inference_swarm.measure.snapshot import RequestTally, merge_tallies
from inference_swarm.measure.totals import SwarmTotals


class Outcome(StrEnum):
    """Of one objective and of the run. INCOMPLETE: the data does not allow an answer."""

    PASSED = "pass"
    FAILED = "fail"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class ObjectiveResult:
    """`measured` is in the unit of the objective's bound, NaN when there was nothing to measure."""

    objective: Objective
    outcome: Outcome
    measured: float
    samples: int
    samples_needed: int = 1
    note: str = ""

    @property
    def sentence(self) -> str:
        """For terminal and report: `p99<50ms: pass, measured 12.3 ms`."""
        measured = f"measured {self.objective.format(self.measured)}"
        return f"{self.objective.text}: {self.outcome}, {measured}" + (f" ({self.note})" if self.note else "")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for the run. A missed objective outweighs incompleteness; `reasons` say what makes it incomplete."""

    outcome: Outcome
    results: tuple[ObjectiveResult, ...]
    reasons: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        match self.outcome:
            case Outcome.PASSED:
                return ExitCode.PASSED
            case Outcome.FAILED:
                return ExitCode.OBJECTIVE_MISSED
            case Outcome.INCOMPLETE:
                return ExitCode.INCOMPLETE


def judge_totals(totals: SwarmTotals, objectives: Sequence[Objective]) -> Verdict:
    """The verdict on all that the master has; final once every worker's final snapshot is in."""
    owed = [f"worker {worker}: {what}" for worker, what in totals.incomplete_workers().items()]
    if not totals.workers:
        owed = ["no worker reported"]
    return judge(totals.names, totals.duration_s, objectives, incomplete_because=owed)


def judge(
    names: Mapping[str, RequestTally],
    duration_s: float,
    objectives: Sequence[Objective],
    *,
    incomplete_because: Sequence[str] = (),
) -> Verdict:
    """Judge tallies by request name over a duration."""
    total = merge_tallies(names.values())
    results = []
    for objective in objectives:
        if objective.name is None:
            results.append(_judge_one(objective, total, duration_s))
        elif objective.name in names:
            results.append(_judge_one(objective, names[objective.name], duration_s))
        else:
            known = ", ".join(sorted(names)[:10]) or "none"
            note = f"no request has the name {objective.name!r}; names of this run: {known}"
            results.append(ObjectiveResult(objective, Outcome.INCOMPLETE, math.nan, 0, note=note))
    outcomes = {result.outcome for result in results}
    if Outcome.FAILED in outcomes:
        outcome = Outcome.FAILED
    elif Outcome.INCOMPLETE in outcomes or incomplete_because:
        outcome = Outcome.INCOMPLETE
    else:
        outcome = Outcome.PASSED
    return Verdict(outcome, tuple(results), tuple(incomplete_because))


def _judge_one(objective: Objective, tally: RequestTally, duration_s: float) -> ObjectiveResult:
    if objective.quantity is Quantity.TIME:
        return _judge_time(objective, tally)
    if objective.quantity is Quantity.SHARE:
        measured = tally.failures / tally.ended if tally.ended else math.nan
    else:
        count = tally.succeeded if objective.metric == "goodput" else tally.ended
        measured = count / duration_s if duration_s > 0 and tally.ended else math.nan
    if math.isnan(measured):
        return ObjectiveResult(objective, Outcome.INCOMPLETE, measured, tally.ended, note="no request ended")
    outcome = Outcome.PASSED if objective.is_met_by(measured) else Outcome.FAILED
    return ObjectiveResult(objective, outcome, measured, tally.ended)


def _judge_time(objective: Objective, tally: RequestTally) -> ObjectiveResult:
    histogram = tally.latency if objective.origin is TimeOrigin.LATENCY else tally.service
    rank = 100.0 if objective.metric == "max" else objective.percentile
    needed = 1 if objective.percentile is None else samples_needed(objective.percentile)
    notes = []
    unanswered = 0
    if tally.dropped and objective.is_upper_bound and objective.origin is TimeOrigin.LATENCY:
        unanswered = tally.dropped
        notes.append(f"{tally.dropped:,} dropped arrivals {'are not in it' if rank is None else 'count as slowest'}")
    if rank is None:
        measured = histogram.mean_us
    elif histogram.count and rank * (histogram.count + unanswered) > 100 * histogram.count:
        measured = math.inf  # the request of this rank never got an answer
    else:
        measured = histogram.percentile_us(rank * (histogram.count + unanswered) / max(1, histogram.count))

    outcome = Outcome.PASSED if objective.is_met_by(measured) else Outcome.FAILED
    if not histogram.count:
        outcome, notes = Outcome.INCOMPLETE, ["no samples"]
    elif not tally.succeeded:
        outcome, notes = Outcome.INCOMPLETE, ["no request succeeded, and the times of failures alone say nothing"]
    elif histogram.count < needed:
        outcome = Outcome.INCOMPLETE
        notes.append(f"{histogram.count:,} samples; {objective.metric} needs {needed:,} to mean something")
    elif tally.failures * 100 > (100 - (rank or 100)) * tally.ended:
        notes.append(f"{tally.failures / tally.ended * 100:.3g} % of the requests failed; their times are in it")
    return ObjectiveResult(objective, outcome, measured, histogram.count, needed, "; ".join(notes))
