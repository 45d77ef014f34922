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
MIN_TICKS = 50
NS_PER_MS = 1_000_000


class HealthMonitor:
    """Ticks on the event loop; a late tick shows the loop's delay."""

    def __init__(self) -> None:
        self._lags_ms: list[float] = []
        self._process = psutil.Process()
        self._process.cpu_percent()
        self._ticker = gevent.spawn(self._tick)

    def take(self, scheduling_lags_ns: Sequence[int] | None = None) -> WorkerHealth:
        """Metrics since the last call; an open load adds how late its arrivals were handed to free users."""
        lags_ms, self._lags_ms = self._lags_ms, []
        loop_max_ms, loop_p99_ms = _worst_ms(np.array(lags_ms))
        scheduling_max_ms, scheduling_p99_ms = _worst_ms(np.array(scheduling_lags_ns or ()) / NS_PER_MS)
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
            began_s = time.monotonic()
            gevent.sleep(TICK_S)
            self._lags_ms.append(max(0.0, (time.monotonic() - began_s - TICK_S) * 1000))


def _worst_ms(lags_ms: npt.NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Return maximum and p99; None of a few values."""
    if not lags_ms.size:
        return None, None
    p99_ms = round(float(np.percentile(lags_ms, 99)), 3) if lags_ms.size >= MIN_TICKS else None
    return round(float(lags_ms.max()), 3), p99_ms


def _open_files_limit() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft >= 0 else None
