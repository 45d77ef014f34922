from __future__ import annotations

import math

import numpy as np
import pytest

from inference_swarm.judge.evaluate import Evidence, InTime, ObjectiveOutcome, ObjectiveResult, evaluate
from inference_swarm.judge.objectives import parse_objective
from inference_swarm.measure.counters import FailureRecord, RequestCounters
from inference_swarm.measure.histogram import Histogram


def times(count: int, offset_us: int = 0) -> Histogram:
    """1, 2, 3 … µs, so that p50 of 1,000 is 500 µs."""
    histogram = Histogram()
    histogram.record_ns((np.arange(1, count + 1) + offset_us) * 1000)
    return histogram


def counters(succeeded: int, *, failed: int = 0, **counted: int) -> RequestCounters:
    made = RequestCounters(succeeded, latency=times(succeeded, 1000), service=times(succeeded), **counted)
    if failed:
        made.count_failure("status: 503", FailureRecord("status", failed))
        made.failed_latency.record_ns([1000] * failed)
    return made


def result(
    text: str, names: dict[str, RequestCounters] | RequestCounters, evidence: Evidence | None = None
) -> ObjectiveResult:
    named = names if isinstance(names, dict) else {"/invocation": names}
    return evaluate(parse_objective(text), named, evidence or Evidence(10.0))


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
        ("p99{/invocation}<2ms", "pass", 1990),
        ("error_rate<1%", "pass", 0),
        ("rate>=100", "pass", 100),
        ("rate<=99", "fail", 100),
        ("goodput>=100", "pass", 100),
        ("goodput[p99<2ms]>=100", "pass", 100),
        ("goodput[p99<1.5ms]>=1", "fail", 0),
        ("goodput[<1.25ms]>=25", "pass", 25),
        ("goodput[<1.25ms]>=26", "fail", 25),
    ],
)
def test_an_objective_is_judged_on_its_metric(text: str, outcome: str, measured: float) -> None:
    found = result(text, counters(1000))
    assert found.outcome == outcome
    assert found.measured == pytest.approx(measured)


@pytest.mark.parametrize(
    ("text", "outcome", "measured"),
    [
        ("error_rate<1%", "fail", 0.01),
        ("error_rate<=1%", "pass", 0.01),
        ("rate>=100", "fail", 99),
        ("rate>=99", "pass", 99),
        ("rate<=99", "fail", 100),
        ("goodput>=99", "pass", 99),
        ("p98<3ms", "pass", 1980),  # rank 980 of 1,000
        ("p99<3ms", "pass", 1990),  # rank 990 of 1,000, the slowest success
        ("p99.5<3s", "fail", math.inf),
        ("max<3s", "fail", math.inf),
        ("mean<3ms", "pass", 1495.5),
    ],
)
def test_ten_failures_of_a_thousand_are_slower_than_any_bound(text: str, outcome: str, measured: float) -> None:
    found = result(text, counters(990, failed=10))
    assert found.measured == pytest.approx(measured)
    assert found.outcome == outcome or found.samples < found.samples_needed


def test_fast_failures_do_not_improve_a_percentile() -> None:
    """60 % refused in 0.3 ms, 40 % served in 80 ms: half of all that was asked for was not served at all."""
    mixed = RequestCounters(400)
    mixed.latency.record_ns([80_000_000] * 400)
    mixed.count_failure("status: 503 Service Unavailable", FailureRecord("status", 600))
    mixed.failed_latency.record_ns([300_000] * 600)
    found = result("p50<50ms", mixed)
    assert (found.outcome, found.measured) == ("fail", math.inf)
    assert found.measured_text == "no response"
    assert found.note == "600 requests that did not succeed count as slowest"
    assert result("error_rate<70%", mixed).outcome == "pass"


@pytest.mark.parametrize("counted", ["abandoned", "dropped"])
def test_what_has_no_outcome_counts_like_a_failure(counted: str) -> None:
    lacking = counters(990, **{counted: 10})
    assert result("error_rate<1%", lacking).measured == 0.01
    assert result("max<1s", lacking).outcome == "fail"
    assert result("service.max<1s", lacking).outcome == "fail"
    assert result("rate>=100", lacking).outcome == "fail"


def test_what_is_in_no_counter_counts_like_a_failure() -> None:
    evidence = Evidence(10.0, unserved=10)
    assert result("error_rate<1%", counters(990), evidence).measured == 0.01
    assert result("error_rate{/invocation}<1%", counters(990), evidence).measured == 0.01
    assert result("max<1s", counters(990), evidence).outcome == "fail"
    two = {"a": counters(990), "b": counters(10)}
    assert result("error_rate{a}<1%", two, evidence).measured == 0


