"""How much worse than a baseline a run may be, by the confidence of a comparison."""

from __future__ import annotations

import re

import numpy as np
import pytest

from inference_swarm.errors import SettingProblem
from inference_swarm.judge.compare import Batch, RunSample
from inference_swarm.judge.evaluate import ObjectiveOutcome, ObjectiveResult
from inference_swarm.judge.regression import judge_regressions, parse_limits
from inference_swarm.judge.verdict import Status, Verdict, with_results
from inference_swarm.measure.histogram import Histogram


def sample(seed: int, *, median_us: float = 1000, intervals: int = 20, per_interval: float = 2000) -> RunSample:
    generator = np.random.default_rng(seed)
    batches = []
    for _ in range(intervals):
        histogram = Histogram()
        count = int(generator.poisson(per_interval))
        histogram.record_ns((generator.lognormal(np.log(median_us * 1000), 0.3, count)).astype(np.int64))
        batches.append(Batch(histogram, count, 3.0))
    return RunSample.from_batches("base-run", batches)


def judged(limits: str, other: RunSample, baseline: RunSample | None = None) -> list[ObjectiveResult]:
    return list(judge_regressions(parse_limits(limits), baseline or sample(1), other))


@pytest.mark.parametrize(
    ("text", "metrics"),
    [
        ("p99:10%,rate:5%", [("p99", 0.1), ("rate", 0.05)]),
        ("p99.9 : 0.2\nmean:0%", [("p99.9", 0.2), ("mean", 0.0)]),
        ("p50:.5; p50:20%", [("p50", 0.2)]),
        ("", []),
    ],
)
def test_limits_are_metrics_and_shares(text: str, metrics: list[tuple[str, float]]) -> None:
    assert [(limit.metric, pytest.approx(limit.share)) for limit in parse_limits(text)] == metrics


@pytest.mark.parametrize("text", ["p99", "p99:", "p99=10%", "p0:10%", "p00.0:1%", "p100:1%", "errors:5%", "rate:100%"])
def test_what_is_no_limit_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SettingProblem, match="--max-regression: "):
        parse_limits(text)


def test_a_run_as_good_as_its_baseline_passes() -> None:
    results = judged("p50:5%,p99:10%,rate:5%", sample(2))
    assert [result.outcome for result in results] == [ObjectiveOutcome.PASSED] * 3
    assert results[0].objective.text == "p50 at most 5 % above base-run"
    assert results[2].objective.text == "rate at most 5 % below base-run"


def test_what_is_surely_worse_by_more_than_allowed_is_missed() -> None:
    slow = sample(2, median_us=1250, per_interval=1600)
    p50, allowed, rate = judged("p50:10%,p90:40%,rate:10%", slow)
    assert (p50.outcome, allowed.outcome, rate.outcome) == (
        ObjectiveOutcome.FAILED, ObjectiveOutcome.PASSED, ObjectiveOutcome.FAILED,
    )  # fmt: skip
    assert p50.measured == pytest.approx(1250, rel=0.02)
    assert p50.objective.bound == pytest.approx(1100, rel=0.02)
    assert re.search(r"baseline (1|0\.99\d|999|99\d).*, \+2[45].*; 99% interval \+2[0-5].* % to \+[23]", p50.note)
    assert rate.objective.is_upper_bound is False


def test_a_better_run_passes_any_limit() -> None:
    results = judged("p50:0%,p99:0%,rate:0%", sample(2, median_us=800, per_interval=2500))
    assert {result.outcome for result in results} == {ObjectiveOutcome.PASSED}


def test_a_difference_that_the_spread_explains_passes_and_says_so() -> None:
    (result,) = judged("p99:1%", sample(3, median_us=1045, per_interval=300), sample(1, per_interval=300))
    assert result.outcome is ObjectiveOutcome.PASSED
    assert result.measured > result.objective.bound
    assert "the spread within the runs explains it" in result.note


def test_a_run_too_short_to_compare_is_incomplete_and_not_passed() -> None:
    (result,) = judged("p50:10%", sample(2, intervals=5))
    assert result.outcome is ObjectiveOutcome.INCOMPLETE
    assert "too short to say" in result.note


def test_of_a_hundred_pairs_of_equal_runs_at_most_one_misses_any_limit() -> None:
    missed = [
        any(
            result.outcome is ObjectiveOutcome.FAILED
            for result in judged("p50:0%,p99:0%,rate:0%", sample(1000 + seed), sample(seed))
        )
        for seed in range(100)
    ]
    assert sum(missed) <= 1


def test_a_missed_limit_makes_the_verdict_worse_and_never_better() -> None:
    missed = judged("p50:10%", sample(2, median_us=1500))
    passed = judged("p50:10%", sample(2))
    worse = with_results(Verdict(Status.PASSED), missed)
    assert (worse.status, int(worse.exit_code)) == (Status.OBJECTIVE_MISSED, 3)
    assert worse.reasons[0].startswith("p50 at most 10 % above base-run: fail")
    interrupted = with_results(Verdict(Status.INTERRUPTED, (), ("SIGTERM",)), passed)
    assert (interrupted.status, interrupted.reasons) == (Status.INTERRUPTED, ("SIGTERM",))
    both = with_results(Verdict(Status.ABORTED, (), ("aborted",)), missed)
    assert (both.status, both.reasons[0]) == (Status.ABORTED, "aborted")
