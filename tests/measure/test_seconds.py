from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.errors import ProtocolError
from inference_swarm.measure.seconds import MAX_SECONDS, SecondCounts, SecondSeries

rows = st.lists(st.builds(SecondCounts, st.integers(0, 50), *[st.integers(0, 9)] * 3), max_size=20)


def series_of(*given_rows: SecondCounts) -> SecondSeries:
    series = SecondSeries()
    series.add(given_rows)
    return series


@settings(deadline=None)
@given(rows, rows)
def test_seconds_of_several_workers_add_up_and_survive_being_saved(
    one: list[SecondCounts], other: list[SecondCounts]
) -> None:
    series = series_of(*one, *other)
    assert sum(row.ended for row in series.rows()) == sum(row.ended for row in one + other)
    assert sum(row.bad for row in series.rows()) == sum(row.failed + row.unserved for row in one + other)
    assert SecondSeries.from_wire(series.to_wire()) == series
    assert series.between(0, 51)[1] == sum(row.ended for row in one + other)


def test_a_second_that_lies_partly_in_a_stretch_counts_in_part() -> None:
    series = series_of(SecondCounts(0, 10), SecondCounts(1, 20, 20), SecondCounts(2, 100))
    assert series.between(0.5, 1.25) == (10, 15)
    assert series.between(1, 2) == (20, 40)
    assert series.between(7, 9) == (0, 0)


def test_seconds_beyond_the_limit_are_left_out() -> None:
    assert series_of(SecondCounts(MAX_SECONDS, 1)).rows() == []


@pytest.mark.parametrize("wire", [None, b"", b"xx", zlib.compress(b"x" * 7), zlib.compress(b"\xff" * 32)])
def test_what_cannot_be_read_is_refused(wire: object) -> None:
    with pytest.raises(ProtocolError, match="counts by second"):
        SecondSeries.from_wire(wire)
