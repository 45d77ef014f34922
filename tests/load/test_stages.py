from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_swarm.errors import SettingProblem
from inference_swarm.load.stages import Stage, Stages, format_stages, parse_duration_s, parse_stages

stage_lists = st.lists(
    st.builds(Stage, st.integers(1, 500).map(float), st.integers(0, 3000).map(float), st.integers(0, 3000).map(float)),
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
    ],
)
def test_stages_are_read(text: str, stages: list[tuple[float, float, float]]) -> None:
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
