from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_swarm.errors import SettingProblem
from inference_swarm.load.arrivals import ArrivalProcess, Schedule
from inference_swarm.load.stage_text import parse_duration_s, parse_stages
from inference_swarm.load.stages import Stage, Stages, format_stages

lengths_s, values = st.integers(1, 500).map(float), st.integers(0, 3000).map(float)
stage_lists = st.lists(
    st.builds(Stage, lengths_s, values, values) | st.builds(Stage, lengths_s, values, values, lengths_s),
    min_size=1,
    max_size=6,
).filter(lambda stages: any(stage.first + stage.last for stage in stages))


@pytest.mark.parametrize(
    ("text", "stages"),
    [
        ("30s@500,1m@2000,10s@0", [(30, 500, 500), (60, 2000, 2000), (10, 0, 0)]),
        ("1m@500..2000", [(60, 500, 2000)]),
        ("1m->2000, 10s->0", [(60, 0, 2000), (10, 2000, 0)]),
        ("5s@10\n# warm\n1m30s -> 20 # up\n\n500ms@0.5", [(5, 10, 10), (90, 10, 20), (0.5, 0.5, 0.5)]),
        ("45 @ 7 .. 9,", [(45, 7, 9)]),
        ("1.5h@1", [(5400, 1, 1)]),
        ("10m@sine(200..800,2m), 5s@ sine( 3 .. 1 , 500ms )", [(600, 200, 800, 120), (5, 3, 1, 0.5)]),
        ("5m@steps(100..500,5)", [(60, value, value) for value in (100, 200, 300, 400, 500)]),
        ("1m@steps(9..0,2)", [(30, 9, 9), (30, 0, 0)]),
        ("2x(30s@5,10s->2000)", [(30, 5, 5), (10, 5, 2000)] * 2),
        ("1s@1\n2 x (1s@2 # twice\n 2x(1s@3,\n1s@4))", [(1, 1, 1), *[(1, 2, 2), *[(1, 3, 3), (1, 4, 4)] * 2] * 2]),
        ("30s@sine(0..10,20s),5s->0", [(30, 0, 10, 20), (5, 5, 0)]),
    ],
)
def test_stages_are_read(text: str, stages: list[tuple[float, ...]]) -> None:
    assert parse_stages(text).stages == tuple(Stage(*stage) for stage in stages)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--stages: there is no stage in ''"),
        (" , \n# only a comment", "there is no stage"),
        ("30s", "stage '30s' cannot be read"),
        ("30s@-5", "stage '30s@-5' cannot be read"),
        ("30s@five", "stage '30s@five' cannot be read"),
        ("30s@5..", "stage '30s@5..' cannot be read"),
        ("30s@5;10s@6", "stage '30s@5;10s@6' cannot be read"),
        ("30x@5", "has the duration '30x'"),
        ("0s@5", "has the duration '0s'"),
        ("10s@5,0@6", "stage '0@6' has the duration '0'"),
        ("10s@0,5s->0", "has the value 0"),
        ("10s@sine(0..0,5s)", "has the value 0"),
        ("10s@sine(1..5)", "stage '10s@sine(1..5)' cannot be read"),
        ("10s@sine(1..5,0s)", "has the period '0s'"),
        ("10s@steps(1..5,1)", "has 1 steps"),
        ("10s@steps(1..5,501)", "has 501 steps"),
        ("3x()", "nothing to repeat in '3x()'"),
        ("3x(1s@5", "cannot be read"),
        ("999999999x(1s@5)", "more than 500 stages"),
        ("2x(300x(1s@5))", "more than 500 stages"),
    ],
)
def test_a_stage_that_cannot_be_read_is_named(text: str, message: str) -> None:
    with pytest.raises(SettingProblem) as raised:
        parse_stages(text)
    assert message in str(raised.value)
    assert "Expected: " in str(raised.value)


def test_the_source_of_the_text_is_named() -> None:
    with pytest.raises(SettingProblem, match=r"^ramp\.txt: stage"):
        parse_stages("x", source="ramp.txt")


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("1m30s", 90), ("2h", 7200), ("500ms", 0.5), ("45", 45), ("1h2m3s4ms", 3723.004)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


