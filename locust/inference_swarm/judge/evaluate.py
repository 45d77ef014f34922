"""One objective against counters: what is measured, and whether the bound is met.

Adding failures, drops or abandoned requests never improves a result, whatever the objective; none passes without a
success:
- a percentile is taken over everything that was asked for; what did not succeed is slower than any upper bound and
  faster than any lower one; it passes only with enough successes (`judge.sample_size`)
- `max` is "no response" if anything did not succeed; `mean` is of successes
- `error_rate` is all that did not succeed, of all that was asked for: failed, abandoned, dropped, unaccounted for,
  never sent
- accuracy, log loss and the like are of all answers whose rows have labels; what failed otherwise has no answer
- a lower bound on `rate` or `goodput` counts successes, an upper bound on `rate` all that ended; only what ended
  within the measured time
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from inference_swarm.judge.objectives import Objective, Quantity, TimeOrigin
from inference_swarm.judge.sample_size import samples_needed
from inference_swarm.measure.counters import RequestCounters, merge_counters
from inference_swarm.measure.histogram import Histogram
from inference_swarm.measure.quality import QualityCounters

# A server that keeps up with an open load still has a few requests in flight when the load ends. Up to this share of
# them counts for a lower bound, or `--rate 1000` could never meet `rate>=1000`.
IN_FLIGHT_AT_END_SHARE = 0.01


class ObjectiveOutcome(StrEnum):
    """INCOMPLETE: the data does not allow a result."""

    PASSED = "pass"
    FAILED = "fail"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class InTime:
    """Requests that ended within the measured time, where the counters cannot say: a stage of a run."""

    succeeded: float
    ended: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence for an objective besides the counters of its requests."""

    measured_s: float
    unserved: int = 0
    """Requests that were asked for and are in no counter: unaccounted for, or never sent."""
    is_open: bool = False
    is_generator_bound: bool = False
    in_time: InTime | None = None


@dataclass(frozen=True, slots=True)
class ObjectiveResult:
    """`measured` is in the unit of the objective's bound, NaN when there was nothing to measure."""

    objective: Objective
    outcome: ObjectiveOutcome
    measured: float
    samples: int
    samples_needed: int = 1
    note: str = ""
    is_at_least: bool = False
    """The load generator was the bottleneck: the server may do more."""

    @property
    def measured_text(self) -> str:
        """`12.3 ms`, `at least 1,200.0/s`."""
        text = self.objective.format(self.measured)
        return f"at least {text}" if self.is_at_least and math.isfinite(self.measured) else text

    @property
    def sentence(self) -> str:
        """For terminal and report: `p99<50ms: pass, measured 12.3 ms`."""
        note = f" ({self.note})" if self.note else ""
        return f"{self.objective.text}: {self.outcome}, measured {self.measured_text}{note}"


def evaluate(objective: Objective, names: Mapping[str, RequestCounters], evidence: Evidence) -> ObjectiveResult:
    """Evaluate one objective with the counters of its requests."""
    if objective.name is None:
        return _evaluate(objective, merge_counters(names.values()), evidence)
    found = find_name(names, objective.name)
    if found is None:
        known = ", ".join(sorted(names)[:10]) or "none"
        note = f"no request has the name {objective.name!r}; names of this run: {known}"
        return ObjectiveResult(objective, ObjectiveOutcome.INCOMPLETE, math.nan, 0, note=note)
    # What is in no counter has no name; with only one name it is that one's.
    is_only = len(names) == 1
    own = Evidence(
        evidence.measured_s,
        evidence.unserved if is_only else 0,
        evidence.is_open,
        evidence.is_generator_bound,
        evidence.in_time if is_only else None,
    )
    return _evaluate(objective, names[found], own)


def find_name(names: Mapping[str, RequestCounters], wanted: str) -> str | None:
    """Return the request name that is meant, with or without the method before it."""
    if wanted in names:
        return wanted
    method, _, rest = wanted.partition(" ")
    rest = rest.strip()
    if method.isupper() and rest in names:
        return rest
    return None


def _evaluate(objective: Objective, counters: RequestCounters, evidence: Evidence) -> ObjectiveResult:
    asked = counters.succeeded + counters.unserved + evidence.unserved
    if objective.quantity is Quantity.TIME:
        return _evaluate_time(objective, counters, evidence)
    if objective.quantity.is_of_quality:
        return _evaluate_quality(objective, counters)
    if not asked or (objective.quantity is Quantity.RATE and evidence.measured_s <= 0):
        return ObjectiveResult(objective, ObjectiveOutcome.INCOMPLETE, math.nan, 0, note="no request ended")
    if objective.quantity is Quantity.SHARE:
        measured = (counters.unserved + evidence.unserved) / asked
        outcome, note = _outcome(objective, measured, counters)
        return ObjectiveResult(objective, outcome, measured, asked, note=note)
    return _evaluate_rate(objective, counters, evidence)


