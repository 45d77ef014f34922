"""Summarizes a run in one sentence under its verdict: summary in, text out. Pure."""

from __future__ import annotations

from inference_swarm.config.documents import ReadDocument
from inference_swarm.export.formats import (
    format_count,
    format_rate,
    format_rates,
    format_seconds,
    format_share,
    format_us,
)


def concluding_sentence(summary: ReadDocument) -> str:
    """Return the sentence: requests, time, rate, p99, failures and objectives."""
    if capacity := summary.get("capacity"):
        return str(capacity["sentence"])
    if ab := summary.get("ab"):
        return f"{ab['sentence']}."
    requests = summary["requests"]
    if not requests:
        return f"No request ended in {format_seconds(summary['duration_s'])}."
    parts = [_rate_words(summary), *_latency_words(summary), *_failure_words(summary)]
    objectives = _objective_words(summary)
    head = f"{format_count(requests)} {'request' if requests == 1 else 'requests'}"
    head += f" in {format_seconds(summary['duration_s'])}"
    return f"{head}: {', '.join(parts)}{'; ' * bool(objectives)}{objectives}."


def _rate_words(summary: ReadDocument) -> str:
    words = format_rates(summary["rate_rps"], summary["rows_per_s"])
    arrivals = summary["arrivals"]
    return words if arrivals is None else f"{words} of {format_rate(arrivals['wanted_rps'])}/s wanted"


def _latency_words(summary: ReadDocument) -> list[str]:
    latency = summary["latency_us"]
    if latency["p50"] is None:
        return ["no latency of a success"]
    whose = "of the successes " if summary["failures"] else ""
    return [f"{whose}half within {format_us(latency['p50'])}", f"99 % within {format_us(latency['p99'])}"]


def _failure_words(summary: ReadDocument) -> list[str]:
    counts = {"failed": summary["failures"], "abandoned": summary.get("abandoned", 0), "dropped": summary["dropped"]}
    found = [
        f"{format_count(count)} {word}" + (f" ({format_share(count, summary['requests'])})" if word == "failed" else "")
        for word, count in counts.items()
        if count
    ]
    return found or ["none failed"]


def _objective_words(summary: ReadDocument) -> str:
    objectives = summary["objectives"]
    met = sum(result["outcome"] == "pass" for result in objectives)
    if not objectives:
        return ""
    if met < len(objectives):
        return f"{met} of {len(objectives)} objectives met"
    words = {1: "the objective was", 2: "both objectives were"}
    return f"{words.get(met, f'all {met} objectives were')} met"
