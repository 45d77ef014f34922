"""A capacity for summary.json and for readers: its answer, its steps as a table. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from inference_swarm.config.documents import Document, ReadDocument
from inference_swarm.export.formats import format_count, format_rate, format_us
from inference_swarm.judge.capacity.answer import HEADROOM, answer_words, load_words, servers_for
from inference_swarm.judge.capacity.result import CapacityResult, write_result

HEADERS = ("step", "for", "load", "achieved", "p50", "p90", "p99", "failed", "in flight", "outcome")


def capacity_metrics(result: CapacityResult | None) -> Document | None:
    """Return the part of summary.json; None for a run that was no search."""
    if result is None:
        return None
    document = write_result(result)
    answer, missed = document.pop("answer"), document.pop("missed")
    target = result.target_rps
    has_target = target is not None and result.load is not None and not result.by_users
    return {
        "sentence": answer_words(result),
        **document,
        "answer_step": None if answer is None else answer["step"],
        "missed_step": None if missed is None else missed["step"],
        "missed_load": None if missed is None else missed["load"],
        "servers_for_target": servers_for(result.load, target) if has_target else None,  # type: ignore[arg-type]
        "headroom": HEADROOM,
    }


def step_words(step: ReadDocument) -> str:
    """Return the outcome of a step in words."""
    if step["is_discarded"]:
        return "begun again"
    if step["part"] == "drain":
        return "the server recovers"
    finding = step["finding"] or "under way"
    if step["is_overloaded"]:
        finding = "missed: the queue grows"
    left_out_s = step.get("left_out_s", 0.0)
    if left_out_s:
        return f"{finding}, {left_out_s:.0f} s left out"
    return f"{finding}, generator-bound" if step["is_generator_bound"] else str(finding)


def step_cells(step: ReadDocument, *, by_users: bool) -> list[str]:
    """Return a step of summary.json as cells below HEADERS."""
    times = step["percentiles_us"]
    return [
        str(step["step"]),
        step["part"],
        load_words(step["load"], by_users=by_users),
        f"{format_rate(step['rate_rps'])}/s",
        *(format_us(times.get(name)) for name in ("p50", "p90", "p99")),
        format_count(step["failures"] + step["dropped"]),
        format_count(step["in_flight"]),
        step_words(step),
    ]


def step_tone(step: ReadDocument) -> str:
    """Return the CSS class of a step's outcome."""
    if step["is_discarded"] or step["finding"] is None:
        return ""
    return "good" if step["finding"] in ("met", "likely met") else "bad"


def capacity_lines(capacity: ReadDocument) -> list[str]:
    """Return the steps as a table for the terminal."""
    rows: Sequence[Sequence[str]] = [
        list(HEADERS),
        *(step_cells(step, by_users=capacity["by_users"]) for step in capacity["steps"] if step["part"] != "drain"),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADERS))]
    return [
        "  ".join(
            cell.ljust(width) if column in (0, 1, len(HEADERS) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