@pytest.mark.parametrize("text", ["p99<1s", "mean<1s", "max>0us", "error_rate<=100%", "rate>=0", "goodput>=0"])
def test_a_metric_without_samples_never_passes(text: str) -> None:
    for names in ({}, {"a": RequestCounters()}):
        found = result(text, names)
        assert found.outcome is ObjectiveOutcome.INCOMPLETE
        assert math.isnan(found.measured)
        assert found.note in ("no samples", "no request ended")


@pytest.mark.parametrize("name", ["/invocation", "POST /invocation", "POST  /invocation"])
def test_a_name_is_found_with_or_without_its_method(name: str) -> None:
    assert result(f"p99{{{name}}}<2ms", counters(1000)).outcome == "pass"


def test_a_name_that_was_never_requested_is_incomplete_and_the_others_are_named() -> None:
    found = result("p99{c}<1s", {"b": counters(1000), "a": counters(5)})
    assert found.outcome is ObjectiveOutcome.INCOMPLETE
    assert found.note == "no request has the name 'c'; names of this run: a, b"


@pytest.mark.parametrize(("count", "outcome"), [(661, "incomplete"), (662, "pass")])
def test_a_percentile_with_too_few_samples_says_how_many_it_needs(count: int, outcome: str) -> None:
    found = result("p99<1s", counters(count))
    assert (found.outcome, found.samples, found.samples_needed) == (outcome, count, 662)
    assert found.note == ("" if outcome == "pass" else "661 samples; p99 needs 662 to mean something")


def test_failures_do_not_make_up_for_samples() -> None:
    """Six failures more would otherwise turn `incomplete` into `pass`."""
    assert result("p99<1s", counters(656)).outcome == "incomplete"
    assert result("p99<1s", counters(656, failed=6)).outcome == "incomplete"
    assert result("p99<1s", counters(656, failed=600)).outcome == "fail"


def test_with_nothing_but_failures_enough_of_them_miss_a_percentile() -> None:
    assert result("p99<1s", counters(0, failed=1000)).outcome == "fail"
    assert result("p99<1s", counters(0, failed=5)).outcome == "incomplete"
    assert result("p99>1us", counters(0, failed=1000)).outcome == "fail"


@pytest.mark.parametrize("text", ["error_rate<=100%", "rate<=100", "goodput<=100", "goodput>=0", "max>0us", "mean>0us"])
def test_nothing_passes_without_a_success(text: str) -> None:
    assert result(text, counters(0, failed=50, abandoned=3)).outcome != "pass"


def test_a_lower_bound_takes_what_did_not_succeed_for_the_fastest() -> None:
    assert result("p50>1.4ms", counters(1000)).measured == pytest.approx(1500)
    assert result("p50>1.4ms", counters(1000, failed=500)).measured == pytest.approx(1250)
    assert result("p50>1us", counters(1000, failed=1001)).measured == 0


def test_what_ended_after_the_load_is_in_no_rate() -> None:
    after = counters(1000, succeeded_after=400)
    assert result("rate>=60", after).measured == 60
    assert result("goodput>=60", after).measured == 60
    assert result("rate<=60", after).measured == 60


def test_the_last_requests_of_an_open_load_may_end_after_it() -> None:
    """A thousand a second are wanted and served in 5 ms: five are in flight when the load ends."""
    is_open = Evidence(10.0, is_open=True)
    assert result("rate>=100", counters(1000, succeeded_after=5), is_open).outcome == "pass"
    assert result("rate>=100", counters(1000, succeeded_after=5)).outcome == "fail"
    assert result("rate>=100", counters(1000, succeeded_after=500), is_open).measured == 50.5
    assert result("rate<=99.5", counters(1000, succeeded_after=5), is_open).measured == 99.5


def test_a_stage_has_the_rate_of_what_ended_within_it() -> None:
    stage = Evidence(10.0, in_time=InTime(succeeded=500, ended=600))
    assert result("rate>=50", counters(1000), stage).measured == 50
    assert result("rate<=60", counters(1000), stage).measured == 60


def test_a_rate_that_the_load_generator_bounds_is_at_least_so_much() -> None:
    bound = Evidence(10.0, is_generator_bound=True)
    assert result("rate>=90", counters(1000), bound).sentence == "rate>=90: pass, measured at least 100.0/s"
    assert result("goodput>=190", counters(1000), bound).measured_text == "at least 100.0/s"
    assert result("rate<=190", counters(1000), bound).measured_text == "100.0/s"
    assert result("p99<1s", counters(1000), bound).measured_text == "1.99 ms"


def test_a_result_is_one_sentence() -> None:
    assert result("p99<1s", counters(1000)).sentence == "p99<1s: pass, measured 1.99 ms"
    assert result("p99<1s", {}).sentence == "p99<1s: incomplete, measured nothing (no samples)"
    assert result("goodput[p99<1ms]>=1", counters(1000)).sentence == (
        "goodput[p99<1ms]>=1: fail, measured 0.0/s (p99<1ms: fail, measured 1.99 ms)"
    )
