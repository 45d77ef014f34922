"""How many samples a percentile needs before it means something.

The rule is the minimum that MLPerf's early stopping accepts: enough samples that, if the true percentile were above the
second largest of them, that would have a probability of at most 1 %. p90 needs 64, p99 662, p99.9 6,636.
Source: loadgen/early_stopping.cc of https://github.com/mlcommons/inference (t = 1, confidence 0.99). MLPerf's rule for
a margin of a twentieth of the tail (270,336 for p99) asks for more precision than a pass or fail needs.
"""

from __future__ import annotations

from functools import lru_cache

CONFIDENCE = 0.99


@lru_cache(maxsize=256)
def samples_needed(percentile: float) -> int:
    """Return the minimum of samples for this percentile; those below 50 need as many as their mirror image above."""
    if not 0 < percentile < 100:
        raise ValueError(f"a percentile lies between 0 and 100, got {percentile}")
    tail = min(percentile, 100 - percentile) / 100
    low, high = 1, 2
    while _chance_of_at_most_one(high, tail) > 1 - CONFIDENCE:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _chance_of_at_most_one(middle, tail) <= 1 - CONFIDENCE else (middle, high)
    return high


def _chance_of_at_most_one(samples: int, tail: float) -> float:
    """Return a binomial probability: none or one of the samples lies beyond the percentile."""
    return float((1 - tail) ** samples + samples * tail * (1 - tail) ** (samples - 1))
