"""Exact statements about a share that was counted: tails and the interval of Clopper and Pearson (1934).

Counts may be fractions: of correlated samples only an effective number counts (`evidence.py`). The tails are the
regularized incomplete beta function, by its continued fraction (Lentz's method; Numerical Recipes, 6.4).
"""

from __future__ import annotations

import math
from collections.abc import Callable

_TINY = 1e-300
_PRECISION = 1e-12
_MAX_TERMS = 10_000


def chance_of_at_least(found: float, samples: float, share: float) -> float:
    """Return the probability that at least `found` of `samples` have a property that each has with `share`."""
    if found <= 0:
        return 1.0
    if found > samples:
        return 0.0
    return incomplete_beta(found, samples - found + 1, share)


def chance_of_at_most(found: float, samples: float, share: float) -> float:
    """Return the probability that at most `found` of `samples` have a property that each has with `share`."""
    if found >= samples:
        return 1.0
    return 1.0 - incomplete_beta(found + 1, samples - found, share)


def share_interval(found: float, samples: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval that holds the true share with at least this confidence."""
    if samples <= 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = 0.0 if found <= 0 else _solve(lambda share: chance_of_at_least(found, samples, share) < tail)
    high = 1.0 if found >= samples else _solve(lambda share: chance_of_at_most(found, samples, share) > tail)
    return low, high


def _solve(is_below: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularized incomplete beta function I_x(a, b)."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - incomplete_beta(b, a, 1 - x)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x) - math.log(a)
    )
    return min(1.0, front * _continued_fraction(a, b, x))


def _continued_fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, _above_0(1 - (a + b) * x / (a + 1))
    d = 1 / d
    value = d
    for m in range(1, _MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _above_0(1 + term * d)
            c = _above_0(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return value


def _above_0(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
