"""Quantiles of the beta and of Student's t distribution, for intervals over few samples. Pure; no SciPy in a worker.

Source of the continued fraction: Numerical Recipes, 3rd edition, section 6.4 (modified Lentz's method).
"""

from __future__ import annotations

import math
from functools import lru_cache

_TINY = 1e-300
_MAX_TERMS = 500
_MAX_STEPS = 200
_PRECISION = 1e-15


def beta_share(a: float, b: float, x: float) -> float:
    """The share of a beta distribution that lies below x: the regularized incomplete beta function."""
    if not (a > 0 and b > 0):
        raise ValueError(f"a beta distribution has parameters above 0, got {a} and {b}")
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    front = math.exp(_log_front(a, b, x))
    # The fraction converges quickly below the mean and its mirror image above.
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, 1 - x) / b


def _log_front(a: float, b: float, x: float) -> float:
    """Of the density, times x (1 - x)."""
    return math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1.0 / _away_from_zero(1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, _MAX_TERMS):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _away_from_zero(1 + numerator * d)
            c = _away_from_zero(1 + numerator / c)
            result *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return result


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def beta_quantile(share: float, a: float, b: float) -> float:
    """Return the value below which this share of a beta distribution lies.

    By Newton's method, and by halves where that would leave what is known to hold the value.
    """
    low, high = 0.0, 1.0
    x = a / (a + b)
    for _ in range(_MAX_STEPS):
        excess = beta_share(a, b, x) - share
        low, high = (x, high) if excess < 0 else (low, x)
        slope = math.exp(_log_front(a, b, x)) / (x * (1 - x))
        nearer = x - excess / slope if slope else low
        if not low < nearer < high:
            nearer = (low + high) / 2
        if abs(nearer - x) <= _PRECISION * nearer:
            return nearer
        x = nearer
    return x


@lru_cache(maxsize=1024)
def student_quantile(share: float, degrees: float) -> float:
    """Return the value below which this share of Student's t distribution lies; `degrees` may be fractional."""
    if not (0 < share < 1 and degrees > 0):
        raise ValueError(f"Student's t needs a share between 0 and 1 and degrees above 0, got {share} and {degrees}")
    tail = min(share, 1 - share)
    # Both tails of t hold as much as lies below degrees / (degrees + t²) of a beta distribution.
    x = beta_quantile(2 * tail, degrees / 2, 0.5)
    value = math.sqrt(degrees * (1 / max(x, _TINY) - 1))
    return value if share > 0.5 else -value
