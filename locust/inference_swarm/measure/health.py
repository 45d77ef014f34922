"""Measures this process: delay of its event loop, CPU, open files. An edge: clock, gevent, psutil."""

from __future__ import annotations

import time
from collections.abc import Sequence

import gevent
import numpy as np
import numpy.typing as npt
import psutil

from inference_swarm.measure.snapshot import WorkerHealth

# A hundred ticks a second cost 0.2 % of a core; the p99 of three seconds is then not just the worst tick.
TICK_S = 0.01
# With less a p99 would be just the worst value: ticks of this time, and so many arrivals.
MIN_TICKS_S = 0.5
MIN_ARRIVALS = 50
NS_PER_MS = 1_000_000
MS_PER_S = 1000


class HealthMonitor:
    """Ticks on the event loop; a late tick shows the loop's delay."""

    def __init__(self) -> None:
        self._lags_ms: list[float] = []
        self._process = psutil.Process()
        self._process.cpu_percent()
        self._began_s = time.monotonic()
        self._ticker = gevent.spawn(self._tick)

    def take(self, scheduling_lags_ns: Sequence[int] | None = None) -> WorkerHealth:
        """Metrics since the last call; an open load adds how late its arrivals were handed to free users."""
        lags_ms, self._lags_ms = self._lags_ms, []
        late_ms = (time.monotonic() - self._began_s - TICK_S) * MS_PER_S
        loop_max_ms, loop_p99_ms = loop_lag_ms([*lags_ms, late_ms] if late_ms > 0 else lags_ms)
        scheduling_ms = np.array(scheduling_lags_ns or ()) / NS_PER_MS
        scheduling_max_ms, scheduling_p99_ms = _worst_ms(scheduling_ms, has_p99=scheduling_ms.size >= MIN_ARRIVALS)
        return WorkerHealth(
            loop_lag_max_ms=loop_max_ms,
            loop_lag_p99_ms=loop_p99_ms,
            scheduling_lag_max_ms=scheduling_max_ms,
            scheduling_lag_p99_ms=scheduling_p99_ms,
            cpu_percent=float(self._process.cpu_percent()),
            open_files=self._process.num_fds() if hasattr(self._process, "num_fds") else None,
            open_files_limit=_open_files_limit(),
        )

    def close(self) -> None:
        """Stop ticking."""
        self._ticker.kill(block=False)

    def _tick(self) -> None:
        while True:
            self._began_s = time.monotonic()
            gevent.sleep(TICK_S)
            self._lags_ms.append(max(0.0, (time.monotonic() - self._began_s - TICK_S) * MS_PER_S))


def loop_lag_ms(lags_ms: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the maximum and p99 of how late ticks were; no p99 of a short time.

    A loop that is held up has few ticks: that there are few is no reason to know nothing.
    """
    ticks_s = len(lags_ms) * TICK_S + sum(lags_ms) / MS_PER_S
    return _worst_ms(np.array(lags_ms), has_p99=ticks_s >= MIN_TICKS_S)


def _worst_ms(lags_ms: npt.NDArray[np.float64], *, has_p99: bool) -> tuple[float | None, float | None]:
    if not lags_ms.size:
        return None, None
    p99_ms = round(float(np.percentile(lags_ms, 99)), 3) if has_p99 else None
    return round(float(lags_ms.max()), 3), p99_ms


def _open_files_limit() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft >= 0 else None
