"""Two runs side by side: rates and percentiles with confidence intervals, and a word on what really differs.

Method: batch means and bootstrap. The intervals of a run are joined to at most 30 batches (Schmeiser 1982: fewer and
longer batches depend less on each other). Batches are drawn with replacement 1,000 times, each draw is merged and
measured, and the middle 99 % of the draws are the confidence interval. Runs differ when that interval of their ratio
leaves out 1 and what a histogram cannot resolve; of 540 comparisons of equal runs 4 erred. It knows the spread within
each run, not that between two starts of a server.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np
import numpy.typing as npt

from inference_swarm.judge.sample_size import samples_needed
from inference_swarm.measure.histogram import HIGHEST_IN_BUCKET_US, Histogram
from inference_swarm.measure.intervals import IntervalSeries

CONFIDENCE = 0.99
DRAWS = 1000
MOST_BATCHES = 30
LEAST_BATCHES = 8
# Two neighbouring buckets are 0.1 % apart: less than two of them is no difference.
RESOLUTION = 0.002
DEFAULT_METRICS = ("rate", "mean", "p50", "p95", "p99", "p99.9")

Draws = npt.NDArray[np.float64]


class Finding(StrEnum):
    """The word on one metric."""

    DIFFERS = "differs"
    NO_DIFFERENCE = "no difference shown"
    TOO_LITTLE = "too little data"


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
        """Join neighbouring intervals until there are at most MOST_BATCHES."""
        given = list(intervals)
        size = max(1, math.ceil(len(given) / MOST_BATCHES))
        return cls(label, tuple(_join(given[start : start + size]) for start in range(0, len(given), size)))

    @classmethod
    def from_series(cls, label: str, series: IntervalSeries) -> Self:
        """All request names of a run's intervals together, by latency."""
        batches = []
        for interval in series.intervals():
            total = interval.total()
            rate_rps = interval.rate_rps(total.ended)
            seconds = total.ended / rate_rps if rate_rps else series.width_s
            batches.append(Batch(total.latency, total.ended, seconds))
        return cls.from_batches(label, batches)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value of the whole run and the interval that holds it with CONFIDENCE; ends are NaN with too little data."""

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
    finding: Finding


def compare_runs(
    one: RunSample, other: RunSample, metrics: Sequence[str] = DEFAULT_METRICS, *, seed: int = 0
) -> list[Comparison]:
    """Compare run by run; the seed makes the answer repeatable."""
    generator = np.random.default_rng(seed)
    one_values, one_draws = _measure(one, metrics, generator)
    other_values, other_draws = _measure(other, metrics, generator)
    comparisons = []
    for place, metric in enumerate(metrics):
        first, second = one_values[place], other_values[place]
        ratio_value = second / first if first else math.nan
        if not (_is_enough(one, metric) and _is_enough(other, metric)):
            one_value, other_value, ratio = (Estimate(v, math.nan, math.nan) for v in (first, second, ratio_value))
            comparisons.append(Comparison(metric, one_value, other_value, ratio, Finding.TOO_LITTLE))
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = other_draws[place] / one_draws[place]
        ratio = _estimate(ratio_value, ratios)
        is_apart = ratio.low > 1 + RESOLUTION or ratio.high < 1 - RESOLUTION
        finding = Finding.DIFFERS if is_apart else Finding.NO_DIFFERENCE
        ends = _estimate(first, one_draws[place]), _estimate(second, other_draws[place])
        comparisons.append(Comparison(metric, *ends, ratio, finding))
    return comparisons


def _join(batches: Sequence[Batch]) -> Batch:
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch.histogram)
    return Batch(histogram, sum(batch.requests for batch in batches), sum(batch.seconds for batch in batches))


def _is_enough(run: RunSample, metric: str) -> bool:
    samples = sum(batch.histogram.count for batch in run.batches)
    needed = samples_needed(float(metric[1:])) if metric.startswith("p") else 1
    return len(run.batches) >= LEAST_BATCHES and samples >= needed


def _estimate(value: float, draws: Draws) -> Estimate:
    low, high = np.nanquantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high))


def _measure(run: RunSample, metrics: Sequence[str], generator: np.random.Generator) -> tuple[list[float], list[Draws]]:
    """Each metric of the whole run, and of DRAWS draws of its batches."""
    if not run.batches:
        return [math.nan] * len(metrics), [np.full(DRAWS, math.nan)] * len(metrics)
    size = len(run.batches)
    weights = generator.multinomial(size, np.full(size, 1 / size), size=DRAWS).astype(np.float64)
    counts = np.stack([batch.histogram.counts for batch in run.batches])
    used = np.flatnonzero(counts.any(axis=0))
    cumulative = np.cumsum(weights @ counts[:, used].astype(np.float64), axis=1)
    totals = cumulative[:, -1] if used.size else np.zeros(DRAWS)
    sums_us = weights @ np.array([batch.histogram.sum_us for batch in run.batches])
    requests = weights @ np.array([batch.requests for batch in run.batches], dtype=np.float64)
    seconds = weights @ np.array([batch.seconds for batch in run.batches], dtype=np.float64)
    whole = _join(run.batches)

    values, draws = [], []
    for metric in metrics:
        with np.errstate(divide="ignore", invalid="ignore"):
            if metric == "rate":
                values.append(whole.requests / whole.seconds if whole.seconds else math.nan)
                draws.append(requests / seconds)
            elif metric == "mean":
                values.append(whole.histogram.mean_us)
                draws.append(sums_us / totals)
            else:
                percentile = float(metric[1:])
                values.append(whole.histogram.percentile_us(percentile))
                ranks = np.ceil(totals * percentile / 100 * (1 - 1e-14))
                places = np.minimum((cumulative < ranks[:, None]).sum(axis=1), max(0, used.size - 1))
                found = HIGHEST_IN_BUCKET_US[used][places] if used.size else np.full(DRAWS, math.nan)
                draws.append(np.where(totals > 0, found, math.nan))
    return values, draws
