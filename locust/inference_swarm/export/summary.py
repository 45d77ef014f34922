"""summary.json: one run's record in, a plain document out. Pure; docs/results.md says what each field means."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from inference_swarm import __version__
from inference_swarm.config.settings import Settings
from inference_swarm.measure.histogram import Histogram
from inference_swarm.measure.snapshot import RequestTally
from inference_swarm.measure.totals import SwarmTotals

SUMMARY_VERSION = 1
PERCENTILES: Sequence[tuple[str, float]] = (
    ("p50", 50.0),
    ("p75", 75.0),
    ("p90", 90.0),
    ("p95", 95.0),
    ("p99", 99.0),
    ("p99_9", 99.9),
    ("p99_99", 99.99),
)
LIBRARIES = ("locust", "gevent", "pyarrow", "pyzmq", "pandas")


@dataclass(frozen=True, slots=True)
class DataRecord:
    """What was sent: source, rows, blocks and the fingerprint of the content."""

    source: str
    rows: int
    blocks: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """All that is known of a run when it has ended."""

    run_id: str
    name: str
    started_at: str
    duration_s: float
    settings: Settings
    sources: Mapping[str, str]
    totals: SwarmTotals
    data: DataRecord | None = None
    lost_workers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Every worker's final snapshot is in."""
        return self.totals.is_complete and not self.lost_workers


def latency_figures(histogram: Histogram) -> dict[str, float | None]:
    """Percentiles, mean, min and max in microseconds; None for all without a sample."""
    names = [*(name for name, _ in PERCENTILES), "mean", "min", "max"]
    if not histogram.count:
        return dict.fromkeys(names)
    values = histogram.percentiles_us([percentile for _, percentile in PERCENTILES])
    values += [histogram.mean_us, histogram.min_us, histogram.max_us]
    return {name: round(float(value), 3) for name, value in zip(names, values, strict=True)}


def tally_figures(tally: RequestTally, duration_s: float) -> dict[str, Any]:
    """Counts, rate and times of one request name, or of all."""
    return {
        "requests": tally.ended,
        "failures": tally.failures,
        "rate_rps": round(tally.ended / duration_s, 3) if duration_s > 0 else 0.0,
        "errors": dict(sorted(tally.failed.items())),
        "late": tally.late,
        "dropped": tally.dropped,
        "request_bytes": tally.request_bytes,
        "answer_bytes": tally.answer_bytes,
        "connects": tally.connects,
        "latency_us": latency_figures(tally.latency),
        "service_us": latency_figures(tally.service),
    }


def build_summary(run: RunRecord) -> dict[str, Any]:
    """The document."""
    values = run.settings.to_dict()
    return {
        "version": SUMMARY_VERSION,
        "run_id": run.run_id,
        "run": run.name,
        "started_at": run.started_at,
        "duration_s": round(run.duration_s, 3),
        "complete": run.is_complete,
        "incomplete_workers": {**run.totals.incomplete_workers(), **run.lost_workers},
        "dataset": run.settings.dataset_name,
        "model": run.settings.model,
        "method": run.settings.pred_method,
        "users": run.settings.users,
        "workers": len(run.totals.workers),
        **tally_figures(run.totals.total(), run.duration_s),
        "names": {name: tally_figures(tally, run.duration_s) for name, tally in sorted(run.totals.names.items())},
        "by_worker": {
            worker: {"sent": record.sent, "succeeded": record.succeeded, "failed": record.failed}
            for worker, record in sorted(run.totals.workers.items())
        },
        "data": None
        if run.data is None
        else {
            "source": run.data.source,
            "rows": run.data.rows,
            "blocks": run.data.blocks,
            "fingerprint": run.data.fingerprint,
        },
        "settings": {name: {"value": value, "source": run.sources.get(name, "")} for name, value in values.items()},
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of this program, of Python and of the libraries that matter to a number."""
    found = {"inference_swarm": __version__, "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "unknown"
    return found


def run_table_row(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The row of run_table.csv."""
    latency = summary["latency_us"]
    row = {
        key: summary[key] for key in ("run", "dataset", "model", "method", "users", "requests", "failures", "workers")
    }
    return {**row, "rate_rps": summary["rate_rps"], **{f"{p}_us": latency[p] for p in ("p50", "p95", "p99")}}
