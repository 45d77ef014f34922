"""summary.json: one run's record in, a plain document out. Pure; docs/results.md says what each field means."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from inference_swarm import __version__
from inference_swarm.config.settings import Settings
from inference_swarm.data.progress import OnceNumbers
from inference_swarm.judge.conclusion import Conclusion
from inference_swarm.judge.self_check import SelfCheckWarning, is_generator_bottleneck
from inference_swarm.judge.verdict import ObjectiveResult
from inference_swarm.measure.histogram import Histogram
from inference_swarm.measure.snapshot import RequestTally, WorkerHealth
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
MOST_FAILURE_TEXTS = 50
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
    started_unix_s: float
    duration_s: float
    settings: Settings
    sources: Mapping[str, str]
    totals: SwarmTotals
    conclusion: Conclusion
    warnings: Sequence[SelfCheckWarning] = ()
    master_health: WorkerHealth = field(default_factory=WorkerHealth)
    arrivals_wanted: tuple[int, float] | None = None
    """How many an open load's schedule held, and the rate asked for; None for a closed load."""
    failure_texts: Mapping[str, int] = field(default_factory=dict)
    """How often each error text occurred, as Locust groups failures."""
    data: DataRecord | None = None
    lost_workers: Mapping[str, str] = field(default_factory=dict)
    maybe_missing: int = 0
    """Requests that lost workers may have sent and nobody counted, at most."""
    once: OnceNumbers | None = None

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


def objective_figures(result: ObjectiveResult) -> dict[str, Any]:
    """One objective, measured value beside its bound: µs for times, fractions for shares, per second for rates."""
    objective = result.objective
    return {
        "objective": objective.text,
        "outcome": str(result.outcome),
        "bound": objective.bound,
        "measured": round(result.measured, 9) if math.isfinite(result.measured) else None,
        "measured_text": objective.format(result.measured),
        "bound_text": objective.format(objective.bound),
        "samples": result.samples,
        "samples_needed": result.samples_needed,
        "note": result.note,
    }


def arrival_figures(run: RunRecord) -> dict[str, Any] | None:
    """What became of an open load's schedule; `unaccounted` went down with a worker that never reported it."""
    if run.arrivals_wanted is None:
        return None
    wanted, wanted_rps = run.arrivals_wanted
    total = run.totals.total()
    return {
        "wanted": wanted,
        "wanted_rps": round(wanted_rps, 3),
        "sent": total.sent,
        "late": total.late,
        "dropped": total.dropped,
        "unaccounted": max(0, wanted - total.sent - total.dropped),
    }


def build_summary(run: RunRecord) -> dict[str, Any]:
    """The document."""
    values = run.settings.to_record()
    return {
        "version": SUMMARY_VERSION,
        "run_id": run.run_id,
        "run": run.name,
        "started_at": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(run.started_unix_s)),
        "started_unix_s": round(run.started_unix_s, 3),
        "duration_s": round(run.duration_s, 3),
        "verdict": run.conclusion.word,
        "exit_code": int(run.conclusion.code),
        "reasons": list(run.conclusion.reasons),
        "objectives": [objective_figures(result) for result in run.conclusion.results],
        "generator_bound": is_generator_bottleneck(run.warnings),
        "self_check": [asdict(warning) for warning in run.warnings],
        "complete": run.is_complete,
        "incomplete_workers": {**run.totals.incomplete_workers(), **run.lost_workers},
        "requests_maybe_missing": run.maybe_missing,
        "once": None if run.once is None else asdict(run.once),
        "dataset": run.settings.dataset_name,
        "model": run.settings.model,
        "method": run.settings.pred_method,
        "users": run.settings.users,
        "workers": len(run.totals.workers),
        "load": run.settings.arrival,
        "arrivals": arrival_figures(run),
        **tally_figures(run.totals.total(), run.duration_s),
        "failure_texts": [
            {"error": text, "count": count}
            for text, count in sorted(run.failure_texts.items(), key=lambda pair: -pair[1])[:MOST_FAILURE_TEXTS]
        ],
        "names": {name: tally_figures(tally, run.duration_s) for name, tally in sorted(run.totals.names.items())},
        "by_worker": {
            worker: {
                "sent": record.sent,
                "succeeded": record.succeeded,
                "failed": record.failed,
                "worst": asdict(record.worst_health),
            }
            for worker, record in sorted(run.totals.workers.items())
        },
        "master": asdict(run.master_health),
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
