"""How far a metric of a run may be from its true value, given that intervals near each other resemble each other.

A metric is a ratio of sums over a run's batches (requests over seconds, µs over requests, slow requests over requests).
What each batch contributes to its deviation makes a series. If states of the server last, neighbours in it are alike,
and many batches say no more than a few. The series is taken for one of first order (AR(1)): from the correlation r of
neighbours follow the variance of its mean, how much of its variance is seen within a run, and with how many degrees of
freedom (Satterthwaite 1946). A short series shows less correlation than there is, so r is corrected for its length
(Kendall 1954: by (1 + 3r)/n), and its upper confidence limit is taken: what cannot be ruled out is assumed. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# In standard errors, which of a correlation of n pairs are about 1/√n. With 3.2 of them at most 1 % of 300 pairs of
# equal 30 s runs differed whose level kept 0.9 of itself from one interval to the next; with 2.0 it was 3 %.
_LIMIT = 3.2
# States that last longer than a run make it a sample of one; no interval can be had from that.
MAX_LIKENESS = 0.95


@dataclass(frozen=True, slots=True)
class Ratio:
    """A metric as `numerators` over `denominators`, batch by batch."""

    numerators: Floats
    denominators: Floats

    @property
    def value(self) -> float:
        total = float(self.denominators.sum())
        return float(self.numerators.sum()) / total if total else math.nan

    def joined(self, size: int) -> Ratio:
        """Join `size` neighbouring batches each; a rest at the beginning goes to the first."""
        count = len(self.numerators) // size
        starts = np.arange(count) * size + len(self.numerators) - count * size
        starts[0] = 0
        return Ratio(np.add.reduceat(self.numerators, starts), np.add.reduceat(self.denominators, starts))

    def deviations(self) -> Floats:
        """Return what each batch contributes to the deviation of the value, times the number of batches."""
        mean = float(self.denominators.mean())
        contributions: Floats = (self.numerators - self.value * self.denominators) / (mean or 1.0)
        return contributions


@dataclass(frozen=True, slots=True)
class Spread:
    """The standard error of a metric and the degrees of freedom with which it is known."""

    error: float
    degrees: float


@dataclass(frozen=True, slots=True)
class Likeness:
    """The correlation of neighbouring batches: corrected for the length of the series, and its upper limit."""

    corrected: float
    limit: float


def likeness_of(series: Sequence[Floats]) -> Likeness:
    """Return how alike neighbours are in series of the same kind."""
    count = sum(len(one) for one in series)
    squares = sum(float(one @ one) for one in series)
    if not squares:
        return Likeness(0.0, 0.0)
    found = sum(float(one[:-1] @ one[1:]) for one in series) / squares
    corrected = max(0.0, found + (1 + 3 * found) / (count / len(series)))
    return Likeness(corrected, corrected + _LIMIT / math.sqrt(count))


def spread_of(ratio: Ratio, likeness: float) -> Spread:
    """The spread of a metric whose neighbouring batches have this correlation."""
    return spread_of_series(ratio.deviations(), likeness)


def spread_of_series(series: Floats, likeness: float) -> Spread:
    """The spread of a mean, from what each batch contributes to its deviation, times the number of batches."""
    count = len(series)
    of_mean, seen, degrees = _of_first_order(count, min(max(0.0, likeness), MAX_LIKENESS))
    variance = float(series @ series) / (count - 1) / seen
    return Spread(math.sqrt(variance * of_mean), degrees)


@lru_cache(maxsize=4096)
def _of_first_order(count: int, likeness: float) -> tuple[float, float, float]:
    """For `count` values: the variance of their mean, that seen around it, its degrees of freedom."""
    lags = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    covariance = likeness**lags
    centred = covariance - covariance.mean(axis=0) - covariance.mean(axis=1)[:, None] + covariance.mean()
    trace = float(np.trace(centred))
    return float(covariance.mean()), trace / (count - 1), trace**2 / float((centred**2).sum())


def joint_degrees(one: Spread, other: Spread) -> float:
    """Return the degrees of freedom of a difference (Welch 1947)."""
    parts = [spread.error**2 for spread in (one, other)]
    if not sum(parts):
        return min(one.degrees, other.degrees)
    weights = [part / sum(parts) for part in parts]
    return 1 / sum(weight**2 / spread.degrees for weight, spread in zip(weights, (one, other), strict=True))
