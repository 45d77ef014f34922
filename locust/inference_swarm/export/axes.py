"""Where the axes of plots have their labels. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from inference_swarm.export.formats import format_seconds

_SHORT_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800)
_TIME_STEPS_S = (*_SHORT_S, *(86400 * 2**n for n in range(20)))


def time_labels(end_s: float) -> list[tuple[float, str]]:
    """Return the labels of an axis of time that ends here."""
    step_s = next(step for step in _TIME_STEPS_S if end_s / step <= 7)
    return [(at, format_seconds(at)) for at in range(0, math.floor(end_s) + 1, step_s)]


def value_labels(values: Sequence[float], *, is_logarithmic: bool) -> list[float]:
    """Return where an axis that shows these values has its labels; the first and the last enclose them."""
    values = [value for value in values if math.isfinite(value) and value >= 0]
    highest = max(values, default=1.0) or 1.0
    if not is_logarithmic:
        step = 10 ** math.floor(math.log10(highest))
        step = next(step * factor for factor in (0.2, 0.5, 1, 2, 5) if highest / (step * factor) <= 5)
        return [step * n for n in range(math.ceil(highest / step) + 1)]
    lowest = max(1.0, min(value for value in values)) if values else 1.0
    exponents = range(math.floor(math.log10(lowest)), math.ceil(math.log10(max(highest, lowest * 1.01))) + 1)
    steps = [factor * 10**n for n in exponents for factor in (1, 2, 5)]
    low = max(step for step in steps if step <= lowest)
    high = min((step for step in steps if step >= highest), default=steps[-1])
    kept = [float(step) for step in steps if low <= step <= high]
    # Only the powers of ten where there are many.
    return (
        kept if len(kept) <= 7 else sorted({kept[0], *(step for step in kept if math.log10(step) % 1 == 0), kept[-1]})
    )
