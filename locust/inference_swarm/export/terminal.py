"""A run for the terminal: one line while it goes on, a table at its end. Pure: summary in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference_swarm.export.figures import format_count, format_rate, format_seconds, format_share, format_us

PERCENTILE_WORDS = {"p50": "p50", "p90": "p90", "p99": "p99", "p99_9": "p99.9", "p99_99": "p99.99", "max": "max"}
LABEL_WIDTH = 11


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known of a running test."""

    elapsed_s: float
    length_s: float | None
    users: int
    workers: int
    rate_rps: float
    p50_us: float
    p99_us: float
    requests: int
    failures: int
    dropped: int


def progress_line(now: Moment) -> str:
    """One line; the rate and the times are those of the last reports."""
    if now.length_s is None:
        time_words = f"{format_seconds(now.elapsed_s)} so far"
    else:
        time_words = f"{format_seconds(max(0.0, now.length_s - now.elapsed_s))} left"
    parts = [
        f"{now.users} users on {now.workers} worker{'' if now.workers == 1 else 's'}",
        f"{format_rate(now.rate_rps)}/s",
        f"p50 {format_us(now.p50_us)}",
        f"p99 {format_us(now.p99_us)}",
        f"{format_count(now.requests)} requests",
        f"{format_count(now.failures)} failed",
    ]
    if now.dropped:
        parts.append(f"{format_count(now.dropped)} dropped")
    return "  ".join([*parts, time_words])


def closing_table(summary: Mapping[str, Any], folder: Path) -> str:
    """What a person wants to know first: the verdict last, where the eye is."""
    lines = [f"Run {summary['run']}: {format_seconds(summary['duration_s'])} at {load_words(summary)}", ""]
    lines += _latency_table(summary)
    lines.append("")
    failures = summary["failures"]
    kinds = ", ".join(f"{kind} {format_count(count)}" for kind, count in summary["errors"].items())
    failed = (
        f"{format_count(failures)} failed ({format_share(failures, summary['requests'])}{': ' * bool(kinds)}{kinds})"
    )
    lines.append(_labelled("requests", f"{format_count(summary['requests'])}, {failed}"))
    lines += [_labelled("", f"{format_count(f['count'])} × {f['error']}") for f in summary["failure_texts"][:5]]
    lines.append(_labelled("rate", _rate_words(summary)))
    for warning in summary["self_check"]:
        lines.append(_labelled("warning", warning["sentence"]))
    if summary["generator_bound"]:
        words = "the load generator was a bottleneck: these numbers say more about it than about the server"
        lines.append(_labelled("WARNING", words))
    lines += [_labelled(result["outcome"], _objective_words(result)) for result in summary["objectives"]]
    lines.append(_labelled("verdict", verdict_words(summary)))
    if (folder / "report.html").exists():
        lines.append(_labelled("report", str(folder / "report.html")))
    lines.append(_labelled("files", f"{folder}/"))
    return "\n".join(lines)


def verdict_words(summary: Mapping[str, Any]) -> str:
    """The conclusion and why."""
    reasons = verdict_reasons(summary)
    word = summary["verdict"].upper() if summary["exit_code"] else "passed"
    return word + (f" ({'; '.join(reasons)})" if reasons else "")


def verdict_reasons(summary: Mapping[str, Any]) -> list[str]:
    """Missed objectives with what was measured, then what else there is to say."""
    missed = [
        f"{result['objective']}: measured {result['measured_text']}"
        for result in summary["objectives"]
        if result["outcome"] == "fail"
    ]
    return [*missed, *summary["reasons"]]


def _labelled(label: str, text: str) -> str:
    return f"{label:<{LABEL_WIDTH}}{text}"


def load_words(summary: Mapping[str, Any]) -> str:
    """What kind of load it was: users, or arrivals."""
    workers = f"{summary['workers']} worker{'' if summary['workers'] == 1 else 's'}"
    users = f"{summary['users']} users on {workers}"
    if summary["arrivals"] is None:
        return users
    return f"{summary['load']} arrivals, {format_rate(summary['arrivals']['wanted_rps'])}/s wanted, {users}"


def _rate_words(summary: Mapping[str, Any]) -> str:
    words = f"{format_rate(summary['rate_rps'])}/s"
    arrivals = summary["arrivals"]
    if arrivals is None:
        return words
    words += f" of {format_rate(arrivals['wanted_rps'])}/s wanted; of {format_count(arrivals['wanted'])} arrivals "
    words += f"{format_count(arrivals['late'])} late, {format_count(arrivals['dropped'])} dropped"
    if arrivals["unaccounted"]:
        words += f", {format_count(arrivals['unaccounted'])} lost with a worker"
    return words


def _objective_words(result: Mapping[str, Any]) -> str:
    note = f" ({result['note']})" if result["note"] else ""
    return f"{result['objective']}: measured {result['measured_text']}{note}"


def _latency_table(summary: Mapping[str, Any]) -> list[str]:
    heads = ["", *PERCENTILE_WORDS.values()]
    rows: list[Sequence[str]] = [heads]
    # From the send only where that differs from the intended instant.
    kinds = [("latency", "latency_us")] + ([("service", "service_us")] if summary["arrivals"] else [])
    for label, key in kinds:
        rows.append([label, *(format_us(summary[key][name]) for name in PERCENTILE_WORDS)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    widths[0] = LABEL_WIDTH - 2
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
