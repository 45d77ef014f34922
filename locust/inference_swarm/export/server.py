"""The server's own metrics for summary.json, server.csv and readers: over time, and over the load of a search. Pure."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from markupsafe import Markup

from inference_swarm.config.documents import Document, ReadDocument
from inference_swarm.export.axes import time_labels
from inference_swarm.export.plots import Line, plot_lines
from inference_swarm.judge.capacity.answer import load_words
from inference_swarm.judge.capacity.result import CapacityResult
from inference_swarm.measure.server_metrics import ServerSeries

# A metric that is within this part of its highest from some load on has reached its limit there.
LIMIT_SHARE = 0.93
# That much more load must have been tried beyond.
LIMIT_RANGE = 1.1
MAX_PLOTS = 6
MAX_POINTS = 400


def server_metrics(series: ServerSeries | None, capacity: CapacityResult | None) -> Document | None:
    """Return the part of summary.json; None when nothing was to be read."""
    if series is None:
        return None
    metrics = {}
    for title, unit in series.units.items():
        values = [row[title] for _, row in series.rows if title in row]
        metrics[title] = {
            "unit": unit,
            "mean": round(sum(values) / len(values), 3),
            "max": round(max(values), 3),
            "last": round(values[-1], 3),
        }
    steps = _by_step(series, capacity)
    return {
        "metrics": metrics,
        "readings": len(series.rows),
        "failures": series.failures,
        "last_failure": series.last_failure,
        "by_step": steps,
        "over_time": {title: _thinned(series, title) for title in series.units},
        "sentences": _sentences(series, steps, by_users=capacity is not None and capacity.by_users),
    }


def _thinned(series: ServerSeries, title: str) -> list[list[float]]:
    """Return [instant, value] pairs, few enough for a page: of each stretch the mean."""
    points = [(at_s, row[title]) for at_s, row in series.rows if title in row]
    size = max(1, math.ceil(len(points) / MAX_POINTS))
    stretches = [points[start : start + size] for start in range(0, len(points), size)]
    return [
        [round(sum(at_s for at_s, _ in part) / len(part), 2), round(sum(value for _, value in part) / len(part), 4)]
        for part in stretches
    ]


def _by_step(series: ServerSeries, capacity: CapacityResult | None) -> list[Document]:
    if capacity is None:
        return []
    found = []
    for step in capacity.steps:
        if step.is_judged and step.end_s is not None and step.part != "drain":
            means = series.between(step.settled_s, step.end_s)
            if means:
                rounded = {title: round(value, 3) for title, value in means.items()}
                found.append({"step": step.step, "load": step.load, "means": rounded})
    return found


def _sentences(series: ServerSeries, steps: Sequence[ReadDocument], *, by_users: bool) -> list[str]:
    sentences = []
    for title, unit in series.units.items():
        if "CPU" not in title and "GPU" not in title:
            continue
        points = sorted((step["load"], step["means"][title]) for step in steps if title in step["means"])
        if len(points) < 3:
            continue
        highest = max(value for _, value in points)
        from_load = None
        for load, value in reversed(points):
            if value < LIMIT_SHARE * highest:
                break
            from_load = load
        if from_load is not None and points[-1][0] >= LIMIT_RANGE * from_load:
            at = load_words(from_load, by_users=by_users)
            sentences.append(f"The server's {title} was at {highest:.0f} {unit} from {at} on.")
        else:
            load = max(points, key=lambda point: point[1])[0]
            at = load_words(load, by_users=by_users)
            sentences.append(f"The server's {title} rose to {highest:.0f} {unit} at {at}.")
    if series.failures:
        gaps = f"{series.failures} time{'' if series.failures == 1 else 's'}"
        sentences.append(f"The server's metrics could not be read {gaps}: {series.last_failure}")
    return sentences


def server_csv(series: ServerSeries) -> str:
    """Return server.csv: a row for each reading, empty where a metric was not read."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    titles = list(series.units)
    writer.writerow(["at_s", *(f"{title} ({unit})" if unit else title for title, unit in series.units.items())])
    for at_s, row in series.rows:
        writer.writerow([f"{at_s:.3f}", *(f"{row[title]:.6g}" if title in row else "" for title in titles)])
    return text.getvalue()


def server_plots(server: ReadDocument, end_s: float) -> list[tuple[str, str, Markup]]:
    """Return (caption, unit, SVG) of each metric: over the run, and over the load where there were steps."""
    plots = []
    for title, metric in list(server["metrics"].items())[:MAX_PLOTS]:
        unit = metric["unit"]
        points = [(at_s, value) for at_s, value in server["over_time"][title]]
        svg = plot_lines([Line(title, points, 2)], _plain, time_labels(end_s))
        plots.append((f"Server: {title}", f"{unit + ', ' if unit else ''}over the run", Markup(svg)))
        by_load: dict[float, float] = {}
        for step in server["by_step"]:
            if title in step["means"]:
                by_load[step["load"]] = step["means"][title]
        if len(by_load) > 1:
            ordered = [(load, by_load[load]) for load in sorted(by_load)]
            svg = plot_lines([Line(title, ordered, 2)], _plain, _load_labels(max(by_load)))
            plots.append((f"Server: {title}", f"{unit + ', ' if unit else ''}over load", Markup(svg)))
    return plots


def _plain(value: float) -> str:
    return f"{value:,.4g}" if value < 10_000 else f"{value:,.0f}"


def _load_labels(highest: float) -> list[tuple[float, str]]:
    return [(highest * part / 4, f"{highest * part / 4:,.3g}") for part in range(5)]
