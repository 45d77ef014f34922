"""Two runs side by side: saved runs in, results and text for the terminal out. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from inference_swarm.config.documents import Document
from inference_swarm.errors import ProtocolError
from inference_swarm.export.answers import answer_differences
from inference_swarm.export.formats import format_rate, format_us
from inference_swarm.export.saved_run import SavedRun, as_it_was_written
from inference_swarm.judge.capacity.compare import comparison_words
from inference_swarm.judge.capacity.result import result_of_summary
from inference_swarm.judge.compare import (
    CONFIDENCE,
    MIN_BATCHES,
    Batch,
    Comparison,
    Estimate,
    Result,
    RunSample,
    compare_runs,
)
from inference_swarm.measure.histogram import Histogram

# What should be the same in both for the comparison to be about one thing.
NAMED_SETTINGS = (
    "dataset_name", "model", "pred_method", "users", "arrival", "burstiness", "rate_rps", "stages", "requests",
    "wait_min_s", "wait_max_s", "row_order", "batch_size", "body_format", "host",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ComparedRuns:
    """Both runs, the result metric by metric, and what else differs between them."""

    one: SavedRun
    other: SavedRun
    metrics: tuple[Comparison, ...]
    differences: tuple[str, ...]


def compare_saved(one: SavedRun, other: SavedRun) -> ComparedRuns:
    """Compare by the intervals of each run; the values are those of their summaries."""
    samples = sample_of(one), sample_of(other)
    with as_it_was_written(one.folder, other.folder):
        metrics = [_as_summarized(metric, one, other) for metric in compare_runs(*samples)]
        return ComparedRuns(one, other, tuple(metrics), tuple(_differences(one.summary, other.summary)))


def _as_summarized(metric: Comparison, one: SavedRun, other: SavedRun) -> Comparison:
    """Take the summary's rate, the only one of a run: intervals run from the first user to the last report."""
    values = [_summarized(run.summary, metric.metric) for run in (one, other)]
    first, second = values
    if first is None or second is None or not first:
        return metric
    return replace(
        metric,
        one=replace(metric.one, value=first),
        other=replace(metric.other, value=second),
        ratio=replace(metric.ratio, value=second / first),
    )


def _summarized(summary: Document, metric: str) -> float | None:
    if metric == "rate":
        return float(summary["rate_rps"])
    value = summary["latency_us"].get(metric.replace(".", "_"))
    return None if value is None else float(value)


def sample_of(run: SavedRun) -> RunSample:
    """Return a run's intervals, all request names together."""
    by_start: dict[float, Histogram] = {}
    for interval in run.latency:
        by_start.setdefault(interval.start_s, Histogram()).add(interval.histogram)
    batches = [
        Batch(by_start.get(round(row.start_s, 3), Histogram()), row.requests, row.seconds)
        for row in run.rows
        if row.requests or row.seconds
    ]
    with as_it_was_written(run.folder):
        return RunSample.from_batches(run.summary["run"], batches)


def comparison_text(compared: ComparedRuns) -> str:
    """Return the comparison for the terminal."""
    rows = [("", "A", "B", "B ÷ A", f"{CONFIDENCE:.0%} interval", "result"), *metric_rows(compared)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = [
        "  ".join(
            cell.rjust(width) if 0 < column < 5 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    with as_it_was_written(compared.one.folder, compared.other.folder):
        lines = [f"A  {_title(compared.one)}", f"B  {_title(compared.other)}", "", *table, "", conclusion(compared)]
    return "\n".join([*lines, *(f"note  {difference}" for difference in compared.differences)])


def metric_rows(compared: ComparedRuns) -> list[tuple[str, ...]]:
    """Return rows: metric, value of A, value of B, ratio, its interval, result."""
    return [
        (
            metric.metric,
            _value(metric.metric, metric.one),
            _value(metric.metric, metric.other),
            _ratio(metric.ratio.value),
            "–" if math.isnan(metric.ratio.low) else f"{_ratio(metric.ratio.low)} to {_ratio(metric.ratio.high)}",
            _result(metric),
        )
        for metric in compared.metrics
    ]


def conclusion(compared: ComparedRuns) -> str:
    """Return the sentence on what differs significantly."""
    capacities = [run.summary.get("capacity") for run in (compared.one, compared.other)]
    if all(capacities):
        try:
            return comparison_words(*(result_of_summary(capacity) for capacity in capacities if capacity))
        except ProtocolError:
            return "The capacities are of releases that cannot be compared."
    apart = [metric for metric in compared.metrics if metric.result is Result.SIGNIFICANT]
    if apart:
        return "B against A: " + ", ".join(f"{metric.metric} {_change(metric)}" for metric in apart) + "."
    if all(metric.result is Result.TOO_SHORT for metric in compared.metrics):
        return (
            f"Too short to say: a run needs at least {MIN_BATCHES} intervals of 3 s and enough requests, "
            "and more if the server's speed drifts."
        )
    return "No significant difference."


def _differences(one: Document, other: Document) -> list[str]:
    found = []
    for name in NAMED_SETTINGS:
        a, b = (summary["settings"].get(name, {}).get("value") for summary in (one, other))
        if a != b:
            found.append(f"{name} differs: {a!r} and {b!r}")
    prints = [(summary["data"] or {}).get("fingerprint") for summary in (one, other)]
    if prints[0] != prints[1]:
        found.append("the data differ (fingerprints)")
    found += answer_differences(one, other)
    if one["workers"] != other["workers"]:
        found.append(f"workers differ: {one['workers']} and {other['workers']}")
    for label, summary in (("A", one), ("B", other)):
        if summary["generator_bound"]:
            found.append(f"{label}'s load generator was a bottleneck")
        if not summary["complete"]:
            found.append(f"{label} is incomplete")
        if summary["failures"]:
            found.append(f"{label} has {summary['failures']:,} failed requests, which are not in it")
    return found


def _title(run: SavedRun) -> str:
    summary = run.summary
    return f"{summary['run']}  ({summary['started_at']}, {summary['requests']:,} requests, {summary['verdict']})"


def _value(metric: str, estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "–"
    return f"{format_rate(estimate.value)}/s" if metric == "rate" else format_us(estimate.value)


def _ratio(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _change(metric: Comparison) -> str:
    percent = (metric.ratio.value - 1) * 100
    return f"{abs(percent):.3g} % {'higher' if percent > 0 else 'lower'}"


def _result(metric: Comparison) -> str:
    return _change(metric) if metric.result is Result.SIGNIFICANT else str(metric.result)


def matrix_rows(runs: Sequence[SavedRun]) -> list[tuple[str, str, str]]:
    """Compare runs of the same dataset with the first of them: (dataset, models, what differs)."""
    rows = []
    firsts: dict[str, SavedRun] = {}
    for run in runs:
        dataset = run.summary["dataset"]
        first = firsts.setdefault(dataset, run)
        if first is not run and first.summary["model"] != run.summary["model"]:
            words = conclusion(compare_saved(first, run)).removeprefix("B against A: ")
            rows.append((dataset, f"{run.summary['model']} against {first.summary['model']}", words))
    return rows
