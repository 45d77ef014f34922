"""Plots of answers for the report: intervals in, SVG out. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from inference_swarm.export.intervals import IntervalRow
from inference_swarm.export.plots import Line, middle, plot_lines, row_time_labels


def answer_plots(rows: Sequence[IntervalRow]) -> list[tuple[str, str, str]]:
    """Accuracy, RMSE and wrong answers over the run, each where there is any: caption, unit, SVG."""
    plots = []
    for caption, unit, name in (
        ("Accuracy", "of labelled answers, over the run", "accuracy"),
        ("RMSE", "of labelled answers, over the run", "rmse"),
        ("Wrong answers", "in each interval, over the run", "wrong_answers"),
    ):
        values = [getattr(row, name) for row in rows]
        if all(math.isnan(value) for value in values) or (name == "wrong_answers" and not any(values)):
            continue
        points = [(middle(row), None if math.isnan(value) else value) for row, value in zip(rows, values, strict=True)]
        plots.append(
            (caption, unit, plot_lines([Line(name, points, 3)], lambda value: f"{value:.4g}", row_time_labels(rows)))
        )
    return plots
