"""GET /metrics: this process and what it has answered, as Prometheus text, under the names that its own clients use."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from server.counters import Counters

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATM = Path("/proc/self/statm")


def metrics_text(counters: Counters) -> str:
    """Return the text."""
    seen, times = counters.snapshot(), os.times()
    lines = [
        *_metric("process_cpu_seconds_total", "counter", "CPU time.", [("", times.user + times.system)]),
        *_metric("process_resident_memory_bytes", "gauge", "Resident memory.", [("", _resident_bytes())]),
        *_metric(
            "inference_responses_total",
            "counter",
            "Responses to requests for predictions, by status.",
            [(f'{{status="{status}"}}', count) for status, count in seen["by_status"].items()],
        ),
        *_metric("inference_rows_total", "counter", "Rows that were predicted.", [("", seen["predicted_rows"])]),
    ]
    return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, words: str, samples: list[tuple[str, float]]) -> list[str]:
    return [
        f"# HELP {name} {words}",
        f"# TYPE {name} {kind}",
        *(f"{name}{labels} {value}" for labels, value in samples),
    ]


def _resident_bytes() -> int:
    try:
        return int(STATM.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:  # no Linux: the highest so far
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
