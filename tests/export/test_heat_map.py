"""The heat map of a report: every request is in it once, and modes and stalls are where they were."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_swarm.export.heat_map import MAX_COLUMNS, ROWS_PER_DECADE, heat_map, plot_heat_map
from inference_swarm.measure.histogram import Histogram
from inference_swarm.measure.hlog import HlogInterval


def interval(start_s: float, *latencies_ms: float, name: str = "") -> HlogInterval:
    histogram = Histogram()
    histogram.record_ns(np.array([round(ms * 1e6) for ms in latencies_ms], dtype=np.int64))
    return HlogInterval(name, start_s, 1.0, histogram)


def row_of(ms: float) -> int:
    return int(np.floor(np.log10(ms * 1000) * ROWS_PER_DECADE))


def test_two_modes_and_a_stall_are_where_they_were() -> None:
    intervals = [interval(second, *[2.0] * 10, *[50.0] * 3) for second in range(8)]
    intervals.append(interval(8, 900.0, name="other"))
    heat = heat_map(reversed(intervals), 1.0, 9.0)
    assert heat.column_s == 1
    assert heat.lowest_row == row_of(2.0)
    assert heat.counts.shape == (row_of(900.0) - row_of(2.0) + 1, 9)
    assert heat.counts[0].tolist() == [10] * 8 + [0]
    assert heat.counts[row_of(50.0) - heat.lowest_row].tolist() == [3] * 8 + [0]
    assert heat.counts[-1].tolist() == [0] * 8 + [1]


def test_a_run_without_a_length_is_drawn_as_one_interval() -> None:
    # A trace of one record, or whose records have one instant.
    heat = heat_map([interval(0, 2.0, 2.0)], 1.0, 0.0)
    assert (heat.counts.tolist(), heat.end_s) == ([[2]], 1.0)
    assert re.search(r'd="M84\.0 [\d.]+H\d{3,}\.\dV', plot_heat_map(heat))


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.lists(st.floats(0, 700_000), min_size=1, max_size=5)), max_size=20),
    st.floats(0.1, 5000),
)
def test_every_request_is_in_it_once(intervals: list[tuple[int, list[float]]], end_s: float) -> None:
    heat = heat_map((interval(start, *latencies) for start, latencies in intervals), 1.0, end_s)
    assert heat.counts.sum() == sum(len(latencies) for _, latencies in intervals)
    assert heat.counts.shape[1] <= MAX_COLUMNS
    svg = plot_heat_map(heat)
    assert bool(svg) == bool(intervals)
    assert "nan" not in svg


def test_a_column_is_no_shorter_than_an_interval() -> None:
    intervals = [HlogInterval("", start, 3.0, interval(0, 1.0).histogram) for start in (0.0, 3.0, 6.001, 9.0)]
    heat = heat_map(intervals, 3.0, 11.2)
    assert heat.counts.tolist() == [[1, 1, 1, 1]]


def test_long_runs_have_wider_columns() -> None:
    heat = heat_map([interval(0, 1.0), interval(3599, 1.0)], 1.0, 3600.0)
    assert heat.column_s == 30
    assert heat.counts.tolist() == [[1, *[0] * 118, 1]]


def test_rectangles_cover_the_cells_with_requests() -> None:
    svg = plot_heat_map(heat_map([interval(0, *[1.0] * 99), interval(1, *[1.0] * 99), interval(3, 1.0)], 1.0, 4.0))
    drawn = [path for path in re.findall(r'fill-opacity="([\d.]+)" d="([^"]*)"', svg) if path[1]]
    assert [strength for strength, _ in drawn] == ["0.15", "1.00"]
    spans = [[float(x) for x in re.findall(r"[MH]([\d.]+)", cells)] for _, cells in drawn]
    left, right = spans[1][0], spans[1][1]
    assert right - left == pytest.approx(2 * (spans[0][1] - spans[0][0]), abs=0.2)  # neighbours are one rectangle
    assert spans[0][0] == pytest.approx(left + 1.5 * (right - left), abs=0.2)
    assert "99 requests in 1 s" in svg
