"""Chooses the objectives that are lines in the plots: summary in, bounds out. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from inference_swarm.config.documents import ReadDocument
from inference_swarm.errors import SettingProblem
from inference_swarm.export.plots import Bound
from inference_swarm.judge.objectives import Quantity, TimeOrigin, parse_objective

# As the lines of the percentiles in the plot of the latency over the run.
_COLOURS: Mapping[str, int] = {"p50": 1, "p90": 2, "p99": 3, "p99.9": 4}
OTHER_COLOUR = 5


def latency_bounds(summary: ReadDocument) -> list[Bound]:
    """Return the objectives on latencies from the intended instant, of all requests or of one name."""
    return _bounds(summary, Quantity.TIME)


def rate_bounds(summary: ReadDocument) -> list[Bound]:
    """Return the objectives on requests per second."""
    return _bounds(summary, Quantity.RATE)


def _bounds(summary: ReadDocument, quantity: Quantity) -> list[Bound]:
    found = []
    for result in summary["objectives"]:
        try:
            objective = parse_objective(result["objective"])
        except SettingProblem:
            continue  # of a release with another grammar
        if objective.quantity is quantity and objective.origin is TimeOrigin.LATENCY:
            found.append(Bound(result["objective"], objective.bound, _COLOURS.get(objective.metric, OTHER_COLOUR)))
    return found
