"""A run for the terminal: one line while it goes on, a table at its end. Pure: summary in, text out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inference_swarm.config.documents import ReadDocument
from inference_swarm.export.ab import ab_lines
from inference_swarm.export.capacity import capacity_lines
from inference_swarm.export.formats import (
    format_count,
    format_number_of,
    format_rate,
    format_rates,
    format_rows,
    format_seconds,
    format_share,
    format_us,
    self_check_sentences,
)
from inference_swarm.export.moment import Moment
from inference_swarm.export.scenario import scenario_lines
from inference_swarm.export.stage_table import stage_lines

PERCENTILE_WORDS = {"p50": "p50", "p90": "p90", "p99": "p99", "p99_9": "p99.9", "p99_99": "p99.99", "max": "max"}
LABEL_WIDTH = 11
# Above this share of a run's requests, those that ended after its load are mentioned: there always are some.
SAID_SHARE = 0.05


def progress_line(now: Moment, columns: int | None = None) -> str:
    """Return one line: users, the rate and times of the newest window, counts so far, and how long it still goes on.

    On a terminal of so many columns what matters least is shortened or left out until the line fits.
    """
    parts = _progress_parts(now)
    line = "  ".join(part for part, _, _ in parts)
    for rank in range(_RANKS):
        if columns is None or len(line) <= columns:
            return line
        parts = [(short if its_rank == rank else part, short, its_rank) for part, short, its_rank in parts]
        line = "  ".join(part for part, _, _ in parts if part)
    return line if columns is None or len(line) <= columns else f"{line[: columns - 1]}…"


_RANKS = 5
_NEVER = _RANKS  # shortened


def _progress_parts(now: Moment) -> list[tuple[str, str, int]]:
    """Return each part of the line as it is, its short form, and its rank among those that are shortened."""
    draining = f", {now.draining} draining" if now.draining else ""
    users = format_number_of(now.users, "user")
    parts = [(f"{users} on {format_number_of(now.workers, 'worker')}{draining}", users, 0)]
    if now.warm_up_left_s is not None:
        parts.append((f"warm-up for {format_seconds(now.warm_up_left_s)} more", "", _NEVER))
    if (window := now.window) is not None:
        rates = format_rates(window.rate_rps, window.rows_per_s)
        parts += [
            (f"{window.start_s:.0f}–{window.end_s:.0f} s: {rates}", f"{format_rate(window.rate_rps)}/s", 1),
            (f"p50 {format_us(window.p50_us)}", "", 3),
            (f"p99 {format_us(window.p99_us)}", "", _NEVER),
        ]
    parts += [
        (f"{format_count(now.requests)} requests", "", 2),
        (f"{format_count(now.failures)} failed", "", _NEVER),
    ]
    others = {"abandoned": now.abandoned, "dropped": now.dropped}
    parts += [(f"{format_count(count)} {label}", "", _NEVER) for label, count in others.items() if count]
    if now.length_s is None:
        time_words = f"{format_seconds(now.elapsed_s)} so far"
    else:
        time_words = f"{format_seconds(max(0.0, now.length_s - now.elapsed_s))} left"
    return [*parts, (f"{now.search}; {time_words}" if now.search else time_words, time_words, 4)]


def closing_table(summary: ReadDocument, folder: Path | None) -> str:
    """Return the closing table, with the verdict last, where the reader looks first."""
    capacity = summary.get("capacity")
    found = capacity or summary.get("ab")
    lines = [found["sentence"], ""] if found else []
    lines += [f"Run {summary['run']}: {format_seconds(summary['duration_s'])} at {load_words(summary)}", ""]
    lines += [*capacity_lines(capacity), ""] if capacity else [*_latency_table(summary), ""]
    if ab := summary.get("ab"):
        lines += [*ab_lines(ab), ""]
    if summary["stages"]:
        lines += [*stage_lines(summary["stages"]), ""]
    lines.append(_labelled("requests", request_words(summary)))
    lines += [_labelled("", failure_words(failure)) for failure in summary["failed"][:5]]
    lines.append(_labelled("rate", _rate_words(summary)))
    lines += [
        _labelled("" if place else "scenario", line)
        for place, line in enumerate(scenario_lines(summary.get("scenario")))
    ]
    sentences = (summary.get("answers") or {}).get("sentences", ())
    lines += [_labelled("answers" if not place else "", sentence) for place, sentence in enumerate(sentences)]
    if left_out := left_out_words(summary):
        lines.append(_labelled("left out", left_out))
    if others := other_users_words(summary):
        lines.append(_labelled("others", others))
    lines += [_labelled("changed", change_words(change)) for change in summary["changes"]]
    lines += [_labelled("server", sentence) for sentence in (summary.get("server") or {}).get("sentences", ())]
    lines += [_labelled("warning", sentence) for sentence in self_check_sentences(summary["self_check"])]
    for result in summary["objectives"]:
        lines.append(_labelled(result["outcome"], f"{result['objective']}: {objective_words(result)}"))
    lines.append(_labelled("verdict", verdict_words(summary)))
    if folder is None:
        lines.append(_labelled("files", "none: they could not be written"))
        return "\n".join(lines)
    if (folder / "report.html").exists():
        lines.append(_labelled("report", str(folder / "report.html")))
    lines.append(_labelled("files", f"{folder}/"))
    return "\n".join(lines)


def verdict_words(summary: ReadDocument) -> str:
    """Return the label and the reasons."""
    label = summary["verdict"] if summary["tone"] == "good" else summary["verdict"].upper()
    reasons = "; ".join(summary["reasons"])
    return f"{label} ({reasons})" if reasons else str(label)


def request_words(summary: ReadDocument) -> str:
    """Return how many requests ended, how many failed, and how many have no outcome."""
    failures, requests = summary["failures"], summary["requests"]
    kinds = ", ".join(f"{kind} {format_count(count)}" for kind, count in summary["errors"].items())
    share = format_share(failures, requests)
    words = [format_count(requests), f"{format_count(failures)} failed ({share}{': ' * bool(kinds)}{kinds})"]
    others = other_counts(summary)
    if summary["arrivals"]:
        others.pop("dropped", None)  # said with the rate
        others.pop("unaccounted for", None)
    limit = summary.get("request_limit")
    if limit:
        words[0] += f" ({format_count(limit['sent'])} sent of {format_count(limit['asked'])} asked for)"
    return ", ".join([*words, *(f"{count} {label}" for label, count in others.items())])


def other_counts(summary: ReadDocument) -> dict[str, str]:
    """What is no success and no failure: by label, and only where there is any."""
    once, arrivals, uncounted = summary["once"] or {}, summary["arrivals"] or {}, summary["possibly_uncounted"]
    counts = {
        "abandoned": summary["abandoned"],
        "dropped": summary["dropped"],
        "unaccounted for": arrivals.get("unaccounted", 0),
        "never sent": once.get("never_sent", 0),
        "stale connections": summary["stale_connections"],
        "possible duplicates": summary["possible_duplicates"] + once.get("possible_duplicates", 0),
        "possibly uncounted": uncounted or 0,
    }
    words = {label: format_count(count) for label, count in counts.items() if count}
    return words if uncounted is not None else {**words, "possibly uncounted": "an unknown number"}


def change_words(change: ReadDocument) -> str:
    """What was changed while the run went on."""
    return f"at {change['at_s']:.1f} s: {change['what']}"


def failure_words(failure: ReadDocument) -> str:
    """Return one kind of failure: how often, when, and an example."""
    first_s, last_s = failure["first_s"], failure["last_s"]
    when = f"at {first_s:.1f} s" if failure["count"] == 1 else f"from {first_s:.1f} s to {last_s:.1f} s"
    rows = format_rows(failure["rows"], failure["row_count"])
    example = f": {failure['explanation']}" if failure["explanation"] else ""
    return f"{format_count(failure['count'])} × {failure['error']}, {when}{example}{f' ({rows})' * bool(rows)}"


def left_out_words(summary: ReadDocument) -> str:
    """Return what was left out; empty if everything counts."""
    left_out = summary["left_out"]
    if left_out is None:
        return ""
    words = f"the first {format_seconds(left_out['until_s'])}: {format_count(left_out['requests'])} requests, "
    return words + f"{format_count(left_out['failures'])} failed; they are in no other metric"


def other_users_words(summary: ReadDocument) -> str:
    """Return what is in Locust's table only; empty if nothing is."""
    requests, failures = summary["other_users"]["requests"], summary["other_users"]["failures"]
    if not requests:
        return ""
    noun, verb = ("request", "is") if requests == 1 else ("requests", "are")
    failed = f", {format_count(failures)} of which failed," if failures else ""
    return f"{format_count(requests)} {noun} of other user classes{failed} {verb} in Locust's table only"


