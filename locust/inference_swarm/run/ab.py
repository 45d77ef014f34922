"""An A/B run: settings and totals in, the comparison of its two variants and what it does to the verdict out. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from inference_swarm.config.documents import ReadSettingValues
from inference_swarm.config.settings import Settings
from inference_swarm.config.variants import Choice, parse_ab
from inference_swarm.errors import SettingProblem
from inference_swarm.judge.ab import FAILED, MIN_BATCHES, TIMES, compare_variants, sides_of
from inference_swarm.judge.compare import CONFIDENCE, Comparison, Result
from inference_swarm.judge.evaluate import ObjectiveOutcome, ObjectiveResult
from inference_swarm.judge.objectives import Objective, Quantity
from inference_swarm.judge.regression import RegressionLimit, judge_limit, parse_limits
from inference_swarm.measure.intervals import DEFAULT_WIDTH_S, IntervalSeries
from inference_swarm.measure.totals import SwarmTotals

INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True)
class AbResult:
    """What an A/B run has come to."""

    choice: Choice
    requests: tuple[int, int]
    metrics: tuple[Comparison, ...]
    results: tuple[ObjectiveResult, ...]
    """B is not worse than A (by more than `--max-regression`), metric by metric."""


def interval_s_of(settings: Settings) -> float | None:
    """Return the length of intervals that the run needs; None for the usual one."""
    return INTERVAL_S if settings.ab else None


def series_of(settings: Settings) -> IntervalSeries:
    """Return the empty series of a run's intervals."""
    return IntervalSeries(interval_s_of(settings) or DEFAULT_WIDTH_S)


def ab_problems(values: ReadSettingValues) -> list[SettingProblem]:
    """Return what stands against an A/B run; what `--ab` itself says is checked before."""
    if not values["ab"]:
        return []
    others = (
        ("--find-capacity", values["find_capacity"], "a search has one server"),
        ("--row-order once", values["row_order"] == "once", "an A/B run sends each row twice"),
        ("--baseline", values["baseline"], "A is what B is compared with"),
    )
    problems = [
        SettingProblem(f"--ab is given and so is {flag}", expected=f"one of them: {why}")
        for flag, is_given, why in others
        if is_given
    ]
    try:
        limits = parse_limits(values["max_regression"])
    except SettingProblem:
        return problems  # said where it is checked for every run
    if any(limit.is_rate for limit in limits):
        problems.append(
            SettingProblem(
                "--max-regression has a limit of the rate, and --ab is given",
                expected="mean or percentiles: A and B get as many requests",
                action="e.g. --max-regression p99:10%",
            )
        )
    return problems


def judge_ab(settings: Settings, totals: SwarmTotals) -> AbResult | None:
    """Return the comparison; None for a run that is no A/B run."""
    choice = parse_ab(settings.ab)
    if choice is None:
        return None
    limits = parse_limits(settings.max_regression)
    one, other = sides_of(totals.series, choice.names)
    asked = tuple(dict.fromkeys((*TIMES, *(limit.metric for limit in limits), FAILED)))
    compared = compare_variants(one, other, asked, drift_apart=choice.drift_apart)
    counted = [totals.names.get(name) for name in choice.names]
    requests = tuple(0 if counters is None else counters.ended for counters in counted)
    results = _results(compared, limits, choice, sum(requests))
    return AbResult(choice, (requests[0], requests[1]), tuple(compared), results)


def _results(
    compared: Sequence[Comparison], limits: Sequence[RegressionLimit], choice: Choice, samples: int
) -> tuple[ObjectiveResult, ...]:
    by_metric = {comparison.metric: comparison for comparison in compared}
    name = choice.names[0]
    failed = _failed_result(by_metric[FAILED], name, samples)
    too_short = f"a run of at least {MIN_BATCHES * (3 if choice.drift_apart else 1)} s, and more requests"
    if limits:
        judged = [judge_limit(limit, by_metric[limit.metric], name, samples, too_short) for limit in limits]
        return (*judged, failed)
    # Of the usual metrics those count that the run is long enough for.
    known = [one for one in compared if one.metric != FAILED and one.result is not Result.TOO_SHORT]
    chosen = known or [by_metric[TIMES[0]]]
    return (*(judge_limit(RegressionLimit(one.metric, 0.0), one, name, samples, too_short) for one in chosen), failed)


def _failed_result(compared: Comparison, name: str, samples: int) -> ObjectiveResult:
    share = compared.one.value
    objective = Objective(f"failed not above {name}", "error_rate", Quantity.SHARE, "<=", share)
    measured, difference = compared.other.value, compared.ratio
    if compared.result is Result.TOO_SHORT or math.isnan(measured):
        return ObjectiveResult(objective, ObjectiveOutcome.INCOMPLETE, measured, samples, note="too short to say")
    is_missed = compared.result is Result.SIGNIFICANT and difference.low > 0
    note = f"{CONFIDENCE:.0%} interval of the difference {difference.low:+.3%} to {difference.high:+.3%}"
    outcome = ObjectiveOutcome.FAILED if is_missed else ObjectiveOutcome.PASSED
    return ObjectiveResult(objective, outcome, measured, samples, note=note if measured or share else "")
