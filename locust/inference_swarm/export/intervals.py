"""The run over time as a table: one row an interval, all workers and request names together. Pure."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from inference_swarm.errors import DataError
from inference_swarm.load.stages import Stages
from inference_swarm.measure.answers import AnswerCounters
from inference_swarm.measure.counters import RequestCounters
from inference_swarm.measure.hlog import HlogInterval
from inference_swarm.measure.intervals import Interval, IntervalSeries

US_PER_S = 1_000_000


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """Times in µs, empty where nothing was measured; `rate_rps` is what ended, `rows_per_s` the rows of that.

    `seconds` is how long the workers took.

    `wanted_rps` is what the schedule of an open load asked for, empty for a closed one.
    """

    start_s: float
    length_s: float
    seconds: float
    users: int
    requests: int
    failures: int
    rate_rps: float
    rows_per_s: float
    wanted_rps: float
    late: int
    dropped: int
    p50_us: float
    p90_us: float
    p99_us: float
    p99_9_us: float
    max_us: float
    service_p50_us: float
    service_p99_us: float
    in_flight: float = math.nan
    """Requests in flight on average: their rate times their service time (Little's law)."""
    answers: float = math.nan
    """Rows whose answers were looked at; empty where nobody looked, as all that follows."""
    wrong_answers: float = math.nan
    accuracy: float = math.nan
    """Of labelled rows, as `rmse`."""
    rmse: float = math.nan
    failed_by_kind: str = ""
    """The failures of each kind, as `connect 12; status 3`."""

    @property
    def failed(self) -> dict[str, int]:
        """The failures of each kind."""
        pairs = (part.rpartition(" ") for part in self.failed_by_kind.split("; ") if part)
        return {kind: int(count) for kind, _, count in pairs}


@dataclass(frozen=True, slots=True)
class WantedRate:
    """The rate of an open load and the part of the run in which requests count, in seconds since it began."""

    rate: Stages
    start_s: float
    end_s: float

    def between(self, start_s: float, end_s: float) -> float:
        """Return the average per second; NaN where nothing counts."""
        start_s, end_s = max(start_s, self.start_s), min(end_s, self.end_s)
        if end_s <= start_s:
            return math.nan
        return (self.rate.amount_until(end_s) - self.rate.amount_until(start_s)) / (end_s - start_s)


def interval_rows(series: IntervalSeries, wanted: WantedRate | None = None) -> list[IntervalRow]:
    """Return the rows, oldest first."""
    rows = (interval_row(interval, wanted) for interval in series.intervals())
    return [row for row in rows if row is not None]


def interval_row(interval: Interval, wanted: WantedRate | None = None) -> IntervalRow | None:
    """Return the row; None for last reports from after the end of the load."""
    total = interval.total()
    if not (total.ended or total.dropped or interval.coverage.seconds > 0):
        return None
    rate_rps = interval.per_s(total.ended_in_time)
    p50, p90, p99, p99_9 = total.latency.percentiles_us([50, 90, 99, 99.9])
    service_p50, service_p99 = total.service.percentiles_us([50, 99])
    return IntervalRow(
        start_s=interval.start_s,
        length_s=interval.length_s,
        seconds=total.ended_in_time / rate_rps if rate_rps else interval.length_s,
        users=interval.coverage.users,
        requests=total.ended,
        failures=total.failures,
        rate_rps=rate_rps,
        rows_per_s=interval.per_s(total.rows_in_time),
        wanted_rps=math.nan
        if wanted is None
        else wanted.between(interval.start_s, interval.start_s + interval.length_s),
        late=total.late,
        dropped=total.dropped,
        p50_us=p50,
        p90_us=p90,
        p99_us=p99,
        p99_9_us=p99_9,
        max_us=total.latency.max_us,
        service_p50_us=service_p50,
        service_p99_us=service_p99,
        in_flight=rate_rps * _mean_service_us(total) / US_PER_S,
        failed_by_kind="; ".join(f"{kind} {count}" for kind, count in sorted(total.failed_by_kind.items()) if count),
        **_answer_figures(total.answers),
    )


def _answer_figures(answers: AnswerCounters | None) -> dict[str, Any]:
    if answers is None:
        return {}
    quality = answers.quality
    figures = {"accuracy": quality.accuracy, "rmse": quality.rmse}
    known = {name: value for name, value in figures.items() if value is not None}
    return {"answers": float(answers.rows), "wrong_answers": float(answers.wrong), **known}


def _mean_service_us(total: RequestCounters) -> float:
    """Return the mean of all that ended; what failed before it was sent took none of the server's time."""
    histograms = [one for one in (total.service, total.failed_service) if one.count]
    return sum(one.mean_us * one.count for one in histograms) / total.ended if total.ended else 0.0


def interval_table(rows: Iterable[IntervalRow]) -> str:
    """Return CSV with the fields of IntervalRow as headers."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    names = [spec.name for spec in fields(IntervalRow)]
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(getattr(row, name)) for name in names])
    return text.getvalue()


def read_interval_table(text: str) -> list[IntervalRow]:
    """Read what `interval_table` wrote; raises DataError."""
    kinds = get_type_hints(IntervalRow)
    rows = []
    for number, line in enumerate(csv.DictReader(io.StringIO(text, newline="")), 2):
        try:
            rows.append(IntervalRow(**{name: _read_cell(kind, line[name]) for name, kind in kinds.items()}))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"line {number} of the interval table: {error}", expected="a table of this release"
            ) from error
    return rows


def longest_s(rows: Sequence[IntervalRow]) -> float:
    """Return the length of the longest interval; 1 s where there is none."""
    return max((row.length_s for row in rows), default=1.0) or 1.0


def hlog_intervals(series: IntervalSeries, *, is_service: bool) -> Iterator[HlogInterval]:
    """Return each interval and request name as a line of a histogram log, tagged with the name."""
    for interval in series.intervals():
        for name, counters in sorted(interval.names().items()):
            histogram = counters.service if is_service else counters.latency
            if histogram.count:
                yield HlogInterval(name, interval.start_s, interval.length_s, histogram)


def _read_cell(kind: type, cell: str) -> Any:
    return cell if kind is str else kind(cell or "nan")


def _cell(value: float | str) -> str:
    if isinstance(value, int | str):
        return str(value)
    return "" if math.isnan(value) else f"{value:.6g}" if 0 < abs(value) < 1 else f"{value:.3f}"
