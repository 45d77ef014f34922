"""How throughput grows with users: the knee, and the Universal Scalability Law (Gunther 1993) fitted to it. Pure.

X(N) = λN / (1 + σ(N-1) + κN(N-1)): λ is the throughput of one user, σ the contention (what must queue), κ the coherency
(what each must agree with every other). N/X is linear in 1, N-1 and N(N-1) over λ, so the fit is one of weighted least
squares; its covariance gives each value's uncertainty (delta method). A negative σ or κ counts as 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
MIN_POINTS = 4
# A peak farther than so many times the most users that were tried is none that was seen.
FARTHEST = 10.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its standard error."""

    value: float
    error: float


@dataclass(frozen=True, slots=True)
class Scalability:
    """The fit; `peak_users` is where it predicts the highest throughput, None if throughput only grows."""

    one_user_rps: Estimate
    contention: Estimate
    coherency: Estimate
    peak_users: Estimate | None
    peak_rps: float | None
    knee_users: float | None
    """Where the asymptotes cross: the highest throughput seen by that of one user."""


def fit_scalability(points: Sequence[tuple[float, float]]) -> Scalability | None:
    """Fit (users, throughput) points; None with fewer than MIN_POINTS different numbers of users."""
    known = sorted((users, rps) for users, rps in points if users >= 1 and rps > 0)
    if len({users for users, _ in known}) < MIN_POINTS:
        return None
    users, rps = (np.array(column, dtype=np.float64) for column in zip(*known, strict=True))
    columns = [np.ones_like(users), users - 1, users * (users - 1)]
    used = [0, 1, 2]
    while True:
        values, covariance = _weighted_fit([columns[place] for place in used], users / rps)
        negative = [place for place, value in zip(used, values, strict=True) if place and value < 0]
        if not negative:
            break
        used.remove(min(negative, key=lambda place: values[used.index(place)]))
    full, errors = np.zeros(3), np.zeros((3, 3))
    for row, place in enumerate(used):
        full[place] = values[row]
        for column, other in enumerate(used):
            errors[place, other] = covariance[row, column]
    return _scalability(full, errors, users, rps)


def _weighted_fit(columns: Sequence[Floats], wanted: Floats) -> tuple[Floats, Floats]:
    """Return values and covariance; each point is as exact as its neighbours, by its own size."""
    design = np.column_stack(columns) / wanted[:, None]
    found, *_ = np.linalg.lstsq(design, np.ones_like(wanted), rcond=None)
    values: Floats = np.asarray(found, dtype=np.float64)
    residuals = np.ones_like(wanted) - design @ values
    freedom = max(1, len(wanted) - len(columns))
    inverse: Floats = np.asarray(np.linalg.pinv(design.T @ design), dtype=np.float64)
    return values, float(residuals @ residuals) / freedom * inverse


def _scalability(values: Floats, covariance: Floats, users: Floats, rps: Floats) -> Scalability:
    a, b, c = (float(value) for value in values)

    def estimate(value: float, gradient: Sequence[float]) -> Estimate:
        slope = np.array(gradient)
        return Estimate(value, math.sqrt(max(0.0, float(slope @ covariance @ slope))))

    one = estimate(1 / a, [-1 / a**2, 0, 0])
    contention = estimate(b / a, [-b / a**2, 1 / a, 0])
    coherency = estimate(c / a, [-c / a**2, 0, 1 / a])
    peak = peak_rps = None
    at = math.sqrt((a - b) / c) if c > 0 and a > b else math.inf  # sqrt((1 - σ) / κ)
    if at <= FARTHEST * float(users.max()):
        peak = estimate(at, [1 / (2 * at * c), -1 / (2 * at * c), -at / (2 * c)])
        peak_rps = at / (a + b * (at - 1) + c * at * (at - 1))
    first = rps[users == users.min()]
    knee = float(rps.max() / first.mean() * users.min())
    return Scalability(one, contention, coherency, peak, peak_rps, knee)


def throughput_at(fit: Scalability, users: float) -> float:
    """Return what the fit predicts."""
    shape = 1 + fit.contention.value * (users - 1) + fit.coherency.value * users * (users - 1)
    return fit.one_user_rps.value * users / shape
