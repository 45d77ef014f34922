"""Plots of a capacity: percentiles and what was achieved, over the load of each step. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from inference_swarm.config.documents import ReadDocument
from inference_swarm.errors import SettingProblem
from inference_swarm.export.formats import format_rate, format_us
from inference_swarm.export.plots import Bound, Line, plot_lines
from inference_swarm.judge.objectives import Quantity, parse_objective

MET, MISSED = 6, 4
LINES = (("p50", "p50", 1), ("p90", "p90", 2), ("p99", "p99", 3), ("p99_9", "p99.9", 5))
LABELS = 6
FIT_STEPS = 60


def capacity_plots(capacity: ReadDocument) -> list[tuple[str, str, Markup]]:
    """Return (caption, unit, SVG) of each plot; none before a step was judged."""
    steps = judged_steps(capacity)
    if not steps:
        return []
    x_labels = _load_labels(steps)
    over = "users" if capacity["by_users"] else "offered rate"
    return [
        (f"Latency over {over}", "log scale, each step a point", Markup(_latency(capacity, steps, x_labels))),
        (f"Achieved over {over}", "successes per second", Markup(_achieved(capacity, steps, x_labels))),
    ]


def judged_steps(capacity: ReadDocument) -> list[ReadDocument]:
    """Return the steps that say something, in order of load; of equal loads in order of time."""
    found = [step for step in capacity["steps"] if step["finding"] and not step["is_discarded"] and step["requests"]]
    return sorted(found, key=lambda step: (step["load"], step["step"]))


def _latency(capacity: ReadDocument, steps: Sequence[ReadDocument], x_labels: Sequence[tuple[float, str]]) -> str:
    # A line has one point for each load: of the step that saw most requests.
    best = {step["load"]: step for step in sorted(steps, key=lambda step: step["requests"])}
    lines = [
        Line(label, [(load, best[load]["percentiles_us"].get(key)) for load in sorted(best)], colour)
        for key, label, colour in LINES
    ]
    key = _judged_percentile(capacity)
    if key is not None:
        for label, colour, is_met in (("met", MET, True), ("missed", MISSED, False)):
            points = [
                (step["load"], step["percentiles_us"].get(key))
                for step in steps
                if (step["finding"] in ("met", "likely met")) is is_met
            ]
            if points:
                lines.append(Line(f"step {label}", points, colour, is_points=True))
    ends = [steps[0]["load"], steps[-1]["load"]]
    lines += [
        Line(bound.text, [(x, bound.value) for x in ends], bound.colour, is_dashed=True) for bound in _bounds(capacity)
    ]
    return plot_lines(lines, format_us, x_labels, is_logarithmic=True)


def _achieved(capacity: ReadDocument, steps: Sequence[ReadDocument], x_labels: Sequence[tuple[float, str]]) -> str:
    best = {step["load"]: step for step in sorted(steps, key=lambda step: step["requests"])}
    lines = [Line("achieved", [(load, best[load]["rate_rps"]) for load in sorted(best)], 1)]
    if (fit := capacity.get("scalability")) is not None:
        lines.append(Line("Universal Scalability Law", _fit_points(fit, max(best)), 3, is_dashed=True))
    if not capacity["by_users"]:
        lines.append(Line("offered", [(load, load) for load in (min(best), max(best))], 5, is_dashed=True))
    return plot_lines(lines, format_rate, x_labels)


def _fit_points(fit: ReadDocument, highest: float) -> list[tuple[float, float | None]]:
    one, contention, coherency = (fit[name]["value"] for name in ("one_user_rps", "contention", "coherency"))
    loads = [1 + (highest - 1) * step / FIT_STEPS for step in range(FIT_STEPS + 1)]
    return [(n, one * n / (1 + contention * (n - 1) + coherency * n * (n - 1))) for n in loads]


def _judged_percentile(capacity: ReadDocument) -> str | None:
    """Return the key of the percentile that an objective is on; the first that the steps have."""
    known = capacity["steps"][0]["percentiles_us"] if capacity["steps"] else {}
    for objective in _objectives(capacity):
        key = objective.partition("<")[0].strip().replace(".", "_")
        if key in known:
            return key
    return "p99"


def _objectives(capacity: ReadDocument) -> list[str]:
    return [measured["objective"] for measured in capacity["steps"][0]["measured"]] if capacity["steps"] else []


def _bounds(capacity: ReadDocument) -> list[Bound]:
    found = []
    for text in _objectives(capacity):
        try:
            objective = parse_objective(text)
        except SettingProblem:
            continue
        if objective.quantity is Quantity.TIME:
            found.append(Bound(text, objective.bound, 3))
    return found


def _load_labels(steps: Sequence[ReadDocument]) -> list[tuple[float, str]]:
    highest = max(step["load"] for step in steps)
    rough = highest / LABELS
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    count = math.ceil(highest / step)
    return [(step * number, f"{step * number:,.10g}") for number in range(count + 1)]
