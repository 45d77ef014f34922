"""How this process itself fares: delay of its event loop, CPU, open files. An edge: clock, gevent, psutil."""

from __future__ import annotations

import time

import gevent
import numpy as np
import psutil

from inference_swarm.measure.snapshot import WorkerHealth

TICK_S = 0.1


class HealthMonitor:
    """Ticks on the event loop; what a tick is late by is the loop's delay."""

    def __init__(self) -> None:
        self._lags_ms: list[float] = []
        self._process = psutil.Process()
        self._process.cpu_percent()
        self._ticker = gevent.spawn(self._tick)

    def take(self) -> WorkerHealth:
        """Figures since the last call."""
        lags_ms, self._lags_ms = self._lags_ms, []
        return WorkerHealth(
            loop_lag_max_ms=round(max(lags_ms), 3) if lags_ms else None,
            loop_lag_p99_ms=round(float(np.percentile(lags_ms, 99)), 3) if lags_ms else None,
            cpu_percent=float(self._process.cpu_percent()),
            open_files=self._process.num_fds() if hasattr(self._process, "num_fds") else None,
            open_files_limit=_open_files_limit(),
        )

    def close(self) -> None:
        """Stops ticking."""
        self._ticker.kill(block=False)

    def _tick(self) -> None:
        while True:
            began_s = time.monotonic()
            gevent.sleep(TICK_S)
            self._lags_ms.append(max(0.0, (time.monotonic() - began_s - TICK_S) * 1000))


def _open_files_limit() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft >= 0 else None
