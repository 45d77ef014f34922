"""Maps response times to the keys of Locust's tables: three significant digits at every scale, nothing finer than 1 µs.

Replaces `locust.stats.bucket_response_time`, which rounds 0.4 ms to 0 and 147 ms to 150. 900 keys a decade.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Upper ends of the decades in ms, and by what a value is scaled so that its third digit is the last before the point.
_DECADE_ENDS_MS = 10.0 ** np.arange(0, 10)
_SCALE_UP = np.array([1000.0, 100.0, 10.0] + [1.0] * 8)
_SCALE_DOWN = np.concatenate([np.ones(4), 10.0 ** np.arange(1, 8)])


def bucket_response_time(response_time_ms: float) -> float:
    """The key of one response time: 0.4123 is 0.412, 12.34 is 12.3, 123.4 is 123, 1234 is 1230."""
    if response_time_ms < 1:
        return round(response_time_ms * 1000) / 1000
    if response_time_ms < 10:
        return round(response_time_ms * 100) / 100
    if response_time_ms < 100:
        return round(response_time_ms * 10) / 10
    if response_time_ms < 1000:
        return round(response_time_ms)
    step = 10
    while response_time_ms >= step * 1000:
        step *= 10
    return round(response_time_ms / step) * step


def bucket_counts_ns(response_times_ns: npt.NDArray[np.int64]) -> dict[float, int]:
    """How many of a batch have each key; the keys are those that `bucket_response_time` gives one by one."""
    times_ms = response_times_ns / 1e6
    decades = np.searchsorted(_DECADE_ENDS_MS, times_ms, side="right")
    up, down = _SCALE_UP[decades], _SCALE_DOWN[decades]
    keys, counts = np.unique(np.rint(times_ms * up / down) * down / up, return_counts=True)
    return {(int(key) if key >= 100 else key): count for key, count in zip(keys.tolist(), counts.tolist(), strict=True)}