def test_the_value_holds_steps_and_ramps() -> None:
    stages = parse_stages("10s@100,10s@200..400,10s->0")
    assert [stages.value_at(time_s) for time_s in (0, 9.99, 10, 15, 20, 25, 30, -1)] == [
        100,
        100,
        200,
        300,
        400,
        200,
        None,
        None,
    ]
    assert (stages.duration_s, stages.amount, stages.highest) == (30, 6000, 400)


def test_a_constant_value_has_no_end() -> None:
    stages = Stages.constant(50)
    assert (stages.value_at(1e9), stages.amount_until(1e6), stages.duration_s) == (50, 5e7, math.inf)
    assert stages.time_of(np.array([0.0, 50, 1e9])).tolist() == [0, 1, 2e7]


@given(stage_lists, st.floats(0, 1))
def test_the_time_of_an_amount_is_when_the_integral_reaches_it(stage_list: list[Stage], share: float) -> None:
    stages = Stages(tuple(stage_list))
    amount = stages.amount * share
    (time_s,) = stages.time_of(np.array([amount]))
    if share == 1 or math.isinf(time_s):
        assert amount == pytest.approx(stages.amount)
    else:
        assert stages.amount_until(time_s) == pytest.approx(amount, rel=1e-9, abs=1e-5)


@given(stage_lists)
def test_the_text_of_stages_reads_as_the_same_stages(stage_list: list[Stage]) -> None:
    stages = Stages(tuple(stage_list))
    assert parse_stages(format_stages(stages)) == stages


def test_a_sine_begins_in_the_middle_and_swings_between_its_values() -> None:
    stages = parse_stages("10m@sine(200..800,2m),1m@7")
    assert [stages.value_at(time_s) for time_s in (0, 30, 60, 90, 120, 599.999, 600)] == pytest.approx(
        [500, 800, 500, 200, 500, 500, 7], abs=0.1
    )
    assert (stages.highest, stages.amount) == (800, 300_420)
    # The integral of a half-wave is 1/pi of what a rectangle of its height and period has.
    assert stages.amount_until(60) == pytest.approx(60 * 500 + 300 * 120 / math.pi)
    falling = parse_stages("1m@sine(800..200,2m)")
    assert [falling.value_at(time_s) for time_s in (0, 30)] == pytest.approx([500, 200])


@given(st.floats(0, 3000), st.floats(0, 3000), st.floats(0.1, 500), st.integers(0, 2**31))
def test_later_amounts_of_a_sine_have_later_times(first: float, last: float, period_s: float, seed: int) -> None:
    stages = Stages((Stage(1000.0, first + 0.001, last, period_s),))
    amounts = np.sort(np.random.default_rng(seed).uniform(0, stages.amount, 300))
    times_s = stages.time_of(amounts)
    assert np.all(np.diff(times_s) >= 0)
    reached = [stages.amount_until(time_s) for time_s in times_s]
    assert reached == pytest.approx(amounts, rel=1e-9, abs=1e-4)


def test_arrivals_follow_a_sine() -> None:
    schedule = Schedule(ArrivalProcess.POISSON, parse_stages("60s@sine(0..2000,20s)"), seed=1)
    offsets_s = schedule.between(0, 60 * 10**9).offsets_ns / 1e9
    assert offsets_s.size == pytest.approx(60_000, rel=0.01)
    # A quarter of a period up to the top, and the one up to the bottom.
    top = np.count_nonzero((offsets_s % 20 >= 2.5) & (offsets_s % 20 < 7.5))
    bottom = np.count_nonzero((offsets_s % 20 >= 12.5) & (offsets_s % 20 < 17.5))
    # The mean of sin over the middle half of a half-wave is 2 sqrt(2) / pi.
    assert (top, bottom) == pytest.approx((15_000 * (1 + 0.9003), 15_000 * (1 - 0.9003)), rel=0.03)


def test_the_outline_has_the_ends_of_each_stage_and_goes_along_a_sine() -> None:
    assert parse_stages("10s@5,10s->9").outline() == [(0, 5), (10, 5), (10, 5), (20, 9)]
    assert parse_stages("10s@5,10s->9").outline(15) == [(0, 5), (10, 5), (10, 5), (15, 7)]
    wave = parse_stages("10s@sine(0..10,5s)").outline()
    assert len(wave) == 49
    assert (min(value for _, value in wave), max(value for _, value in wave)) == pytest.approx((0, 10), abs=1e-9)
    assert len(parse_stages("500h@sine(0..10,1s)").outline()) == 601
