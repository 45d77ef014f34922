"""The stages of a run, one by one, for summary.json and for readers. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from inference_swarm.config.documents import Document, ReadDocument
from inference_swarm.export.formats import format_count, format_rate, format_rates, format_us
from inference_swarm.export.metrics import latency_metrics, verdict_metrics
from inference_swarm.judge.stages import StageResult

HEADERS = ("stage", "from", "to", "wanted", "rate", "p50", "p90", "p99", "max", "failed", "verdict")
CSV_HEADERS = (
    "stage", "start_s", "end_s", "wanted_first", "wanted_last", "wanted_is", "requests", "succeeded", "failures",
    "abandoned", "dropped", "late", "rate_rps", "rows", "rows_per_s", "p50_us", "p90_us", "p99_us", "p99_9_us",
    "max_us", "verdict",
)  # fmt: skip


def stage_metrics(stage: StageResult) -> Document:
    """Return one stage as summary.json has it."""
    counters = stage.counters
    return {
        "stage": stage.number,
        "start_s": round(stage.start_s, 3),
        "end_s": round(stage.end_s, 3),
        "wanted_first": stage.wanted_first,
        "wanted_last": stage.wanted_last,
        "wanted_is": "rate" if stage.is_rate else "users",
        "requests": counters.ended,
        "succeeded": counters.succeeded,
        "failures": counters.failures,
        "abandoned": counters.abandoned,
        "dropped": counters.dropped,
        "late": counters.late,
        "rate_rps": round(stage.rate_rps, 3),
        "rows": counters.rows,
        "rows_per_s": round(stage.rows_per_s, 3),
        "latency_us": latency_metrics(counters.latency),
        "service_us": latency_metrics(counters.service),
        **verdict_metrics(stage.verdict),
    }


def stage_cells(stage: ReadDocument) -> list[str]:
    """Return a stage of summary.json as cells below HEADERS."""
    first, last, latency = stage["wanted_first"], stage["wanted_last"], stage["latency_us"]
    unit = "/s" if stage["wanted_is"] == "rate" else " users"
    wanted = format_rate(last) if first == last else f"{format_rate(first)} … {format_rate(last)}"
    return [
        str(stage["stage"]),
        f"{stage['start_s']:g} s",
        f"{stage['end_s']:g} s",
        wanted + unit,
        format_rates(stage["rate_rps"], stage["rows_per_s"]),
        *(format_us(latency[name]) for name in ("p50", "p90", "p99", "max")),
        format_count(stage["failures"]),
        stage["verdict"],
    ]


def stage_lines(stages: Sequence[ReadDocument]) -> list[str]:
    """Return the table for the terminal."""
    rows = [list(HEADERS), *(stage_cells(stage) for stage in stages)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADERS))]
    return [
        "  ".join(
            cell.ljust(width) if column in (0, len(HEADERS) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def stage_csv(stages: Sequence[ReadDocument]) -> str:
    """Return stages.csv: times in µs, empty where nothing was measured."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(CSV_HEADERS)
    for stage in stages:
        times = {f"{name}_us": value for name, value in stage["latency_us"].items()}
        known = {**stage, **times}
        writer.writerow(["" if known[header] is None else known[header] for header in CSV_HEADERS])
    return text.getvalue()
