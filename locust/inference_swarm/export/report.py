"""report.html of one run: summary, intervals and histograms in, one page out that needs nothing else. Pure.

Everything that came from outside (names, error texts, settings) is escaped by Jinja; only our own SVG is not.
"""

from __future__ import annotations

import math
from functools import cache

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from inference_swarm.config.documents import ReadDocument
from inference_swarm.errors import SettingProblem
from inference_swarm.export.ab import HEADERS as AB_HEADERS
from inference_swarm.export.ab import ab_rows
from inference_swarm.export.answer_plots import answer_plots
from inference_swarm.export.answers import EXAMPLE_HEADERS, LOAD_HEADERS, example_cells, load_cells
from inference_swarm.export.bounds import latency_bounds, rate_bounds
from inference_swarm.export.capacity import HEADERS as CAPACITY_HEADERS
from inference_swarm.export.capacity import step_cells, step_tone
from inference_swarm.export.capacity_plots import capacity_plots
from inference_swarm.export.formats import (
    format_count,
    format_rate,
    format_rows,
    format_seconds,
    format_share,
    format_us,
    self_check_sentences,
)
from inference_swarm.export.heat_map import plot_heat_map
from inference_swarm.export.plots import (
    plot_failures,
    plot_in_flight,
    plot_latency_by_percentile,
    plot_latency_over_time,
    plot_rate,
    plot_users,
)
from inference_swarm.export.report_data import ReportData
from inference_swarm.export.scenario import scenario_lines
from inference_swarm.export.sentence import concluding_sentence
from inference_swarm.export.server import server_plots
from inference_swarm.export.stage_table import HEADERS, stage_cells
from inference_swarm.export.terminal import change_words, left_out_words, load_words, other_counts, other_users_words
from inference_swarm.load.stage_text import parse_stages
from inference_swarm.load.stages import Stages

PERCENTILE_WORDS = (
    ("p50", "p50"), ("p75", "p75"), ("p90", "p90"), ("p95", "p95"), ("p99", "p99"), ("p99_9", "p99.9"),
    ("p99_99", "p99.99"), ("max", "max"), ("mean", "mean"),
)  # fmt: skip
MARKS = {"pass": "good", "fail": "bad", "incomplete": "warn"}


def render_report(data: ReportData) -> str:
    """Return the page."""
    summary = data.summary
    is_open = bool(summary["arrivals"])
    times_rows = [("latency", summary["latency_us"]), ("service time", summary["service_us"])]
    if summary["failures"]:
        times_rows += [
            ("latency of failures", summary["failed_latency_us"]),
            ("service time of failures", summary["failed_service_us"]),
        ]
    return (
        page_environment()
        .get_template("report.html.j2")
        .render(
            summary=summary,
            sentence=concluding_sentence(summary),
            about=_about(summary),
            warnings=self_check_sentences(summary["self_check"]),
            left_out=left_out_words(summary),
            other_users=other_users_words(summary),
            changes=[change_words(change) for change in summary["changes"]],
            metrics=_metrics(summary),
            stage_headers=HEADERS,
            stages=[(stage_cells(stage), stage["tone"]) for stage in summary["stages"]],
            plots=_plots(data, is_open),
            scenario=scenario_lines(summary.get("scenario")),
            ab=summary.get("ab"),
            ab_headers=AB_HEADERS,
            ab_rows=ab_rows(summary["ab"]) if summary.get("ab") else [],
            capacity=summary.get("capacity"),
            answers=summary.get("answers"),
            load_headers=LOAD_HEADERS,
            loads=[load_cells(load) for load in (summary.get("answers") or {}).get("over_load", ())],
            example_headers=EXAMPLE_HEADERS,
            examples=[example_cells(one) for one in (summary.get("answers") or {}).get("examples", ())],
            server=summary.get("server"),
            server_plots=server_plots(summary["server"], summary["duration_s"]) if summary.get("server") else [],
            capacity_plots=capacity_plots(summary["capacity"]) if summary.get("capacity") else [],
            capacity_headers=CAPACITY_HEADERS,
            capacity_steps=_capacity_steps(summary.get("capacity")),
            percentiles=PERCENTILE_WORDS,
            times_rows=times_rows,
            marks=MARKS,
            has_rows=any("rows" in record for record in summary["by_worker"].values()),
            share=format_share,
        )
    )


