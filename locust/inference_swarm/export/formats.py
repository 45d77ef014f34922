"""Numbers as people read them, the same on the terminal and in the report."""

from __future__ import annotations


def format_us(value: float | None) -> str:
    """A time: 412 µs, 3.21 ms, 1.234 s; a dash for none."""
    if value is None or value != value:
        return "–"
    if value < 999.5:
        return f"{value:.0f} µs"
    if value < 999_500:
        return f"{value / 1000:.3g} ms"
    return f"{value / 1_000_000:.3g} s" if value < 99.5e6 else f"{value / 1_000_000:.0f} s"


def format_count(value: float) -> str:
    """A count: 12,345."""
    return f"{value:,.0f}"


def format_rate(value: float) -> str:
    """A rate, with as many digits as are significant."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


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
