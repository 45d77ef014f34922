"""The run over time as the page gets it: the intervals that the files will have, each read as long as it may change."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from inference_swarm.config.documents import Document
from inference_swarm.export.intervals import interval_rows
from inference_swarm.load.stages import Stages
from inference_swarm.measure.counters import FailureRecord, RequestCounters
from inference_swarm.measure.intervals import Interval, IntervalSeries
from inference_swarm.measure.server_metrics import Reading, ServerSeries
from inference_swarm.measure.snapshot import Slice
from inference_swarm.run.run import Run
from inference_swarm.web.series import UNSETTLED, LiveSeries

WIDTH_S = 3.0


def add(series: IntervalSeries, place: int, *latencies_ms: float, failed: int = 0, worker: str = "w") -> None:
    counters = RequestCounters(len(latencies_ms))
    if failed:
        counters.failed["status: 500"] = FailureRecord("status", failed)
    counters.latency.record_ns(np.array([ms * 1e6 for ms in latencies_ms], dtype=np.int64))
    series.add(worker, 5, Slice(place * WIDTH_S, (place + 1) * WIDTH_S, {"POST /": counters}))


def run_of(series: IntervalSeries, duration_s: float, rate_rps: float | None = None, **parts: Any) -> Run:
    schedule = None if rate_rps is None else SimpleNamespace(rate=Stages.constant(rate_rps))
    return cast(
        Run,
        SimpleNamespace(
            run_id=parts.pop("run_id", "r1"),
            duration_s=duration_s,
            totals=SimpleNamespace(series=series, epoch_start_s=0.0),
            course=SimpleNamespace(load=SimpleNamespace(schedule=schedule)),
            server=parts.pop("server", None),
        ),
    )


def document_of(live: LiveSeries, run: Run | None, *, is_over: bool, since_s: float = 0.0) -> Document:
    live.read(run, is_over=is_over)
    return live.document(since_s)


def test_points_are_the_rows_of_the_file() -> None:
    series = IntervalSeries(WIDTH_S)
    for place in range(4):
        add(series, place, *[2.0 + place] * 30, failed=6 if place == 2 else 0)
    document = document_of(LiveSeries(), run_of(series, 12.0, rate_rps=12.0), is_over=True)
    rows = interval_rows(series)
    assert [point["rate_rps"] for point in document["points"]] == [10.0, 10.0, 12.0, 10.0]
    assert [point["p99_us"] for point in document["points"]] == [pytest.approx(row.p99_us, abs=0.001) for row in rows]
    assert [point["at_s"] for point in document["points"]] == [1.5, 4.5, 7.5, 10.5]
    assert [point["wanted_rps"] for point in document["points"]] == [12.0] * 4
    assert [point["failed_rps"] for point in document["points"]] == [{}, {}, {"status": 2.0}, {}]
    assert document["length_s"] == 12.0
    assert {point["users"] for point in document["points"]} == {5}


def test_only_what_began_since_then_is_sent() -> None:
    series = IntervalSeries(WIDTH_S)
    for place in range(4):
        add(series, place, 1.0)
    server = ServerSeries()
    for at_s in (1.0, 7.0):
        server.add(at_s, {"server": [Reading("CPU", "%", at_s, is_counter=False)]})
    document = document_of(LiveSeries(), run_of(series, 12.0, server=server), is_over=True, since_s=6.0)
    assert [point["start_s"] for point in document["points"]] == [6.0, 9.0]
    assert document["server"] == {"units": {"CPU": "%"}, "rows": [[7.0, {"CPU": 7.0}]]}


def test_an_interval_is_shown_when_all_have_had_time_to_report_it() -> None:
    series = IntervalSeries(WIDTH_S)
    for place in range(3):
        add(series, place, 1.0)
    live = LiveSeries()
    assert [point["start_s"] for point in document_of(live, run_of(series, 9.5), is_over=False)["points"]] == [0.0]
    assert len(document_of(live, run_of(series, 9.5), is_over=True)["points"]) == 3


def test_late_reports_change_what_is_young_and_the_end_says_all() -> None:
    series = IntervalSeries(WIDTH_S)
    count = UNSETTLED + 5
    for place in range(count):
        add(series, place, 1.0)
    live = LiveSeries()
    run = run_of(series, count * WIDTH_S + 10)
    document_of(live, run, is_over=False)
    for place in (0, count - 2):
        add(series, place, 9.0, worker="late")
    rates = [point["rate_rps"] for point in document_of(live, run, is_over=False)["points"]]
    assert rates == [pytest.approx(2 / 3 if place == count - 2 else 1 / 3, abs=0.001) for place in range(count)]
    rates = [point["rate_rps"] for point in document_of(live, run, is_over=True)["points"]]
    assert rates[0] == pytest.approx(2 / 3, abs=0.001)


def test_each_interval_is_read_once_for_its_point(monkeypatch: pytest.MonkeyPatch) -> None:
    series = IntervalSeries(WIDTH_S)
    for place in range(UNSETTLED + 5):
        add(series, place, 1.0, failed=2)
    read: Counter[int] = Counter()
    total = Interval.total

    def counted(interval: Interval) -> RequestCounters:
        read[interval.first] += 1
        return total(interval)

    monkeypatch.setattr(Interval, "total", counted)
    live, run = LiveSeries(), run_of(series, 99.0)
    assert document_of(live, run, is_over=False)["points"][0]["failed_rps"] == {
        "status": pytest.approx(2 / 3, abs=1e-3)
    }
    assert set(read.values()) == {1}
    document_of(live, run, is_over=False)
    assert [read[place] for place in range(UNSETTLED + 5)] == [1] * 5 + [2] * UNSETTLED


def test_another_run_begins_anew() -> None:
    series, other = IntervalSeries(WIDTH_S), IntervalSeries(WIDTH_S)
    add(series, 0, 1.0)
    add(other, 0, 1.0, 1.0)
    live = LiveSeries()
    document_of(live, run_of(series, 99.0), is_over=True)
    document = document_of(live, run_of(other, 99.0, run_id="r2"), is_over=True)
    assert (document["run_id"], len(document["points"])) == ("r2", 1)
    assert document["points"][0]["rate_rps"] == pytest.approx(2 / 3, abs=0.001)
    run = run_of(other, 99.0, run_id="r3")
    live.read(run, is_over=False)
    assert live.is_of(run, is_over=False)
    assert not live.is_of(run, is_over=True)
    assert not live.is_of(None, is_over=False)
    assert document_of(live, None, is_over=False)["points"] == []
