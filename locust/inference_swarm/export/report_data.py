"""The data that a run's report shows, from the run's end or read back from its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inference_swarm.config.documents import ReadDocument
from inference_swarm.export.heat_map import HeatMap
from inference_swarm.export.intervals import IntervalRow
from inference_swarm.measure.histogram import Histogram


@dataclass(frozen=True, slots=True)
class ReportData:
    """The data of a report; `summary` is the document of summary.json."""

    summary: ReadDocument
    rows: Sequence[IntervalRow]
    latency: Histogram
    service: Histogram
    heat: HeatMap
