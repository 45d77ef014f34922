from __future__ import annotations

import math

import numpy as np
import pytest

from inference_swarm.errors import ExitCode
from inference_swarm.judge.objectives import parse_objective
from inference_swarm.judge.verdict import Outcome, Verdict, judge, judge_totals
from inference_swarm.measure.histogram import Histogram
from inference_swarm.measure.snapshot import RequestTally, Snapshot
from inference_swarm.measure.totals import SwarmTotals


def times(count: int, offset_us: int = 0) -> Histogram:
    """1, 2, 3 … µs, so that p50 of 1,000 is 500 µs."""
    histogram = Histogram()
    histogram.record_ns((np.arange(1, count + 1) + offset_us) * 1000)
    return histogram


def tally(count: int, *, failed: int = 0, dropped: int = 0) -> RequestTally:
    failures = {"status": failed} if failed else {}
    return RequestTally(
        count, count - failed, failures, dropped=dropped, latency=times(count, 1000), service=times(count)
    )


def verdict(text: str, names: dict[str, RequestTally], duration_s: float = 10) -> Verdict:
    return judge(names, duration_s, [parse_objective(text)])


@pytest.mark.parametrize(
    ("text", "outcome", "measured"),
    [
        ("p99<1.99ms", "fail", 1990),
        ("p99<=1.99ms", "pass", 1990),
        ("p99>1ms", "pass", 1990),
        ("service.p99<1ms", "pass", 990),
        ("p50<1.6ms", "pass", 1500),
        ("mean<1.6ms", "pass", 1500.5),
        ("service.max<=1ms", "pass", 1000),
        ("max<2ms", "fail", 2000),
        ("p99{a}<2ms", "pass", 1990),
        ("error_rate<1%", "fail", 0.01),
        ("error_rate<=1%", "pass", 0.01),
        ("rate>=100", "pass", 100),
        ("goodput>=100", "fail", 99),
    ],
)
def test_an_objective_is_judged_on_its_metric(text: str, outcome: str, measured: float) -> None:
    found = verdict(text, {"a": tally(1000, failed=10)})
    assert (found.outcome, found.results[0].outcome) == (outcome, outcome)
    assert found.results[0].measured == pytest.approx(measured)


def test_all_names_are_merged_unless_one_is_asked_for() -> None:
    names = {"a": tally(1000), "b": tally(1000, failed=1000)}
    assert verdict("error_rate<50%", names).results[0].measured == 0.5
    assert verdict("error_rate{a}<50%", names).results[0].measured == 0


@pytest.mark.parametrize("text", ["p99<1s", "mean<1s", "max>0us", "error_rate<=100%", "rate>=0", "goodput>=0"])
def test_a_metric_without_samples_never_passes(text: str) -> None:
    for names in ({}, {"a": RequestTally()}):
        found = verdict(text, names)
        assert found.outcome is Outcome.INCOMPLETE
        assert math.isnan(found.results[0].measured)
        assert found.results[0].note in ("no samples", "no request ended")


def test_a_name_that_was_never_requested_is_incomplete_and_names_the_others() -> None:
    (result,) = verdict("p99{c}<1s", {"b": tally(1000), "a": tally(5)}).results
    assert result.outcome is Outcome.INCOMPLETE
    assert result.note == "no request has the name 'c'; names of this run: a, b"


@pytest.mark.parametrize(("count", "outcome"), [(661, "incomplete"), (662, "pass")])
def test_a_percentile_with_too_few_samples_says_how_many_it_needs(count: int, outcome: str) -> None:
    (result,) = verdict("p99<1s", {"a": tally(count)}).results
    assert (result.outcome, result.samples, result.samples_needed) == (outcome, count, 662)
    assert result.note == ("" if outcome == "pass" else "661 samples; p99 needs 662 to mean something")


def test_fast_failures_alone_are_no_pass() -> None:
    (result,) = verdict("p99<1s", {"a": tally(1000, failed=1000)}).results
    assert result.outcome is Outcome.INCOMPLETE
    assert "no request succeeded" in result.note


def test_failures_that_reach_into_the_percentile_are_mentioned() -> None:
    assert verdict("p99<1s", {"a": tally(1000, failed=20)}).results[0].note == (
        "2 % of the requests failed; their times are in it"
    )
    assert verdict("p99<1s", {"a": tally(1000, failed=10)}).results[0].note == ""


@pytest.mark.parametrize(
    ("text", "dropped", "outcome", "measured"),
    [
        ("p99<1s", 0, "pass", 1990),
        ("p99<1s", 5, "pass", 1995),  # rank 995 of 1,005 wanted
        ("p99<1s", 11, "fail", math.inf),  # rank 1,001 of 1,011 wanted never got an answer
        ("max<1s", 1, "fail", math.inf),
        ("service.p99<1s", 500, "pass", 990),
        ("mean<1s", 500, "pass", 1500.5),
        ("p99>1us", 500, "pass", 1990),
    ],
)
def test_dropped_arrivals_count_as_slower_than_any_bound(
    text: str, dropped: int, outcome: str, measured: float
) -> None:
    (result,) = verdict(text, {"a": tally(1000, dropped=dropped)}).results
    assert result.outcome == Outcome(outcome)
    assert result.measured == pytest.approx(measured)


@pytest.mark.parametrize(
    ("texts", "owed", "outcome", "exit_code"),
    [
        ([], [], "pass", ExitCode.PASSED),
        (["p99<1s", "rate>1"], [], "pass", ExitCode.PASSED),
        (["p99<1s", "rate>1000"], [], "fail", ExitCode.OBJECTIVE_MISSED),
        (["p99<1s", "p99.99<1s"], [], "incomplete", ExitCode.INCOMPLETE),
        (["rate>1000", "p99.99<1s"], [], "fail", ExitCode.OBJECTIVE_MISSED),
        (["p99<1s"], ["worker w1: never reported"], "incomplete", ExitCode.INCOMPLETE),
        (["rate>1000"], ["worker w1: never reported"], "fail", ExitCode.OBJECTIVE_MISSED),
        ([], ["worker w1: never reported"], "incomplete", ExitCode.INCOMPLETE),
    ],
)
def test_the_verdict_and_exit_code_of_a_run(
    texts: list[str], owed: list[str], outcome: str, exit_code: ExitCode
) -> None:
    found = judge({"a": tally(1000)}, 10, [parse_objective(text) for text in texts], incomplete_because=owed)
    assert (found.outcome, found.exit_code, found.reasons) == (outcome, exit_code, tuple(owed))


def test_totals_are_judged_with_what_their_workers_owe() -> None:
    totals = SwarmTotals("run")
    assert judge_totals(totals, []).reasons == ("no worker reported",)
    totals.apply(Snapshot("run", "w1", 0, 0.0, 10.0, {"a": tally(1000)}))
    objectives = [parse_objective("rate>=100")]
    assert judge_totals(totals, objectives).outcome is Outcome.INCOMPLETE
    assert judge_totals(totals, objectives).reasons == ("worker w1: no final report (last one ends at 10.0 s)",)
    totals.apply(Snapshot("run", "w1", 1, 10.0, 10.0, is_final=True))
    assert judge_totals(totals, objectives).outcome is Outcome.PASSED


def test_a_result_is_one_sentence() -> None:
    assert verdict("p99<1s", {"a": tally(1000)}).results[0].sentence == "p99<1s: pass, measured 1.99 ms"
    assert verdict("p99<1s", {}).results[0].sentence == "p99<1s: incomplete, measured nothing (no samples)"
