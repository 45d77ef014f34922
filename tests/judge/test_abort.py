"""`--abort-when`: what is read, and when a run is hopeless."""

from __future__ import annotations

import pytest

from inference_swarm.errors import SettingProblem
from inference_swarm.judge.abort import abort_reason, parse_abort_condition, parse_abort_conditions
from inference_swarm.measure.seconds import SecondCounts, SecondSeries


def series(*rows: tuple[int, int, int]) -> SecondSeries:
    """(succeeded, failed, unserved) second by second."""
    made = SecondSeries()
    made.add(SecondCounts(second, *row) for second, row in enumerate(rows))
    return made


def reason(text: str, seconds: SecondSeries, until_s: float, start_s: float = 0.0) -> str:
    return abort_reason(parse_abort_conditions(text)[0], seconds, start_s, until_s)


@pytest.mark.parametrize(
    ("text", "metric", "bound", "duration_s"),
    [
        ("error_rate>50% for 10s", "error_rate", 0.5, 10),
        (" error_rate >= 0.2 for  1m30s ", "error_rate", 0.2, 90),
        ("goodput<100 for 60", "goodput", 100, 60),
        ("rate<5/s for 2s", "rate", 5, 2),
    ],
)
def test_a_condition_is_a_bound_and_a_time(text: str, metric: str, bound: float, duration_s: float) -> None:
    read = parse_abort_condition(text)
    assert (read.bound.metric, read.bound.bound, read.duration_s) == (metric, bound, duration_s)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("error_rate>50%", "it does not say for how long"),
        ("error_rate>50% for ever", "'ever' is not a duration"),
        ("error_rate>50% for 0.5s", "0.5s is too short"),
        ("p99>1s for 10s", "'p99>1s' cannot be followed from second to second"),
        ("error_rate{/x}>50% for 10s", "cannot be followed from second to second"),
        ("error>50% for 10s", "'error' is not a metric"),
    ],
)
def test_what_is_wrong_with_a_condition_is_said(text: str, found: str) -> None:
    with pytest.raises(SettingProblem, match="--abort-when") as raised:
        parse_abort_condition(text)
    assert found in raised.value.found


def test_all_conditions_of_a_text_are_read_and_all_problems_reported() -> None:
    conditions, problems = parse_abort_conditions("error_rate>50% for 10s; rate<1 for 5s; x; y")
    assert [condition.text for condition in conditions] == ["error_rate>50% for 10s", "rate<1 for 5s"]
    assert len(problems) == 2


def test_a_server_that_dies_in_mid_run_ends_it_when_it_has_been_dead_for_so_long() -> None:
    rows = [(100, 0, 0)] * 20 + [(0, 80, 20)] * 10
    assert reason("error_rate>90% for 5s", series(*rows[:24]), 24) == ""
    assert reason("error_rate>90% for 5s", series(*rows[:25]), 25) == (
        "error_rate>90% for 5s: error_rate was 100 % from 20 s to 25 s (0 requests succeeded, 500 did not)"
    )


def test_what_was_abandoned_or_dropped_counts_as_not_succeeded() -> None:
    assert "error_rate was 60 %" in reason("error_rate>50% for 3s", series(*[(40, 0, 60)] * 3), 3)


def test_only_what_every_worker_has_reported_is_judged() -> None:
    rows = [(100, 0, 0)] * 5 + [(0, 50, 0)] * 5
    assert reason("error_rate>90% for 5s", series(*rows), 9.9) == ""
    assert reason("error_rate>90% for 5s", series(*rows), 10.0) != ""


def test_a_run_that_has_not_lasted_so_long_is_not_ended() -> None:
    assert reason("error_rate>50% for 10s", series(*[(0, 9, 0)] * 9), 9) == ""
    assert reason("goodput<100 for 10s", series(*[(1, 0, 0)] * 12), 12, start_s=5.0) == ""


def test_a_server_that_never_responds_is_a_matter_of_goodput() -> None:
    assert reason("error_rate>50% for 10s", series(), 30) == ""
    assert "goodput was 0.0/s from 20 s to 30 s" in reason("goodput<1 for 10s", series(), 30)


def test_the_first_condition_that_is_met_is_the_reason() -> None:
    rows = [(10, 90, 0)] * 10
    assert reason("rate<1 for 2s; goodput<20 for 5s; error_rate>1% for 2s", series(*rows), 10).startswith("goodput<20")
