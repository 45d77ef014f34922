"""The page of two compared runs. Pure; everything but our own SVG is escaped."""

from __future__ import annotations

from markupsafe import Markup

from inference_swarm.export.comparison import ComparedRuns, conclusion, metric_rows
from inference_swarm.export.plots import Line, percentile_points, plot_percentiles
from inference_swarm.export.report import page_environment
from inference_swarm.export.saved_run import as_it_was_written, merge_intervals
from inference_swarm.judge.compare import CONFIDENCE


def comparison_page(compared: ComparedRuns) -> str:
    """Return a page that needs no other file."""
    with as_it_was_written(compared.one.folder, compared.other.folder):
        lines = [
            Line("A", percentile_points(merge_intervals(compared.one.latency)), 1),
            Line("B", percentile_points(merge_intervals(compared.other.latency)), 3),
        ]
        return (
            page_environment()
            .get_template("comparison.html.j2")
            .render(
                one=compared.one.summary,
                other=compared.other.summary,
                rows=metric_rows(compared),
                confidence=f"{CONFIDENCE:.0%}",
                conclusion=conclusion(compared),
                differences=compared.differences,
                plot=Markup(plot_percentiles(lines)),
            )
        )