def _labelled(label: str, text: str) -> str:
    return f"{label:<{LABEL_WIDTH}}{text}"


def load_words(summary: ReadDocument) -> str:
    """Return the kind of load: users or arrivals."""
    users = f"{format_number_of(summary['users'], 'user')} on {format_number_of(summary['workers'], 'worker')}"
    if summary["arrivals"] is None:
        return users
    return f"{format_rate(summary['arrivals']['wanted_rps'])}/s wanted ({summary['load']} arrivals), {users}"


def _rate_words(summary: ReadDocument) -> str:
    words = format_rates(summary["rate_rps"], summary["rows_per_s"])
    arrivals = summary["arrivals"]
    if arrivals is not None:
        words += f" of {format_rate(arrivals['wanted_rps'])}/s wanted; of {format_count(arrivals['wanted'])} arrivals "
        words += f"{format_count(arrivals['late'])} late, {format_count(arrivals['dropped'])} dropped"
        if arrivals["unaccounted"]:
            words += f", {format_count(arrivals['unaccounted'])} unaccounted for"
    after, requests = summary["ended_after_load"], summary["requests"]
    if after > SAID_SHARE * requests:
        words += (
            f"; {format_count(after)} of {format_count(requests)} requests ended after the load, and are in no rate"
        )
    return words


def objective_words(result: ReadDocument) -> str:
    """Return what was measured for an objective."""
    note = f" ({result['note']})" if result["note"] else ""
    return f"measured {result['measured_text']}{note}"


def _latency_table(summary: ReadDocument) -> list[str]:
    headers = ["", *PERCENTILE_WORDS.values()]
    rows: list[Sequence[str]] = [headers]
    # From the send only where that differs from the intended instant.
    kinds = [("latency", "latency_us")] + ([("service", "service_us")] if summary["arrivals"] else [])
    kinds += [("failed", "failed_latency_us")] if summary["failures"] else []
    for label, key in kinds:
        rows.append([label, *(format_us(summary[key][name]) for name in PERCENTILE_WORDS)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(headers))]
    widths[0] = LABEL_WIDTH - 2
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
