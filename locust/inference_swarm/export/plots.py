"""Plots of the report by pygal: numbers in, SVG out whose colours are variables of the page, light or dark. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import escape

from inference_swarm.export.axes import time_labels, value_labels
from inference_swarm.export.formats import format_rate, format_us
from inference_swarm.export.intervals import IntervalRow
from inference_swarm.measure.histogram import Histogram

MAX_COLOURS = 6
WIDTH, HEIGHT = 640, 350
# More points than pixels say nothing more: the lowest and the highest of each stretch are drawn.
MAX_POINTS = 400
# The last label of the x axis is centred at the plot's edge.
MARGIN_RIGHT = 34
MAX_BOUNDS = 3
# Letters of the longest label, and in how many columns labels of that length fit.
LEGEND_COLUMNS = ((11, 4), (16, 3), (26, 2))
MAX_LEGEND_LETTERS = 45
LEGEND_ROW = 26
# pygal's set-up for its tooltips, and its comments.
_NOT_WANTED = re.compile(r"<script.*?</script>|<!--.*?-->", re.DOTALL)

Points = Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot; `colour` is a variable of the page, from 1 on."""

    label: str
    points: Points
    colour: int
    is_dashed: bool = False
    is_points: bool = False
    """Dots, and no line between them."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The bound of an objective, drawn as a line across the plot under the objective's own text."""

    text: str
    value: float
    colour: int = 5


def plot_rate(rows: Sequence[IntervalRow], wanted: Points, bounds: Sequence[Bound] = ()) -> str:
    """Requests a second over the run, with failures, what an open load wanted, and the objectives."""
    lines = [Line("requests/s", [(middle(row), row.rate_rps) for row in rows], 1)]
    if wanted:
        lines.append(Line("wanted", wanted, 5, is_dashed=True))
    if any(row.failures for row in rows):
        points = [(middle(row), row.failures / row.seconds if row.seconds else None) for row in rows]
        lines.append(Line("failed/s", points, 4))
    lines += _bound_lines(rows, bounds)
    return plot_lines(lines, format_rate, x_labels=row_time_labels(rows))


def plot_users(rows: Sequence[IntervalRow]) -> str:
    """Users over the run; without the last interval, in which workers report that all have stopped."""
    rows = rows[:-1] if len(rows) > 1 and not rows[-1].users else rows
    return plot_lines(
        [Line("users", [(middle(row), row.users) for row in rows], 2)], format_rate, row_time_labels(rows)
    )


def plot_in_flight(rows: Sequence[IntervalRow]) -> str:
    """Plot the average number of requests in flight over the run: an open load has it instead of users."""
    points = [(middle(row), row.in_flight) for row in rows]
    return plot_lines([Line("in flight", points, 2)], format_rate, row_time_labels(rows))


def plot_latency_over_time(rows: Sequence[IntervalRow], bounds: Sequence[Bound] = ()) -> str:
    """Percentiles of each interval, on a logarithmic scale, and the objectives."""
    lines = [
        Line("p50", [(middle(row), row.p50_us) for row in rows], 1),
        Line("p99", [(middle(row), row.p99_us) for row in rows], 3),
        Line("p99.9", [(middle(row), row.p99_9_us) for row in rows], 4),
        Line("max", [(middle(row), row.max_us) for row in rows], 5),
    ]
    lines += _bound_lines(rows, bounds)
    return plot_lines(lines, format_us, row_time_labels(rows), is_logarithmic=True)


def plot_failures(rows: Sequence[IntervalRow]) -> str:
    """Failures per second over the run, a line for each kind; nothing where none failed."""
    kinds = sorted({kind for row in rows for kind in row.failed})
    if not kinds:
        return ""
    lines = [
        Line(
            kind,
            [(middle(row), row.failed.get(kind, 0) / row.seconds if row.seconds else None) for row in rows],
            (place + 3) % MAX_COLOURS + 1,
        )
        for place, kind in enumerate(kinds)
    ]
    return plot_lines(lines, format_rate, row_time_labels(rows))


def _bound_lines(rows: Sequence[IntervalRow], bounds: Sequence[Bound]) -> list[Line]:
    """Return a bound's line from the first to the last instant that is drawn."""
    if not rows:
        return []
    ends = middle(rows[0]), middle(rows[-1])
    if ends[0] == ends[1]:
        ends = rows[0].start_s, rows[0].start_s + rows[0].length_s
    return [
        Line(bound.text, [(x, bound.value) for x in ends], bound.colour, is_dashed=True)
        for bound in bounds[:MAX_BOUNDS]
    ]


def plot_latency_by_percentile(latency: Histogram, service: Histogram | None) -> str:
    """Plot latency by percentile."""
    lines = [Line("latency", percentile_points(latency), 1)]
    if service is not None:
        lines.append(Line("service time", percentile_points(service), 2))
    return plot_percentiles(lines)


def plot_percentiles(lines: Sequence[Line]) -> str:
    """Lines of `percentile_points`; each step to the right is a tenth of the requests that are left."""
    highest = max((x for line in lines for x, _ in line.points), default=1.0)
    # Room behind the last label, which is centred at its place.
    labels = [(float(n), _percentile_label(n)) for n in range(max(1, math.floor(highest)) + 1)]
    return plot_lines(lines, format_us, labels, is_logarithmic=True, end_x=max(highest, labels[-1][0] + 0.3))


def percentile_points(histogram: Histogram) -> Points:
    """Decades of what is left (1 is 90 %, 2 is 99 %) and the time in µs."""
    return [
        (-math.log10(1 - point.percentile / 100), max(1.0, point.value_us))
        for point in histogram.percentile_distribution(ticks_per_half_distance=3)
        if point.percentile < 100
    ]