@cache
def page_environment() -> Environment:
    """Return Jinja with our templates, each compiled once, and number formats; undefined names print nothing."""
    environment = Environment(
        loader=PackageLoader("inference_swarm", "export"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        us=format_us,
        count=format_count,
        rate=format_rate,
        rows=format_rows,
        seconds=format_seconds,
        percent=lambda value: "–" if value is None else f"{value:.0f} %",
        ms=lambda value: "–" if value is None else f"{value:.1f} ms",
    )
    return environment


def _about(summary: ReadDocument) -> list[tuple[str, str]]:
    """Return what identifies the run, in a line: title, words."""
    data, settings = summary["data"], summary["settings"]
    rows = f" ({format_count(data['rows'])} rows, fingerprint {data['fingerprint'][:8]})" if data else ""
    said = [
        ("Target", settings["host"]["value"] or ""),
        ("Data", f"{summary['dataset'] or (data or {}).get('source', '')}{rows}"),
        ("Model", ", ".join(part for part in (summary["model"], summary["method"]) if part)),
        ("API", settings["api"]["value"]),
        ("Load", load_words(summary)),
        ("Began", summary["started_at"]),
        ("Time", format_seconds(summary["duration_s"])),
    ]
    return [(title, words) for title, words in said if words]


def _metrics(summary: ReadDocument) -> list[tuple[str, str]]:
    latency, arrivals = summary["latency_us"], summary["arrivals"]
    share = format_share(summary["failures"], summary["requests"]).replace(" ", "\N{NO-BREAK SPACE}")
    metrics = [
        ("requests", format_count(summary["requests"])),
        ("failed", f"{format_count(summary['failures'])} ({share})"),
        ("requests/s", format_rate(summary["rate_rps"])),
    ]
    if summary["rows_per_s"] != summary["rate_rps"]:
        metrics.append(("rows/s", format_rate(summary["rows_per_s"])))
    if arrivals:
        metrics += [("wanted/s", format_rate(arrivals["wanted_rps"])), ("late", format_count(arrivals["late"]))]
        metrics += [] if summary["dropped"] else [("dropped", "0")]
    metrics += list(other_counts(summary).items())
    metrics += [(f"{word} latency", format_us(latency[word])) for word in ("p50", "p99")]
    return [*metrics, ("p99.9 latency", format_us(latency["p99_9"]))]


def _plots(data: ReportData, is_open: bool) -> list[tuple[str, str, Markup]]:
    rows, summary = data.rows, data.summary
    by_percentile = plot_latency_by_percentile(data.latency, data.service if is_open else None)
    plots = [
        (
            "Throughput",
            "per second, over the run",
            plot_rate(rows, _wanted(data) if is_open else [], rate_bounds(summary)),
        ),
        ("Latency", "over the run, log scale", plot_latency_over_time(rows, latency_bounds(summary))),
        ("Requests by latency and time", "log scale", plot_heat_map(data.heat)),
        ("Requests in flight", "on average, over the run", plot_in_flight(rows))
        if is_open
        else ("Users", "over the run", plot_users(rows)),
        ("Failures by kind", "per second, over the run", plot_failures(rows)),
        ("Latency by percentile", "log scale", by_percentile),
        *answer_plots(rows),
    ]
    return [(caption, unit, Markup(svg)) for caption, unit, svg in plots if svg]


def _capacity_steps(capacity: ReadDocument | None) -> list[tuple[list[str], str]]:
    if capacity is None:
        return []
    return [(step_cells(step, by_users=capacity["by_users"]), step_tone(step)) for step in capacity["steps"]]


def _wanted(data: ReportData) -> list[tuple[float, float | None]]:
    """Return the wanted rate over time, as points to draw a line through."""
    if capacity := data.summary.get("capacity"):
        return [
            (at_s, step["load"])
            for step in capacity["steps"]
            for at_s in (step["start_s"], step["end_s"] or data.summary["duration_s"])
        ]
    settings = data.summary["settings"]
    if settings["arrival"]["value"] == "trace":
        return [
            (at_s, row.wanted_rps)
            for row in data.rows
            if not math.isnan(row.wanted_rps)
            for at_s in (row.start_s, row.start_s + row.length_s)
        ]
    text = settings["stages"]["value"]
    try:
        stages = parse_stages(text) if text else Stages.constant(settings["rate_rps"]["value"])
    except SettingProblem:
        return []
    end_s = data.summary["duration_s"]
    return [*stages.outline(end_s)]
