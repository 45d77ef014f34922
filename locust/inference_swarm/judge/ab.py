"""The two variants of an A/B run side by side: which metrics of B differ from A's, with confidence intervals. Pure.

Each row goes to both variants, one right after the other, in an order that is drawn for each pair. So what the machine
or the rows do to one they do to the other, and it is their *difference* that is looked at, second by second: a drift
that both share is not in it. What each batch contributes to the difference is found by leaving it out (jackknife), for
every metric alike. Variants of one server share its drift; what is left of the correlation of neighbouring batches is
taken as it is found, and batches are joined if that makes the interval wider. Two servers (`drift_apart`) drift each
for itself, in batches of 3 s as between two runs: what cannot be ruled out is assumed (`judge.spread`). Of 100
comparisons of equal variants at most one calls any metric different.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from inference_swarm.judge.compare import CONFIDENCE, MAX_WIDTH, RESOLUTION, Comparison, Estimate, Result
from inference_swarm.judge.distributions import student_quantile
from inference_swarm.judge.sample_size import samples_needed
from inference_swarm.judge.spread import MAX_LIKENESS, Floats, likeness_of, spread_of_series
from inference_swarm.measure.counters import RequestCounters, merge_counters
from inference_swarm.measure.histogram import BUCKET_COUNT, HIGHEST_IN_BUCKET_US, LOWEST_IN_BUCKET_US
from inference_swarm.measure.intervals import IntervalSeries

MAX_BATCHES = 60
MIN_BATCHES = 8
TIMES = ("mean", "p50", "p95", "p99")
# A may have no failures, so it is the difference of the shares that is compared, not their ratio.
FAILED = "failed"
# Joined batches show by themselves how far states that last reach.
_SIZES = (1, 2, 4, 7)
_JOINED_APART = 3

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Side:
    """One variant, batch by batch: `counts` are histograms of latency, a row each, in the buckets that are used."""

    buckets: Counts
    counts: Counts
    sum_us: Floats
    failed: Counts
    ended: Counts

    @classmethod
    def of(cls, batches: Sequence[RequestCounters]) -> Self:
        """Take the counters of each batch."""
        counts = np.array([one.latency.counts for one in batches], dtype=np.int64).reshape(len(batches), BUCKET_COUNT)
        used = np.flatnonzero(counts.any(axis=0))
        return cls(
            used,
            counts[:, used],
            np.array([one.latency.sum_us for one in batches], dtype=np.float64),
            np.array([one.failures for one in batches], dtype=np.int64),
            np.array([one.ended for one in batches], dtype=np.int64),
        )

    @property
    def batches(self) -> int:
        return len(self.ended)

    @property
    def samples(self) -> int:
        """How many requests succeeded."""
        return int(self.counts.sum())

    def joined(self, size: int) -> Self:
        """Join `size` neighbouring batches each; a rest at the beginning goes to the first."""
        if size == 1 or not self.batches:
            return self
        starts = np.arange(max(1, self.batches // size)) * size + self.batches % size
        starts[0] = 0
        parts = (self.counts, self.sum_us, self.failed, self.ended)
        return type(self)(self.buckets, *(np.add.reduceat(part, starts, axis=0) for part in parts))


def sides_of(series: IntervalSeries, names: Sequence[str]) -> tuple[Side, Side]:
    """Return both variants of a run, in at most MAX_BATCHES batches in which both were sent."""
    intervals = series.intervals()
    size = max(1, math.ceil(len(intervals) / MAX_BATCHES))
    pairs = []
    for start in range(0, len(intervals), size):
        counted = [interval.names() for interval in intervals[start : start + size]]
        pair = [merge_counters(found[name] for found in counted if name in found) for name in names]
        if all(one.ended for one in pair):
            pairs.append(pair)
    one, other = (Side.of([pair[place] for pair in pairs]) for place in range(2))
    return one, other


def compare_variants(
    one: Side, other: Side, metrics: Sequence[str] = (*TIMES, FAILED), *, drift_apart: bool = False
) -> list[Comparison]:
    """Compare metric by metric: `ratio` is B ÷ A, of FAILED the difference B - A. All together have CONFIDENCE."""
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(metrics))
    if drift_apart:
        one, other = one.joined(_JOINED_APART), other.joined(_JOINED_APART)
    sizes = [size for size in _SIZES if one.batches // size >= MIN_BATCHES]
    joined = [_Joined(_LeftOut.of(one.joined(size)), _LeftOut.of(other.joined(size))) for size in sizes or [1]]
    return [_compare(metric, joined, confidence, drift_apart=drift_apart) for metric in metrics]


@dataclass(frozen=True, slots=True)
class _LeftOut:
    """A side, all of it and without each of its batches."""

    side: Side
    below: Counts
    """How many successes are in the buckets up to each; the first row is of all batches."""

    @classmethod
    def of(cls, side: Side) -> Self:
        total = side.counts.sum(axis=0)
        return cls(side, np.cumsum(np.vstack([total, total - side.counts]), axis=1))

    def values(self, metric: str) -> Floats:
        """Return the metric of all batches, then without each."""
        if metric.startswith("p"):
            return self._quantiles(float(metric[1:]) / 100)
        side = self.side
        sums, counts = (side.failed, side.ended) if metric == FAILED else (side.sum_us, side.counts.sum(axis=1))
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = (sums.sum() - np.append(0, sums)) / (counts.sum() - np.append(0, counts))
        return found

    def _quantiles(self, share: float) -> Floats:
        """Between the ends of a bucket by how many lie below.

        A step of a whole bucket, 0.3 % of 300 µs, would hide how much a batch contributes.
        """
        below = self.below
        if not below.shape[1]:
            return np.full(len(below), math.nan)
        ranks = share * below[:, -1]
        found = [row.searchsorted(rank) for row, rank in zip(below, ranks, strict=True)]
        places = np.minimum(np.array(found), below.shape[1] - 1)
        rows = np.arange(len(below))
        before = np.where(places > 0, below[rows, places - 1], 0)
        inside = np.clip((ranks - before) / np.maximum(below[rows, places] - before, 1), 0.0, 1.0)
        buckets = self.side.buckets[places]
        low, high = LOWEST_IN_BUCKET_US[buckets], HIGHEST_IN_BUCKET_US[buckets] + 1
        values: Floats = np.maximum(low - 0.5 + (high - low) * inside, 0.25)  # a bucket holds what is rounded to it
        return values


@dataclass(frozen=True, slots=True)
class _Joined:
    """Both sides in batches of one size."""

    one: _LeftOut
    other: _LeftOut

    def contributions(self, metric: str) -> Floats:
        """Return what each batch contributes to the difference, times their number."""
        one, other = self.one.values(metric)[1:], self.other.values(metric)[1:]
        differences = other - one if metric == FAILED else np.log(other / one)
        contributions: Floats = (differences.mean() - differences) * (len(differences) - 1)
        return contributions

    def is_enough(self, metric: str) -> bool:
        """Return whether there are batches and requests enough."""
        if self.one.side.batches < MIN_BATCHES:
            return False
        needed = samples_needed(float(metric[1:])) if metric.startswith("p") else 0 if metric == FAILED else 1
        return min(self.one.side.samples, self.other.side.samples) >= needed


def _compare(metric: str, joined: Sequence[_Joined], confidence: float, *, drift_apart: bool) -> Comparison:
    whole = joined[0]
    values = [float(side.values(metric)[0]) for side in (whole.one, whole.other)]
    a, b = (Estimate(value, math.nan, math.nan) for value in values)
    is_share = metric == FAILED
    middle = values[1] - values[0] if is_share else math.log(values[1] / values[0]) if min(values) > 0 else math.nan
    margin = _margin(metric, joined, confidence, drift_apart=drift_apart) if whole.is_enough(metric) else None
    if margin is None or math.isnan(middle):
        value = middle if is_share else math.exp(middle)
        return Comparison(metric, a, b, Estimate(value, math.nan, math.nan), Result.TOO_SHORT)
    ends = (middle - margin, middle + margin)
    if is_share:
        ratio = Estimate(middle, max(-1.0, ends[0]), min(1.0, ends[1]))
        is_apart, is_wide = ratio.low > 0 or ratio.high < 0, False
    else:
        ratio = Estimate(math.exp(middle), math.exp(ends[0]), math.exp(min(ends[1], 700.0)))
        is_apart = ratio.low > 1 + RESOLUTION or ratio.high < 1 - RESOLUTION
        is_wide = ratio.high > MAX_WIDTH * ratio.low
    if is_apart:
        return Comparison(metric, a, b, ratio, Result.SIGNIFICANT)
    return Comparison(metric, a, b, ratio, Result.TOO_SHORT if is_wide else Result.NOT_SIGNIFICANT)


def _margin(metric: str, joined: Sequence[_Joined], confidence: float, *, drift_apart: bool) -> float | None:
    """Return how far the difference may be off to either side; None where its states last longer than the run."""
    each = [one.contributions(metric) for one in joined]
    likeness = likeness_of(each[:1])
    if likeness.corrected > MAX_LIKENESS:
        return None
    assumed = likeness.limit if drift_apart else likeness.corrected
    spreads = [spread_of_series(series, assumed if series is each[0] else 0.0) for series in each]
    return max(student_quantile((1 + confidence) / 2, spread.degrees) * spread.error for spread in spreads)