def _percentile_label(nines: int) -> str:
    return "0 %" if not nines else f"{100 - 100 * 10**-nines:.{max(0, nines - 2)}f} %"


def middle(row: IntervalRow) -> float:
    return row.start_s + row.length_s / 2


def row_time_labels(rows: Sequence[IntervalRow]) -> list[tuple[float, str]]:
    return time_labels(max((row.start_s + row.length_s for row in rows), default=1.0))


def plot_lines(
    lines: Sequence[Line],
    format_value: Callable[[float], str],
    x_labels: Sequence[tuple[float, str]],
    *,
    is_logarithmic: bool = False,
    end_x: float = 0.0,
) -> str:
    """Return lines over an axis with these labels."""
    import pygal  # type: ignore[import-untyped] # not where nothing is drawn: it takes as long as half of Flask

    y_labels = value_labels(
        [y for line in lines for _, y in line.points if y is not None], is_logarithmic=is_logarithmic
    )

    def to_axis(value: float) -> float:
        # pygal's own logarithm would take both axes.
        return math.log10(max(value, 1.0)) if is_logarithmic else value

    columns = _legend_columns([line.label for line in lines])
    chart = pygal.XY(
        width=WIDTH,
        height=HEIGHT,
        explicit_size=False,
        allow_interruptions=True,
        style=_style([line.colour for line in lines]),
        js=[],
        dots_size=0 if any(len(line.points) > 2 for line in lines if not line.is_dashed) else 3,
        show_x_guides=False,
        show_y_guides=True,
        show_legend=len(lines) > 1,
        legend_at_bottom=True,
        legend_at_bottom_columns=columns,
        truncate_legend=MAX_LEGEND_LETTERS,
        legend_box_size=12,
        range=(to_axis(y_labels[0]), to_axis(y_labels[-1])),
        xrange=(x_labels[0][0], max(x_labels[-1][0], *(x for line in lines for x, _ in line.points), end_x)),
        margin=4,
        margin_right=MARGIN_RIGHT,
        # pygal leaves out the row that is not full.
        margin_bottom=4 + LEGEND_ROW * (math.ceil(len(lines) / columns) - len(lines) // columns),
        spacing=8,
        disable_xml_declaration=True,
        no_data_text="nothing was measured",
    )
    chart.x_labels = [{"label": label, "value": value} for value, label in x_labels]
    chart.y_labels = [{"label": format_value(value), "value": to_axis(value)} for value in y_labels]
    _add_lines(chart, lines, to_axis)
    svg = _NOT_WANTED.sub("", str(chart.render(is_unicode=True)))
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(described(lines, format_value))}" ', 1)


def described(lines: Sequence[Line], format_value: Callable[[float], str]) -> str:
    """Return the plot in words, for those who cannot see it: lowest, highest and last value of each line."""
    said = []
    for line in lines:
        values = [y for _, y in line.points if y is not None and not math.isnan(y)]
        if not values:
            continue
        low, high, last = (format_value(value) for value in (min(values), max(values), values[-1]))
        said.append(f"{line.label} {low}" if low == high else f"{line.label} {low} to {high}, at the end {last}")
    return "; ".join(said) or "nothing was measured"


def _add_lines(chart: Any, lines: Sequence[Line], to_axis: Callable[[float], float]) -> None:
    for line in lines:
        stroke = {"width": 2, "dasharray": "6, 5"} if line.is_dashed else {"width": 2}
        points = [(x, None if y is None else to_axis(y)) for x, y in _thinned(line.points)]
        if line.is_points:
            chart.add(line.label, points, stroke=False, dots_size=5)
        else:
            chart.add(line.label, points, stroke_style=stroke)


def _legend_columns(labels: Sequence[str]) -> int:
    longest = max((len(label) for label in labels), default=0)
    fitting = next((columns for letters, columns in LEGEND_COLUMNS if longest <= letters), 1)
    return max(1, min(fitting, len(labels)))


def _thinned(points: Points) -> list[tuple[float, float | None]]:
    """Thin out to MAX_POINTS: of each stretch the lowest and the highest remain, so that no spike is lost.

    A stretch without a value is a gap.
    """
    known = [(x, None if y is None or math.isnan(y) else y) for x, y in points]
    if len(known) <= MAX_POINTS:
        return known
    length = math.ceil(len(known) / (MAX_POINTS // 2))
    kept: list[tuple[float, float | None]] = []
    for start in range(0, len(known), length):
        stretch = known[start : start + length]
        values = [(x, y) for x, y in stretch if y is not None]
        if not values:
            kept.append(stretch[0])
            continue
        ends = {min(values, key=lambda point: point[1]), max(values, key=lambda point: point[1])}
        kept += sorted(ends)
    return kept


def _style(colours: Sequence[int]) -> Any:
    from pygal.style import Style  # type: ignore[import-untyped]

    return Style(
        background="transparent",
        plot_background="transparent",
        foreground="var(--ink)",
        foreground_strong="var(--ink)",
        foreground_subtle="var(--faint)",
        colors=tuple(f"var(--line-{colour})" for colour in colours),
        value_colors=("var(--ink)",) * MAX_COLOURS,
        font_family="inherit",
        label_font_size=17,
        major_label_font_size=17,
        legend_font_size=17,
        no_data_font_size=18,
        guide_stroke_color="var(--rule)",
        major_guide_stroke_color="var(--rule)",
        guide_stroke_dasharray="none",
        major_guide_stroke_dasharray="none",
        transition="none",
    )
