"""An A/B run for summary.json and for readers: its comparison in, documents and words out. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from inference_swarm.config.documents import Document, ReadDocument
from inference_swarm.export.formats import format_share, format_us
from inference_swarm.judge.ab import FAILED
from inference_swarm.judge.compare import CONFIDENCE, Comparison, Result
from inference_swarm.run.ab import AbResult

HEADERS = ("", "A", "B", "B against A", f"{CONFIDENCE:.0%} interval", "result")


def ab_metrics(found: AbResult | None) -> Document | None:
    """Return the part of summary.json; None for a run that is no A/B run."""
    if found is None:
        return None
    return {
        "setting": found.choice.setting,
        "names": list(found.choice.names),
        "requests": list(found.requests),
        "sentence": _sentence(found),
        "metrics": [_metric(one) for one in found.metrics],
    }


def _metric(compared: Comparison) -> Document:
    """`change` is B ÷ A - 1, of the share that failed B - A."""
    less = 0.0 if compared.metric == FAILED else 1.0
    change, low, high = (value - less for value in (compared.ratio.value, compared.ratio.low, compared.ratio.high))
    return {
        "metric": compared.metric,
        "a": _number(compared.one.value),
        "b": _number(compared.other.value),
        "change": _number(change),
        "low": _number(low),
        "high": _number(high),
        "result": str(compared.result),
    }


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def _sentence(found: AbResult) -> str:
    one, other = found.choice.names
    apart = [metric for metric in found.metrics if metric.result is Result.SIGNIFICANT]
    if apart:
        words = ", ".join(f"{metric.metric} {_difference(_metric(metric))}" for metric in apart)
        return f"{other} against {one}: {words}"
    if all(metric.result is Result.TOO_SHORT for metric in found.metrics if metric.metric != FAILED):
        return f"{other} against {one}: too short to say"
    return f"{other} against {one}: no significant difference"


def _difference(metric: ReadDocument) -> str:
    unit = " percentage points" if metric["metric"] == FAILED else " %"
    return f"{abs(metric['change']) * 100:.3g}{unit} {'higher' if metric['change'] > 0 else 'lower'}"


def ab_rows(ab: ReadDocument) -> list[list[str]]:
    """Return the metrics as cells below HEADERS."""
    rows = []
    for metric in ab["metrics"]:
        is_share = metric["metric"] == FAILED
        unit = " pp" if is_share else " %"
        values = [_share(metric[side]) if is_share else format_us(metric[side]) for side in ("a", "b")]
        interval = "–" if metric["low"] is None else f"{metric['low'] * 100:+.3g} to {metric['high'] * 100:+.3g}{unit}"
        change = "–" if metric["change"] is None else f"{metric['change'] * 100:+.3g}{unit}"
        rows.append([metric["metric"], *values, change, interval, metric["result"]])
    return rows


def _share(value: float | None) -> str:
    return "–" if value is None else format_share(value, 1.0)


def ab_lines(ab: ReadDocument) -> list[str]:
    """Return the sentence and a table for the terminal."""
    rows: Sequence[Sequence[str]] = [HEADERS, *ab_rows(ab)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADERS))]
    table = [
        "  ".join(
            cell.rjust(width) if 0 < column < 5 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    sides = [f"{name}: {count:,} requests" for name, count in zip(ab["names"], ab["requests"], strict=True)]
    return [*sides, "", *table]
