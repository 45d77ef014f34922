"""A run over time, for the plots of the page: the intervals of `intervals.csv` while they grow.

An interval is read again only as long as late reports may change it, so that a page costs little however long the run.
"""

from __future__ import annotations

import math

from inference_swarm.config.documents import Document
from inference_swarm.export.intervals import WantedRate, interval_row
from inference_swarm.export.server import MAX_PLOTS
from inference_swarm.export.summary import wanted_rate_of
from inference_swarm.measure.intervals import Interval
from inference_swarm.measure.server_metrics import ServerSeries
from inference_swarm.run.run import Run

# The newest intervals, to which workers may still add.
UNSETTLED = 10
# Until then not all workers have reported what they did in an interval.
REPORTED_AFTER_S = 4.0


class LiveSeries:
    """The intervals of one run; those of another one begin anew."""

    def __init__(self) -> None:
        self._key = ("", False)
        self._settled: dict[tuple[int, int], Document | None] = {}
        self._run: Run | None = None
        self._points: list[Document] = []

    def is_of(self, run: Run | None, *, is_over: bool) -> bool:
        """True when what was read last is of this run, and of its end if it is over."""
        return run is self._run and (run is None or self._key == (run.run_id, is_over))

    def read(self, run: Run | None, *, is_over: bool) -> None:
        """Take in what the run has by now."""
        self._run, self._points = run, []
        if run is not None:
            if self._key != (run.run_id, is_over):
                self._key, self._settled = (run.run_id, is_over), {}
            self._points = self._read_points(run, is_over=is_over)

    def document(self, since_s: float = 0.0) -> Document:
        """Return the points that begin at `since_s` or later, in seconds since the run began; all rates are per second.

        `server`: the server's own metrics, if they are read: units by title, and rows of [instant, values by title].
        """
        run = self._run
        return {
            "run_id": None if run is None else run.run_id,
            "length_s": 0.0 if run is None else round(run.duration_s, 3),
            "points": [point for point in self._points if point["start_s"] >= since_s],
            "server": _server(None if run is None else run.server, since_s),
        }

    def _read_points(self, run: Run, *, is_over: bool) -> list[Document]:
        intervals, wanted = run.totals.series.intervals(), wanted_rate_of(run)
        last_s = math.inf if is_over else run.duration_s - REPORTED_AFTER_S
        found = []
        for place, interval in enumerate(intervals):
            if interval.start_s + interval.length_s > last_s:
                break
            key = (interval.first, interval.span)
            if key in self._settled:
                found.append(self._settled[key])
                continue
            point = _point(interval, wanted)
            found.append(point)
            if is_over or place < len(intervals) - UNSETTLED:
                self._settled[key] = point
        return [point for point in found if point is not None]


def _point(interval: Interval, wanted: WantedRate | None) -> Document | None:
    row = interval_row(interval, wanted)
    if row is None:
        return None
    return {
        "start_s": row.start_s,
        "at_s": row.start_s + row.length_s / 2,
        "rate_rps": _number(row.rate_rps),
        "wanted_rps": _number(row.wanted_rps),
        "p50_us": _number(row.p50_us),
        "p99_us": _number(row.p99_us),
        "p99_9_us": _number(row.p99_9_us),
        "users": row.users,
        "in_flight": _number(row.in_flight),
        "failed_rps": {kind: _number(count / row.seconds) for kind, count in row.failed.items()},
    }


def _server(series: ServerSeries | None, since_s: float) -> Document:
    if series is None:
        return {"units": {}, "rows": []}
    units = dict(list(series.units.items())[:MAX_PLOTS])
    rows = [
        [round(at_s, 2), {title: _number(value) for title, value in row.items() if title in units}]
        for at_s, row in series.rows
        if at_s >= since_s
    ]
    return {"units": units, "rows": rows}


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return round(value, 3) if math.isfinite(value) else None
