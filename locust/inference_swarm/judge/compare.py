"""Two runs side by side: rates and percentiles with confidence intervals, and which differences are significant.

Of 100 comparisons of equal runs at most one may call any of its metrics different, all metrics together, even if states
of the server last as long as the runs (`judge.spread`); `too short to say` is a result. The intervals of a run are
joined to at most MAX_BATCHES batches, and to fewer if that makes the interval wider: states that last for several
batches show then. A percentile's interval is that of the share of requests above it (Woodruff 1952); the intervals of
two values make that of their ratio (MOVER, Donner and Zou 2012). It knows the spread within each run, not that between
two starts of a server.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np

from inference_swarm.judge.distributions import student_quantile
from inference_swarm.judge.sample_size import samples_needed
from inference_swarm.judge.spread import MAX_LIKENESS, Likeness, Ratio, Spread, joint_degrees, likeness_of, spread_of
from inference_swarm.measure.histogram import Histogram, bucket_of_ns
from inference_swarm.measure.intervals import IntervalSeries

CONFIDENCE = 0.99
"""That of all metrics of a comparison together."""
MAX_BATCHES = 30
MIN_BATCHES = 8
# An interval of a ratio whose ends are this factor apart holds everything that one would like to tell apart.
MAX_WIDTH = 2.0
# Two neighbouring buckets are 0.1 % apart: less than two of them is no difference.
RESOLUTION = 0.002
# A state of the server that lasts is in all metrics, and is seen best in these.
CLUES = ("mean", "p50")
DEFAULT_METRICS = ("rate", "mean", "p50", "p95", "p99", "p99.9")


class Result(StrEnum):
    """The result of comparing one metric."""

    SIGNIFICANT = "significant difference"
    NOT_SIGNIFICANT = "no significant difference"
    TOO_SHORT = "too short to say"


@dataclass(frozen=True, slots=True)
class Batch:
    """One stretch of a run: its times, its requests and how long it was."""

    histogram: Histogram
    requests: float
    seconds: float


@dataclass(frozen=True, slots=True)
class RunSample:
    """A run as batches in order of time."""

    label: str
    batches: tuple[Batch, ...]

    @classmethod
    def from_batches(cls, label: str, intervals: Iterable[Batch]) -> Self:
        """Join neighbouring intervals until there are at most MAX_BATCHES."""
        given = list(intervals)
        size = max(1, math.ceil(len(given) / MAX_BATCHES))
        return cls(label, tuple(_join(given[start : start + size]) for start in range(0, len(given), size)))

    @classmethod
    def from_series(cls, label: str, series: IntervalSeries) -> Self:
        """All request names of a run's intervals together, by latency."""
        batches = []
        for interval in series.intervals():
            total = interval.total()
            rate_rps = interval.per_s(total.ended_in_time)
            seconds = total.ended_in_time / rate_rps if rate_rps else series.width_s
            batches.append(Batch(total.latency, total.ended_in_time, seconds))
        return cls.from_batches(label, batches)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value of the whole run and the interval that holds it; ends are NaN where the run is too short to say."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric of two runs: µs for times, per second for the rate; `ratio` is other ÷ one."""

    metric: str
    one: Estimate
    other: Estimate
    ratio: Estimate
    result: Result


def compare_runs(one: RunSample, other: RunSample, metrics: Sequence[str] = DEFAULT_METRICS) -> list[Comparison]:
    """Compare run by run, metric by metric."""
    runs = [_Run.of(sample, (*metrics, *CLUES)) for sample in (one, other)]
    return [_compare(metric, runs, _confidence_of_each(len(metrics))) for metric in metrics]


def _confidence_of_each(metrics: int) -> float:
    """Return the confidence that each of several metrics needs for CONFIDENCE in all of them (Bonferroni)."""
    return 1 - (1 - CONFIDENCE) / metrics


@dataclass(frozen=True, slots=True)
class _Run:
    """A sample, its value and its ratio of sums for each metric."""

    sample: RunSample
    whole: Batch
    values: Mapping[str, float]
    ratios: Mapping[str, Ratio]

    @classmethod
    def of(cls, sample: RunSample, metrics: Sequence[str]) -> Self:
        whole = _join(sample.batches)
        values = {metric: _value(whole, metric) for metric in metrics}
        return cls(sample, whole, values, {metric: _ratio(sample.batches, metric, values[metric]) for metric in values})

    def is_enough(self, metric: str) -> bool:
        needed = samples_needed(float(metric[1:])) if metric.startswith("p") else 1
        return len(self.sample.batches) >= MIN_BATCHES and self.whole.histogram.count >= needed

    def ends(self, metric: str, margin: float) -> tuple[float, float]:
        """The value of the metric with its ratio off by `margin` to either side; infinite beyond what was seen."""
        if not metric.startswith("p"):
            value = self.ratios[metric].value
            return max(0.0, value - margin), value + margin
        percentile, histogram = float(metric[1:]), self.whole.histogram
        low, high = percentile - 100 * margin, percentile + 100 * margin
        return (
            histogram.percentile_us(low) if low > 0 else 0.0,
            histogram.percentile_us(high) if high < 100 else math.inf,
        )


