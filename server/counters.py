"""Counts the responses of this process, so that a load test can hold its own count against the server's."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import Any


class Counters:
    """Requests for predictions since the start, by status and by model. One process, one event loop: no lock."""

    def __init__(self) -> None:
        self._started_ns = time.monotonic_ns()
        self._by_status: Counter[int] = Counter()
        self._by_model: Counter[str] = Counter()
        self._rows = 0
        self._abandoned = 0

    def count_response(self, status: int) -> None:
        """Count one response with `status`."""
        self._by_status[status] += 1

    def count_prediction(self, model: str, rows: int) -> None:
        """Count one response with predictions of `model` (as dataset/key) for `rows` rows."""
        self._by_model[model] += 1
        self._rows += rows

    def count_abandoned(self) -> None:
        """Count one request whose sender left before its body was complete; it gets no response."""
        self._abandoned += 1

    def snapshot(self) -> dict[str, Any]:
        """All counts; they are of this process only."""
        return {
            "answered": self._by_status.total(),
            "by_status": {str(status): count for status, count in sorted(self._by_status.items())},
            "by_model": dict(sorted(self._by_model.items())),
            "predicted_rows": self._rows,
            "abandoned": self._abandoned,
            "uptime_s": round((time.monotonic_ns() - self._started_ns) / 1e9, 3),
            "pid": os.getpid(),
        }
