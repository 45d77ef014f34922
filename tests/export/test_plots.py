"""Plots: what is in the data is in the drawing."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_runs import make_run

from inference_swarm.export.bounds import latency_bounds, rate_bounds
from inference_swarm.export.intervals import IntervalRow, interval_rows, interval_table, read_interval_table
from inference_swarm.export.plots import (
    MAX_POINTS,
    Bound,
    Line,
    _thinned,
    plot_failures,
    plot_in_flight,
    plot_latency_over_time,
    plot_lines,
    plot_rate,
    plot_users,
)
from inference_swarm.export.summary import build_summary
from inference_swarm.measure.histogram import Histogram

CALM = IntervalRow(0, 3, 3, 10, 300, 0, 100, 100, 0, 0, 900, 950, 1000, 1000, 1000, 900, 1000, 0.1)


def calm_run(intervals: int) -> list[IntervalRow]:
    return [replace(CALM, start_s=3.0 * number) for number in range(intervals)]


def highest_label(svg: str) -> str:
    """The topmost label of the y axis."""
    axis = svg[svg.index('class="axis y') :]
    labels = re.findall(r'<text x="[-\d.]+" y="([-\d.]+)"[^>]*>([^<]+)</text>', axis)
    return min(labels, key=lambda label: float(label[0]))[1]


@pytest.mark.parametrize("place", [0, 1, 397, 900, 1199])
def test_a_spike_of_one_interval_survives_in_a_long_run(place: int) -> None:
    rows = calm_run(1200)
    rows[place] = replace(rows[place], p99_us=5_000_000, max_us=5_000_000)
    drawn = _thinned([(row.start_s, row.p99_us) for row in rows])
    assert len(drawn) <= MAX_POINTS
    assert (rows[place].start_s, 5_000_000) in drawn
    assert highest_label(plot_latency_over_time(rows)) == "5 s"


def test_a_stall_survives_as_well() -> None:
    rows = calm_run(1000)
    rows[501] = replace(rows[501], rate_rps=0.0)
    assert (rows[501].start_s, 0.0) in _thinned([(row.start_s, row.rate_rps) for row in rows])


VALUES = st.lists(st.none() | st.floats(0, 1e9), min_size=1, max_size=3000)


@given(VALUES)
def test_thinning_keeps_the_extremes_the_order_and_invents_nothing(values: list[float | None]) -> None:
    points = [(float(number), value) for number, value in enumerate(values)]
    drawn = _thinned(points)
    assert set(drawn) <= set(points)
    assert [x for x, _ in drawn] == sorted(x for x, _ in drawn)
    assert len(drawn) <= max(MAX_POINTS, 0)
    known = [y for _, y in points if y is not None]
    if known:
        shown = [y for _, y in drawn if y is not None]
        assert (min(shown), max(shown)) == (min(known), max(known))


def test_what_was_not_measured_is_a_gap() -> None:
    points = [(0.0, 1.0), (1.0, math.nan), (2.0, None), (3.0, 2.0)]
    assert _thinned(points) == [(0.0, 1.0), (1.0, None), (2.0, None), (3.0, 2.0)]


def test_a_line_is_interrupted_where_nothing_was_measured() -> None:
    rows = calm_run(9)
    assert drawn_parts(plot_latency_over_time(rows)) == 1
    rows[3] = rows[4] = replace(rows[3], p50_us=math.nan)
    assert drawn_parts(plot_latency_over_time(rows)) == 2


def drawn_parts(svg: str) -> int:
    """How many lines the first series is drawn as."""
    series = svg[svg.index('class="series serie-0') : svg.index('class="series serie-1')]
    return sum(path.count("M") for path in re.findall(r'<path d="([^"]*)"', series))


def test_objectives_are_lines_under_their_own_text() -> None:
    summary = build_summary(
        make_run(
            slo=("p99<50ms", "service.p99<20ms", "max<2s", "rate>=1000", "error_rate<1%", "p90{POST /invocation}<9ms")
        )
    )
    assert latency_bounds(summary) == [
        Bound("p99<50ms", 50_000, 3), Bound("max<2s", 2_000_000, 5), Bound("p90{POST /invocation}<9ms", 9_000, 2),
    ]  # fmt: skip
    assert rate_bounds(summary) == [Bound("rate>=1000", 1000, 5)]
    svg = plot_latency_over_time(calm_run(10), latency_bounds(summary))
    assert "p99&lt;50ms" in svg
    assert svg.count("stroke-dasharray:6,5") == 3
    assert highest_label(svg) == "2 s"  # the bound is within the plot
    assert "rate&gt;=1000" in plot_rate(calm_run(10), [], rate_bounds(summary))


@pytest.mark.parametrize("intervals", [5, 20, 130, 1200])
def test_the_last_label_of_the_time_axis_is_within_the_drawing(intervals: int) -> None:
    svg = plot_users(calm_run(intervals))
    width, left = (float(re.search(pattern, svg)[1]) for pattern in (r'viewBox="0 0 (\d+)', r"translate\((\d+), "))  # type: ignore[index]
    axis = svg[svg.index('class="axis x') : svg.index('class="series')]
    labels = [(float(x), text) for x, text in re.findall(r'<text x="([-\d.]+)"[^>]*>([^<]+)</text>', axis)]
    assert len(labels) >= 3
    # centred, and a character of 17 px type is at most 11 px wide
    assert all(left + x + len(text) * 11 / 2 <= width for x, text in labels), labels


def test_failures_are_drawn_by_kind_and_read_back_from_the_table() -> None:
    rows = calm_run(4)
    rows[1] = replace(rows[1], failures=9, failed_by_kind="connect 6; status 3")
    assert read_interval_table(interval_table(rows))[1].failed == {"connect": 6, "status": 3}
    svg = plot_failures(read_interval_table(interval_table(rows)))
    assert 'aria-label="connect 0 to 2, at the end 0; status 0 to 1, at the end 0"' in svg
    assert plot_failures(calm_run(4)) == ""


def test_each_plot_has_its_figures_in_words() -> None:
    rows = calm_run(3)
    rows[1] = replace(rows[1], rate_rps=140.0, p99_us=5_000.0)
    assert 'aria-label="requests/s 100 to 140, at the end 100"' in plot_rate(rows, [])
    assert 'aria-label="p50 950 µs; p99 1 ms to 5 ms, at the end 1 ms; p99.9 1 ms' in plot_latency_over_time(rows)
    assert 'aria-label="a &lt;b&gt; 7"' in plot_lines([Line("a <b>", [(0.0, 7.0)], 1)], "{:g}".format, [(0.0, "0")])


def test_requests_in_flight_are_the_rate_times_the_service_time() -> None:
    rows = interval_rows(make_run(median_ms=5.0, per_interval=3000, workers=2).totals.series)
    # 2,000 requests a second of 5 ms (log-normal with sigma 0.3: mean 5.23 ms)
    assert rows[3].in_flight == pytest.approx(2000 * 5.23e-3, rel=0.02)
    assert "in flight" not in plot_users(rows)
    assert highest_label(plot_in_flight(rows)) not in ("0", "")


def test_what_was_never_sent_is_not_in_flight() -> None:
    series = make_run(failed=900, per_interval=1000).totals.series
    sent = interval_rows(series)[3].in_flight
    for interval in series.intervals():
        for counters in interval.names().values():
            counters.failed_service = Histogram()
    assert interval_rows(series)[-2].in_flight == pytest.approx(sent / 10, rel=0.1)


@pytest.mark.parametrize("bounds", [0, 1, 2, 3])
def test_every_line_has_its_label_within_the_drawing(bounds: int) -> None:
    given = [Bound(f"p99{{POST /invocation-{number}}}<50ms", 50_000.0, 3) for number in range(bounds)]
    svg = plot_latency_over_time(calm_run(10), given)
    height = float(re.search(r'viewBox="0 0 640 (\d+)"', svg)[1])  # type: ignore[index]
    legends = svg[svg.index('class="legends"') - 40 :]
    top = float(re.search(r"translate\([\d.]+, ([\d.]+)\)", legends)[1])  # type: ignore[index]
    labels = [(float(y), text) for y, text in re.findall(r'<text x="[\d.]+" y="([\d.]+)">([^<]+)</text>', legends)]
    assert [text for _, text in labels][:4] == ["p50", "p99", "p99.9", "max"]
    assert len(labels) == 4 + bounds
    assert all(top + y < height for y, _ in labels), labels
