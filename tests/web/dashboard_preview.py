"""The panels of the Grafana dashboard as a page, with what a Prometheus answers to each panel's own queries.

Not Grafana: it shows that every panel has data, and what a person will see of it, where Grafana cannot be run.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pygal
from pygal.style import Style

PAGE = """<!doctype html><meta charset="utf-8"><title>{title}</title><style>
body {{ margin: 8px; background: #f4f5f5; font: 13px sans-serif; color: #24292e; }}
main {{ display: grid; grid-template-columns: repeat(24, 1fr); grid-auto-rows: 34px; gap: 8px; }}
section {{ background: #fff; border: 1px solid #d8d9da; padding: 6px; overflow: hidden; box-sizing: border-box; }}
h2 {{ font-size: 13px; margin: 0 0 4px; font-weight: 600; }} .stat {{ font-size: 28px; text-align: center; }}
svg {{ width: 100%; height: calc(100% - 36px); }} svg .guides path {{ stroke: #e4e5e6 !important; }}
</style><main>{panels}</main>"""
STYLE = Style(
    background="transparent", plot_background="transparent", foreground_subtle="#d8d9da", guide_stroke_dasharray="1,0",
    major_guide_stroke_dasharray="1,0", opacity="1", colors=("#73bf69", "#f2a900", "#5794f2", "#e02f44"),
    label_font_size=11, legend_font_size=11, font_family="sans-serif", stroke_width=2,
)  # fmt: skip
UNITS = {"s": (1000.0, "ms"), "reqps": (1.0, "/s"), "percentunit": (100.0, "%"), "short": (1.0, "")}


@dataclass(frozen=True)
class Series:
    """One line of a panel: what it is called, and its points (seconds, value) without NaN."""

    name: str
    points: Sequence[tuple[float, float]]


def read_series(found: Sequence[Mapping[str, Any]], legend: str) -> list[Series]:
    """The matrix that /api/v1/query_range answers; `legend` is the target's legendFormat, such as `{{kind}}`."""
    series = []
    for one in found:
        name = legend
        for label, value in one["metric"].items():
            name = name.replace("{{" + label + "}}", value)
        points = [(float(at), float(value)) for at, value in one["values"]]
        series.append(Series(name, [(at, value) for at, value in points if math.isfinite(value)]))
    return series


def page(title: str, panels: Sequence[tuple[Mapping[str, Any], Sequence[Series]]]) -> str:
    """HTML of all panels, each where the dashboard has it."""
    return PAGE.format(title=html.escape(title), panels="".join(_panel(panel, series) for panel, series in panels))


def _panel(panel: Mapping[str, Any], series: Sequence[Series]) -> str:
    place = panel["gridPos"]
    where = f"grid-column: {place['x'] + 1} / span {place['w']}; grid-row: {place['y'] + 1} / span {place['h']}"
    draw = {"stat": _stat, "timeseries": _lines, "heatmap": _heatmap}[panel["type"]]
    return f'<section style="{where}"><h2>{html.escape(panel["title"])}</h2>{draw(panel, series)}</section>'


def _unit(panel: Mapping[str, Any]) -> tuple[float, str]:
    return UNITS[panel["fieldConfig"]["defaults"].get("unit", "short")]


def _stat(panel: Mapping[str, Any], series: Sequence[Series]) -> str:
    value = series[0].points[-1][1]
    mappings = panel["fieldConfig"]["defaults"].get("mappings", [{}])
    words = mappings[0].get("options", {}) if mappings else {}
    word = words.get(f"{value:g}", {})
    text = word.get("text") or (
        f"{value:.1f} s" if panel["fieldConfig"]["defaults"]["unit"] == "s" else f"{value:,.0f}"
    )
    return f'<div class="stat" style="color: {word.get("color", "#24292e")}">{html.escape(text)}</div>'


def _lines(panel: Mapping[str, Any], series: Sequence[Series]) -> str:
    factor, unit = _unit(panel)
    chart = pygal.XY(
        width=690, height=290, show_dots=False, js=[], legend_at_bottom=True, style=STYLE, margin=4,
        include_x_axis=True, y_labels_major_every=2, show_minor_y_labels=False,
        value_formatter=lambda value: f"{value:,.4g} {unit}".strip(), show_x_labels=False,
        disable_xml_declaration=True, truncate_legend=-1,
    )  # fmt: skip
    began = min(at for one in series for at, _ in one.points)
    for one in series:
        chart.add(one.name, [(at - began, value * factor) for at, value in one.points])
    drawn: str = chart.render(is_unicode=True)
    return drawn


def _heatmap(_panel: Mapping[str, Any], series: Sequence[Series]) -> str:
    """One column an instant, one row a bucket; the series count all up to their bound, as Prometheus does."""
    rows = sorted((one for one in series if one.name != "+Inf"), key=lambda one: float(one.name))
    counts = [dict(one.points) for one in rows]
    instants = sorted({at for one in rows for at, _ in one.points})
    cells = [
        (column, row, counts[row].get(at, 0.0) - (counts[row - 1].get(at, 0.0) if row else 0.0))
        for column, at in enumerate(instants)
        for row in range(len(rows))
    ]
    most = max(value for *_, value in cells)
    used = [row for _, row, value in cells if value > 0]
    low, high = min(used), max(used)
    drawn = "".join(
        f'<rect x="{column}" y="{high - row}" width="1" height="1" fill="#3274d9" fill-opacity="{value / most:.3f}"/>'
        for column, row, value in cells
        if value > 0
    )
    size = f"0 0 {len(instants)} {high - low + 1}"
    top, bottom = float(rows[high].name) * 1000, float(rows[low].name) * 1000
    return f'<svg viewBox="{size}" preserveAspectRatio="none">{drawn}</svg><div>{bottom:g} … {top:g} ms</div>'
