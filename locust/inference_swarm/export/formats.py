"""Numbers as people read them, the same on the terminal, in the report and on the page (`web/static/format.js`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

from inference_swarm.config.documents import ReadDocument

MAX_RUNS = 20
MAX_SENTENCES = 10


def format_us(value: float | None) -> str:
    """A time: 412 µs, 3.21 ms, 1.234 s; a dash for none."""
    if value is None or value != value:
        return "–"
    if value < 999.5:
        return f"{format_count(value)} µs"
    if value < 999_500:
        return f"{format_digits(value / 1000)} ms"
    return f"{format_digits(value / 1e6) if value < 99.5e6 else format_count(value / 1e6)} s"


def format_count(value: float) -> str:
    """A count: 12,345. A half goes up, as in JavaScript: half of all rates of four seconds end in .25, .5 or .75."""
    return f"{math.floor(value + 0.5):,}" if math.isfinite(value) else f"{value:g}"


def format_digits(value: float) -> str:
    """Three significant digits, fewer without their zeros; a half goes up."""
    if not value or not math.isfinite(value):
        return f"{value:.3g}"
    exact = Decimal(value)
    rounded = exact.quantize(Decimal(1).scaleb(exact.adjusted() - 2), ROUND_HALF_UP)
    return f"{float(rounded):.3g}"


def format_number_of(count: int, thing: str) -> str:
    """1 user, 2 users."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def format_rate(value: float) -> str:
    """A rate, with as many digits as are significant."""
    return format_count(value) if value >= 100 else format_digits(value)


def format_share(part: float, whole: float) -> str:
    """A percentage: 0 %, 0.012 %, 3.4 %."""
    if not whole or not part:
        return "0 %"
    return f"{part / whole * 100:.3g} %"


def format_seconds(value: float) -> str:
    """A duration: 35 s, 12:05, 1:02:03."""
    seconds = round(value)
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def self_check_sentences(warnings: Sequence[ReadDocument]) -> list[str]:
    """The sentences of a self-check; of many workers in trouble the first, and how many others there are."""
    said = [str(warning["sentence"]) for warning in warnings[:MAX_SENTENCES]]
    others = len(warnings) - len(said)
    return [*said, f"{format_count(others)} more such sentences are in summary.json."] if others else said


def format_rates(rate_rps: float, rows_per_s: float) -> str:
    """Requests per second, and the rows per second where requests have several rows."""
    rate = f"{format_rate(rate_rps)}/s"
    return rate if rows_per_s == rate_rps else f"{rate} ({format_rate(rows_per_s)} rows/s)"


def format_rows(rows: Sequence[int], count: int) -> str:
    """The positions of a request's rows: row 7, rows 3, 5–9 and 20 others; empty for none.

    `count`: how many the request has, of which `rows` are those that are known.
    """
    if not rows:
        return ""
    runs = [[rows[0], rows[0]]]
    for row in rows[1:]:
        if row == runs[-1][1] + 1:
            runs[-1][1] = row
        else:
            runs.append([row, row])
    words = [f"{first:,}" if first == last else f"{first:,}–{last:,}" for first, last in runs[:MAX_RUNS]]
    shown = sum(last - first + 1 for first, last in runs[:MAX_RUNS])
    others = f" and {max(count, len(rows)) - shown:,} others" if shown < max(count, len(rows)) else ""
    return f"row{'s' * (max(count, len(rows)) > 1)} {', '.join(words)}{others}"
