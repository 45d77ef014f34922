"""How much worse than an earlier run a run may be: `p99:10%,rate:5%` and a comparison in, results of objectives out.

A limit is missed only if the whole confidence interval of the ratio lies beyond it: of 100 equal runs at most one
misses any limit, however small. What is too short to say is incomplete, as everywhere: no data is no success. Grammar:
METRIC:SHARE, with metrics rate, mean and any percentile, and a share as 10% or 0.1; commas or lines between them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from inference_swarm.errors import SettingProblem
from inference_swarm.judge.compare import CONFIDENCE, MIN_BATCHES, Comparison, Result, RunSample, compare_runs
from inference_swarm.judge.evaluate import ObjectiveOutcome, ObjectiveResult
from inference_swarm.judge.objectives import Objective, Quantity

EXAMPLE = "p99:10%,rate:5%"
_LIMIT = re.compile(r"(?P<metric>rate|mean|p\d{1,2}(?:\.\d+)?)\s*:\s*(?P<number>\d+(?:\.\d+)?|\.\d+)\s*(?P<percent>%?)")
_ZEROTH = re.compile(r"p0*(?:\.0+)?")
_SEPARATOR = re.compile(r"[,;\n]")


@dataclass(frozen=True, slots=True)
class RegressionLimit:
    """`share` is the part of the baseline's value by which the metric may be worse: 0.1 for 10 %."""

    metric: str
    share: float

    @property
    def is_rate(self) -> bool:
        """A rate is worse when it is lower, a time when it is higher."""
        return self.metric == "rate"

    @property
    def words(self) -> str:
        """`p99 at most 10 % above`."""
        if not self.share:
            return f"{self.metric} not {'below' if self.is_rate else 'above'}"
        return f"{self.metric} at most {self.share * 100:.4g} % {'below' if self.is_rate else 'above'}"

    @property
    def ratio(self) -> float:
        """The ratio to the baseline that is the limit."""
        return 1 - self.share if self.is_rate else 1 + self.share


def parse_limits(text: str) -> tuple[RegressionLimit, ...]:
    """Read the grammar above. Raises SettingProblem."""
    limits: dict[str, RegressionLimit] = {}
    for part in filter(None, (part.strip() for part in _SEPARATOR.split(text))):
        found = _LIMIT.fullmatch(part)
        if found is None or _ZEROTH.fullmatch(found["metric"]):
            raise SettingProblem(
                f"--max-regression: {part!r} is not a limit",
                expected="METRIC:SHARE with rate, mean, or a percentile above 0 and below 100",
                action=f"e.g. {EXAMPLE}",
            )
        share = float(found["number"]) * (0.01 if found["percent"] else 1)
        if found["metric"] == "rate" and share >= 1:
            raise SettingProblem(f"--max-regression: {part!r} allows any rate", expected="less than 100%")
        limits[found["metric"]] = RegressionLimit(found["metric"], share)
    return tuple(limits.values())


def judge_regressions(
    limits: Sequence[RegressionLimit], baseline: RunSample, run: RunSample
) -> tuple[ObjectiveResult, ...]:
    """Return a result for each limit; intervals of all limits together have CONFIDENCE."""
    compared = compare_runs(baseline, run, [limit.metric for limit in limits])
    samples = sum(batch.histogram.count for batch in run.batches)
    too_short = f"at least {MIN_BATCHES} intervals of 3 s in both runs"
    return tuple(
        judge_limit(limit, comparison, baseline.label, samples, too_short)
        for limit, comparison in zip(limits, compared, strict=True)
    )


def not_judged(limit: RegressionLimit, name: str, why: str) -> ObjectiveResult:
    """Return the result of a limit whose baseline cannot be read."""
    return ObjectiveResult(_objective(limit, name, math.nan), ObjectiveOutcome.INCOMPLETE, math.nan, 0, note=why)


def _objective(limit: RegressionLimit, name: str, bound: float) -> Objective:
    quantity = Quantity.RATE if limit.is_rate else Quantity.TIME
    return Objective(f"{limit.words} {name}", limit.metric, quantity, ">=" if limit.is_rate else "<=", bound)


def judge_limit(
    limit: RegressionLimit, compared: Comparison, name: str, samples: int, too_short: str
) -> ObjectiveResult:
    """Return the result of one limit. `name`: what it is compared with; `too_short`: what it takes to say more."""
    objective = _objective(limit, name, compared.one.value * limit.ratio)
    outcome = _outcome(limit, compared)
    measured = compared.other.value
    if outcome is ObjectiveOutcome.INCOMPLETE:
        note = f"too short to say: {_value(objective, compared)}; {too_short}"
    else:
        ratio = compared.ratio
        note = (
            f"{_value(objective, compared)}, {_change(ratio.value)}; "
            f"{CONFIDENCE:.0%} interval {_change(ratio.low)} to {_change(ratio.high)}"
        )
        if outcome is ObjectiveOutcome.PASSED and not objective.is_met_by(measured):
            note += ": beyond the limit, but the spread within the runs explains it"
    return ObjectiveResult(objective, outcome, measured, samples, note=note)


def _outcome(limit: RegressionLimit, compared: Comparison) -> ObjectiveOutcome:
    if compared.result is Result.TOO_SHORT:
        return ObjectiveOutcome.INCOMPLETE
    ratio = compared.ratio
    is_beyond = ratio.high < limit.ratio if limit.is_rate else ratio.low > limit.ratio
    # With a limit of 0 % the smallest difference would count: less than the histogram's resolution is none.
    is_missed = is_beyond and compared.result is Result.SIGNIFICANT
    return ObjectiveOutcome.FAILED if is_missed else ObjectiveOutcome.PASSED


def _value(objective: Objective, compared: Comparison) -> str:
    return f"baseline {objective.format(compared.one.value)}"


def _change(ratio: float) -> str:
    return "unlimited" if math.isinf(ratio) else f"{(ratio - 1) * 100:+.3g} %"
