"""Objectives on the quality of predictions."""

from __future__ import annotations

import math
from typing import Any

import pytest

from inference_swarm.errors import SettingProblem
from inference_swarm.judge.evaluate import Evidence, ObjectiveOutcome, evaluate
from inference_swarm.judge.objectives import parse_objective
from inference_swarm.judge.verdict import RunFacts, Status, judge
from inference_swarm.measure.counters import RequestCounters


def counters_of(*pairs: tuple[Any, Any]) -> RequestCounters:
    counters = RequestCounters(succeeded=len(pairs))
    answers = counters.count_answers()
    answers.served.add_pairs(pairs[::2])
    answers.late.add_pairs(pairs[1::2])
    return counters


CLASSES = counters_of((1, 0.9), (0, 0.2), (1, 0.4), (0, 0.1))
NUMBERS = counters_of((1.5, 3.5), (2.0, 2.0))


@pytest.mark.parametrize(
    ("text", "counters", "outcome", "measured"),
    [
        ("accuracy>0.7", CLASSES, "pass", 0.75),
        ("accuracy>=75%", CLASSES, "pass", 0.75),
        ("accuracy>0.75", CLASSES, "fail", 0.75),
        ("auc>=1", CLASSES, "pass", 1.0),
        ("log_loss<0.4", CLASSES, "pass", -(math.log(0.9) + math.log(0.8) + math.log(0.4) + math.log(0.9)) / 4),
        ("rmse<1.42", NUMBERS, "pass", math.sqrt(2)),
        ("rmse<1.41", NUMBERS, "fail", math.sqrt(2)),
        ("mae<=1", NUMBERS, "pass", 1.0),
        ("accuracy>0.5", NUMBERS, "incomplete", math.nan),
        ("accuracy>0.5", RequestCounters(succeeded=5), "incomplete", math.nan),
    ],
)
def test_figures_are_judged(text: str, counters: RequestCounters, outcome: str, measured: float) -> None:
    result = evaluate(parse_objective(text), {"POST /": counters}, Evidence(1.0))
    assert result.outcome == outcome
    assert result.measured == pytest.approx(measured, nan_ok=True)


def test_a_missed_quality_is_a_missed_objective_with_its_exit_code() -> None:
    verdict = judge({"POST /": CLASSES}, [parse_objective("accuracy{POST /}>0.9")], RunFacts(1.0))
    assert (verdict.status, int(verdict.exit_code)) == (Status.OBJECTIVE_MISSED, 3)
    assert verdict.reasons == ("accuracy{POST /}>0.9: fail, measured 0.75",)


def test_without_a_success_nothing_passes() -> None:
    counters = counters_of((1, 1), (0, 0))
    counters.succeeded = 0
    assert (
        evaluate(parse_objective("accuracy>0.5"), {"a": counters}, Evidence(1.0)).outcome is ObjectiveOutcome.INCOMPLETE
    )


@pytest.mark.parametrize(
    "text", ["accuracy>93", "accuracy>0.9/s", "rmse<4ms", "rmse<4%", "service.accuracy>0.5", "acuracy>0.5"]
)
def test_bounds_of_another_kind_are_refused(text: str) -> None:
    with pytest.raises(SettingProblem):
        parse_objective(text)
