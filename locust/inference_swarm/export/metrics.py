"""Counters, histograms and verdicts as the plain documents that summary.json and the web pages hold. Pure.

Each metric is defined once, here, for every output. docs/results.md says what each means.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from inference_swarm.config.documents import Document
from inference_swarm.judge.evaluate import ObjectiveResult
from inference_swarm.judge.verdict import Verdict
from inference_swarm.measure.counters import RequestCounters, merge_counters
from inference_swarm.measure.histogram import Histogram
from inference_swarm.measure.totals import SwarmTotals

PERCENTILES: Sequence[tuple[str, float]] = (
    ("p50", 50.0),
    ("p75", 75.0),
    ("p90", 90.0),
    ("p95", 95.0),
    ("p99", 99.0),
    ("p99_9", 99.9),
    ("p99_99", 99.99),
)
MAX_FAILURES = 50


def latency_metrics(histogram: Histogram) -> dict[str, float | None]:
    """Percentiles, mean, min and max in microseconds; None for all without a sample."""
    names = [*(name for name, _ in PERCENTILES), "mean", "min", "max"]
    if not histogram.count:
        return dict.fromkeys(names)
    values = histogram.percentiles_us([percentile for _, percentile in PERCENTILES])
    values += [histogram.mean_us, histogram.min_us, histogram.max_us]
    return {name: round(float(value), 3) for name, value in zip(names, values, strict=True)}


def counter_metrics(counters: RequestCounters, measured_s: float, unserved: int = 0) -> Document:
    """Counts, rates and times of one request name, or of all; `unserved` was asked for and is in no counter."""
    asked = counters.succeeded + counters.unserved + unserved
    return {
        "requests": counters.ended,
        "succeeded": counters.succeeded,
        "failures": counters.failures,
        "abandoned": counters.abandoned,
        "dropped": counters.dropped,
        "late": counters.late,
        "error_rate": round((counters.unserved + unserved) / asked, 9) if asked else None,
        "rate_rps": _rate(counters.ended_in_time, measured_s),
        "rows": counters.rows,
        "rows_per_s": _rate(counters.rows_in_time, measured_s),
        "goodput_rps": _rate(counters.succeeded_in_time, measured_s),
        "ended_after_load": counters.succeeded_after + counters.failed_after,
        "errors": dict(sorted(counters.failed_by_kind.items())),
        "response_bytes": counters.response_bytes,
        "connects": counters.connects,
        "stale_connections": counters.stale_connections,
        "latency_us": latency_metrics(counters.latency),
        "service_us": latency_metrics(counters.service),
        "failed_latency_us": latency_metrics(counters.failed_latency),
        "failed_service_us": latency_metrics(counters.failed_service),
    }


def failure_records(counters: RequestCounters) -> list[Document]:
    """Return the failures, the most frequent first, with their times and an example."""
    ordered = sorted(counters.failed.items(), key=lambda pair: (-pair[1].count, pair[0]))
    return [
        {
            "error": text,
            "kind": record.kind,
            "status": record.status or None,
            "count": record.count,
            "first_s": round(record.first_s, 3),
            "last_s": round(record.last_s, 3),
            "explanation": record.explanation,
            "rows": record.rows,
            "row_count": record.row_count,
        }
        for text, record in ordered[:MAX_FAILURES]
    ]


def left_out_metrics(totals: SwarmTotals) -> Document | None:
    """Return the requests that are left out: a warm-up, or those before a reset of the statistics."""
    if not totals.epoch:
        return None
    left_out = merge_counters(totals.left_out.values())
    return {
        "until_s": round(totals.epoch_start_s, 3),
        "requests": left_out.ended,
        "failures": left_out.failures,
        "abandoned": left_out.abandoned,
        "dropped": left_out.dropped,
        "latency_us": latency_metrics(left_out.latency),
    }


def _rate(count: int, measured_s: float) -> float:
    return round(count / measured_s, 3) if measured_s > 0 else 0.0


def objective_metrics(result: ObjectiveResult) -> Document:
    """One objective, measured value beside its bound: µs for times, fractions for shares, per second for rates."""
    objective = result.objective
    return {
        "objective": objective.text,
        "outcome": str(result.outcome),
        "bound": objective.bound,
        "measured": round(result.measured, 9) if math.isfinite(result.measured) else None,
        "measured_text": result.measured_text,
        "bound_text": objective.format(objective.bound),
        "samples": result.samples,
        "samples_needed": result.samples_needed,
        "note": result.note,
    }


def verdict_metrics(verdict: Verdict) -> Document:
    """Label, colour, exit code, reasons and objectives."""
    return {
        "verdict": verdict.label,
        "tone": str(verdict.tone),
        "exit_code": int(verdict.exit_code),
        "reasons": list(verdict.reasons),
        "objectives": [objective_metrics(result) for result in verdict.results],
    }


def address_metrics(counters: RequestCounters) -> dict[str, Document]:
    """Requests and latency of each address of the server."""
    return {
        address: {
            "requests": one.requests,
            "failures": one.failures,
            "latency_us": latency_metrics(one.latency),
        }
        for address, one in sorted(counters.addresses.items())
    }