def _value(whole: Batch, metric: str) -> float:
    if metric == "rate":
        return whole.requests / whole.seconds if whole.seconds else math.nan
    return whole.histogram.mean_us if metric == "mean" else whole.histogram.percentile_us(float(metric[1:]))


def _ratio(batches: Sequence[Batch], metric: str, value: float) -> Ratio:
    """Return the metric as a ratio of sums; of a percentile the share of requests above its value."""
    if metric == "rate":
        pairs = [(batch.requests, batch.seconds) for batch in batches]
    elif metric == "mean":
        pairs = [(batch.histogram.sum_us, float(batch.histogram.count)) for batch in batches]
    elif math.isnan(value):
        pairs = [(0.0, 0.0)] * len(batches)
    else:
        bucket = int(bucket_of_ns(np.array([round(value * 1000)], dtype=np.int64))[0])
        pairs = [(float(batch.histogram.counts[bucket + 1 :].sum()), float(batch.histogram.count)) for batch in batches]
    sums = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return Ratio(sums[:, 0], sums[:, 1])


def _compare(metric: str, runs: Sequence[_Run], confidence: float) -> Comparison:
    values = [run.values[metric] for run in runs]
    ratio_value = values[1] / values[0] if values[0] else math.nan
    found = _widest(metric, runs, confidence) if all(run.is_enough(metric) for run in runs) else None
    if found is None:
        one, other, unknown = (Estimate(value, math.nan, math.nan) for value in (*values, ratio_value))
        return Comparison(metric, one, other, unknown, Result.TOO_SHORT)
    one, other, ratio = found
    if ratio.low > 1 + RESOLUTION or ratio.high < 1 - RESOLUTION:
        result = Result.SIGNIFICANT
    else:
        result = Result.NOT_SIGNIFICANT if ratio.high < MAX_WIDTH * ratio.low else Result.TOO_SHORT
    return Comparison(metric, one, other, ratio, result)


_Intervals = tuple[Estimate, Estimate, Estimate]


def _widest(metric: str, runs: Sequence[_Run], confidence: float) -> _Intervals | None:
    """Return the intervals of both values and of their ratio; None where states last longer than the runs."""
    likenesses = [_likeness(clue, runs) for clue in (metric, *CLUES)]
    if max(likeness.corrected for likeness in likenesses) > MAX_LIKENESS:
        return None
    limit = max(likeness.limit for likeness in likenesses)
    found = [_intervals(metric, runs, 1, limit, confidence)]
    # Joined batches show by themselves how far states that last reach; they are too few to ask how alike they are.
    most = min(len(run.sample.batches) for run in runs) // MIN_BATCHES
    found += [_intervals(metric, runs, size, 0.0, confidence) for size in range(2, most + 1)]
    return max(found, key=lambda intervals: intervals[2].high - intervals[2].low)


def _likeness(metric: str, runs: Sequence[_Run]) -> Likeness:
    return likeness_of([run.ratios[metric].deviations() for run in runs])


def _intervals(metric: str, runs: Sequence[_Run], size: int, likeness: float, confidence: float) -> _Intervals:
    """Return the intervals with batches of one size."""
    spreads = [spread_of(run.ratios[metric].joined(size), likeness) for run in runs]
    quantile = student_quantile((1 + confidence) / 2, joint_degrees(*spreads))
    one, other = (_estimate(metric, run, quantile, spread) for run, spread in zip(runs, spreads, strict=True))
    return one, other, _ratio_of(one, other)


def _estimate(metric: str, run: _Run, quantile: float, spread: Spread) -> Estimate:
    value = run.values[metric]
    low, high = run.ends(metric, quantile * spread.error)
    return Estimate(value, min(low, value), max(high, value))


def _ratio_of(one: Estimate, other: Estimate) -> Estimate:
    """Combine by MOVER on the logarithms: each end rests on the nearer ends of the two intervals."""
    value = other.value / one.value if one.value else math.nan
    if not value > 0:
        return Estimate(value, 0.0, math.inf)
    down = math.hypot(_log_ratio(other.value, other.low), _log_ratio(one.high, one.value))
    up = math.hypot(_log_ratio(other.high, other.value), _log_ratio(one.value, one.low))
    return Estimate(value, value * math.exp(-down), value * math.exp(min(up, 700.0)))


def _log_ratio(high: float, low: float) -> float:
    if high <= low:
        return 0.0
    return math.log(high / low) if low > 0 and math.isfinite(high) else math.inf


def _join(batches: Sequence[Batch]) -> Batch:
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch.histogram)
    return Batch(histogram, sum(batch.requests for batch in batches), sum(batch.seconds for batch in batches))