def _evaluate_quality(objective: Objective, counters: RequestCounters) -> ObjectiveResult:
    """Judge predictions against labels: of all answers, late ones and wrong ones included."""
    quality = QualityCounters() if counters.answers is None else counters.answers.quality
    measured: float | None = getattr(quality, objective.metric)
    if measured is None:
        note = f"none of {quality.labelled:,} labelled answers has one" if quality.labelled else "no labelled answer"
        return ObjectiveResult(objective, ObjectiveOutcome.INCOMPLETE, math.nan, 0, note=note)
    outcome, note = _outcome(objective, measured, counters)
    return ObjectiveResult(objective, outcome, measured, quality.labelled, note=note)


def _evaluate_rate(objective: Objective, counters: RequestCounters, evidence: Evidence) -> ObjectiveResult:
    note = ""
    if objective.condition is not None:
        condition = _evaluate_time(objective.condition, counters, evidence)
        note = condition.sentence
        if condition.outcome is ObjectiveOutcome.INCOMPLETE:
            return ObjectiveResult(objective, condition.outcome, math.nan, counters.ended, note=note)
        if condition.outcome is ObjectiveOutcome.FAILED:
            return ObjectiveResult(objective, condition.outcome, 0.0, counters.ended, note=note)
    if objective.metric == "rate" and objective.is_upper_bound:
        count: float = counters.ended_in_time if evidence.in_time is None else evidence.in_time.ended
    elif evidence.in_time is not None:
        count = evidence.in_time.succeeded
    else:
        count = counters.succeeded_in_time
        if evidence.is_open and not objective.is_upper_bound:
            count += min(counters.succeeded_after, IN_FLIGHT_AT_END_SHARE * count)
    if objective.within_us is not None and counters.succeeded:
        count *= counters.latency.count_at_or_below_us(objective.within_us) / counters.succeeded
    measured = count / evidence.measured_s
    outcome, lack = _outcome(objective, measured, counters)
    note = note or lack
    if objective.metric == "rate" and not objective.is_upper_bound and counters.failures:
        note = f"{counters.failures:,} failed requests are not in it"
    is_at_least = evidence.is_generator_bound and not objective.is_upper_bound
    return ObjectiveResult(objective, outcome, measured, counters.ended, note=note, is_at_least=is_at_least)


def _evaluate_time(objective: Objective, counters: RequestCounters, evidence: Evidence) -> ObjectiveResult:
    histogram = counters.latency if objective.origin is TimeOrigin.LATENCY else counters.service
    unserved = counters.unserved + evidence.unserved
    needed = 1 if objective.percentile is None else samples_needed(objective.percentile)
    measured = _time_us(objective, histogram, unserved)
    notes = []
    if not histogram.count:
        notes.append("no request succeeded" if unserved else "no samples")
    elif unserved and objective.metric == "mean":
        notes.append(f"{unserved:,} requests that did not succeed are not in it")
    elif unserved:
        notes.append(f"{unserved:,} requests that did not succeed count as {_end_of(objective)}")
    is_met = objective.is_met_by(measured)
    if is_met and histogram.count >= needed:
        outcome = ObjectiveOutcome.PASSED
    elif not is_met and histogram.count + unserved >= needed and (histogram.count or unserved):
        outcome = ObjectiveOutcome.FAILED
    else:
        outcome = ObjectiveOutcome.INCOMPLETE
        if histogram.count:
            notes.insert(0, f"{histogram.count:,} samples; {objective.metric} needs {needed:,} to mean something")
    return ObjectiveResult(objective, outcome, measured, histogram.count, needed, "; ".join(notes))


def _end_of(objective: Objective) -> str:
    return "slowest" if objective.is_upper_bound else "fastest"


def _time_us(objective: Objective, histogram: Histogram, unserved: int) -> float:
    """The time of a rank among all that was asked for; infinite where no request of this rank succeeded."""
    if objective.metric == "mean":
        return histogram.mean_us if histogram.count or not unserved else math.inf
    asked = histogram.count + unserved
    if not asked:
        return math.nan
    # 99.9 % of 1,000 is rank 999, not the 1,000 that ceil(999.0000000000001) makes of it.
    percentile = 100.0 if objective.percentile is None else objective.percentile
    rank = max(1, math.ceil(percentile / 100 * asked * (1 - 1e-14)))
    if objective.is_upper_bound:
        if rank > histogram.count:
            return math.inf
    else:
        rank -= unserved
        if rank < 1:
            return 0.0
    return histogram.percentile_us(min(100.0, 100 * rank / histogram.count))


def _outcome(objective: Objective, measured: float, counters: RequestCounters) -> tuple[ObjectiveOutcome, str]:
    """Return the outcome. Without a success nothing passes, not even an upper bound on a rate of failures."""
    if not objective.is_met_by(measured):
        return ObjectiveOutcome.FAILED, ""
    if not counters.succeeded:
        return ObjectiveOutcome.INCOMPLETE, "no request succeeded"
    return ObjectiveOutcome.PASSED, ""
