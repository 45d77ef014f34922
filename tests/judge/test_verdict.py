"""The table of docs/measuring.md: which of several reasons is the verdict, and that no data is no success."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.errors import ExitCode
from inference_swarm.judge.evaluate import ObjectiveOutcome
from inference_swarm.judge.objectives import Objective, parse_objective
from inference_swarm.judge.verdict import GENERATOR_BOUND_WORDS, RunFacts, Status, Tone, Verdict, judge
from inference_swarm.measure.answers import AnswerCounters
from inference_swarm.measure.counters import FailureRecord, RequestCounters
from inference_swarm.measure.snapshot import OtherCounts

MS = 1_000_000
FACTS = RunFacts(10.0)
LOST = replace(FACTS, incomplete_because=("worker a: never reported",))
INTERRUPTED = replace(FACTS, interrupted_because="the master was asked to end after 8 s of 60")


def counters(
    succeeded: int = 10_000, failed: int = 0, connects: int = 10, kind: str = "status", **counted: int
) -> RequestCounters:
    made = RequestCounters(succeeded, connects=connects, **counted)
    made.latency.record_ns(np.full(succeeded, 5 * MS))
    made.service.record_ns(np.full(succeeded, 5 * MS))
    if failed:
        made.count_failure(f"{kind}: x", FailureRecord(kind, failed))
    return made


def with_others(requests: int = 0, failures: int = 0, exceptions: int = 0) -> RunFacts:
    return replace(FACTS, others=OtherCounts(requests, failures, exceptions))


def verdict(given_counters: RequestCounters, slo: str = "", facts: RunFacts = FACTS) -> Verdict:
    return judge({"/x": given_counters}, [parse_objective(text) for text in slo.split(";") if text], facts)


def looked_at(requests: int, unreadable: int, **counted: Any) -> RequestCounters:
    made = counters(**counted)
    made.answers = AnswerCounters(requests=requests, rows=requests, unreadable=unreadable)
    return made


@pytest.mark.parametrize(
    ("given_counters", "status", "reason"),
    [
        (looked_at(100, 100), Status.INCOMPLETE, "100 responses were looked at, and none held a prediction"),
        (looked_at(100, 99), Status.PASSED, ""),
        (looked_at(0, 0), Status.PASSED, ""),
        (looked_at(100, 100, failed=100, kind="answer"), Status.REQUESTS_FAILED, "100 of 10,100 requests failed"),
        (looked_at(100, 100, succeeded=0, failed=100), Status.REQUESTS_FAILED, "no request succeeded"),
    ],
)
def test_answers_that_were_to_be_looked_at_and_that_nobody_gave_are_no_success(
    given_counters: RequestCounters, status: Status, reason: str
) -> None:
    found = verdict(given_counters)
    assert found.status is status
    assert (found.reasons[0] if found.reasons else "").startswith(reason)


@pytest.mark.parametrize(
    ("given_counters", "slo", "facts", "status"),
    [
        (counters(), "", FACTS, Status.PASSED),
        (counters(), "p99<6ms;rate>1", FACTS, Status.PASSED),
        (counters(failed=1), "", FACTS, Status.REQUESTS_FAILED),
        (counters(failed=1), "p99<6ms", FACTS, Status.REQUESTS_FAILED),
        (counters(failed=1), "error_rate<1%", FACTS, Status.PASSED),
        (counters(failed=1), "error_rate{/x}<1%", FACTS, Status.REQUESTS_FAILED),
        (counters(failed=5000), "error_rate<1%", FACTS, Status.OBJECTIVE_MISSED),
        (counters(), "p99<4ms", FACTS, Status.OBJECTIVE_MISSED),
        (counters(), "p99<4ms", LOST, Status.OBJECTIVE_MISSED),
        (counters(), "p99<6ms;rate>10000", FACTS, Status.OBJECTIVE_MISSED),
        (counters(), "p99<6ms", LOST, Status.INCOMPLETE),
        (counters(failed=1), "", LOST, Status.INCOMPLETE),
        (counters(50), "p99<6ms", FACTS, Status.INCOMPLETE),
        (counters(50), "p99<6ms;rate>10000", FACTS, Status.OBJECTIVE_MISSED),
        # requests of other user classes, and what users raise: no objective judges them
        (counters(), "", with_others(10), Status.PASSED),
        (counters(), "", with_others(10, failures=1), Status.REQUESTS_FAILED),
        (counters(), "error_rate<=100%", with_others(10, failures=10), Status.REQUESTS_FAILED),
        (counters(), "error_rate<=100%", with_others(exceptions=1), Status.REQUESTS_FAILED),
        (counters(), "p99<4ms", with_others(10, failures=1), Status.OBJECTIVE_MISSED),
        (RequestCounters(), "", with_others(10), Status.NOTHING_SENT),
        # unreachable
        (counters(0, 50, 0, "connect"), "p99<6ms", LOST, Status.UNREACHABLE),
        (counters(0, 50, 0, "connect"), "error_rate<50%", FACTS, Status.UNREACHABLE),
        (counters(0, 0, 0, abandoned=4), "", FACTS, Status.UNREACHABLE),
        (counters(0, 50, 0, "connect"), "", replace(FACTS, has_connected=True), Status.REQUESTS_FAILED),
        (counters(0, 50, 3), "", FACTS, Status.REQUESTS_FAILED),
        # no data is no success
        (RequestCounters(), "", FACTS, Status.NOTHING_SENT),
        (RequestCounters(), "p99<1s", FACTS, Status.INCOMPLETE),
        (counters(0, 50, 3), "error_rate<=100%", FACTS, Status.INCOMPLETE),
        (counters(0, abandoned=10), "", FACTS, Status.REQUESTS_FAILED),
        (counters(0, abandoned=10), "error_rate<=100%", FACTS, Status.INCOMPLETE),
        (counters(0, 0, 0, dropped=10), "", FACTS, Status.REQUESTS_FAILED),
        # what has no outcome
        (counters(abandoned=1), "", FACTS, Status.REQUESTS_FAILED),
        (counters(abandoned=1), "p99<6ms", FACTS, Status.REQUESTS_FAILED),
        (counters(abandoned=1), "error_rate<1%", FACTS, Status.PASSED),
        (counters(abandoned=500), "error_rate<1%", FACTS, Status.OBJECTIVE_MISSED),
        (counters(dropped=1), "", FACTS, Status.REQUESTS_FAILED),
        (counters(dropped=1), "error_rate<50%", FACTS, Status.REQUESTS_FAILED),
        (counters(), "", replace(FACTS, unaccounted=1), Status.INCOMPLETE),
        (counters(), "error_rate<50%", replace(FACTS, unaccounted=1), Status.INCOMPLETE),
        (counters(), "error_rate<1%", replace(FACTS, unaccounted=5000), Status.OBJECTIVE_MISSED),
        (counters(), "", replace(FACTS, never_sent=1), Status.INCOMPLETE),
        (counters(), "error_rate<50%", replace(FACTS, never_sent=1), Status.INCOMPLETE),
        # cut short
        (counters(), "", INTERRUPTED, Status.INTERRUPTED),
        (counters(failed=1), "", INTERRUPTED, Status.INTERRUPTED),
        (counters(), "p99<6ms", replace(INTERRUPTED, incomplete_because=("x",)), Status.INTERRUPTED),
        (counters(), "p99<4ms", INTERRUPTED, Status.OBJECTIVE_MISSED),
        (counters(failed=9), "", replace(FACTS, aborted_because="error_rate"), Status.ABORTED),
        (counters(), "", replace(FACTS, refused_because="no such file"), Status.REFUSED),
        # the load generator
        (counters(), "", replace(FACTS, is_generator_bound=True), Status.GENERATOR_BOUND),
        (counters(), "rate>1", replace(FACTS, is_generator_bound=True), Status.GENERATOR_BOUND),
        (counters(failed=1), "", replace(FACTS, is_generator_bound=True), Status.REQUESTS_FAILED),
        (counters(), "rate>10000", replace(FACTS, is_generator_bound=True), Status.OBJECTIVE_MISSED),
    ],
)
def test_the_first_status_that_holds_is_the_verdicts(
    given_counters: RequestCounters, slo: str, facts: RunFacts, status: Status
) -> None:
    found = verdict(given_counters, slo, facts)
    assert found.status is status
    assert bool(found.reasons) is (status is not Status.PASSED)


@pytest.mark.parametrize(
    ("status", "label", "code", "tone"),
    [
        (Status.PASSED, "passed", 0, Tone.GOOD),
        (Status.GENERATOR_BOUND, "generator-bound", 0, Tone.WARN),
        (Status.REQUESTS_FAILED, "requests failed", 1, Tone.BAD),
        (Status.REFUSED, "refused", 2, Tone.BAD),
        (Status.OBJECTIVE_MISSED, "objective missed", 3, Tone.BAD),
        (Status.ABORTED, "aborted", 3, Tone.BAD),
        (Status.INCOMPLETE, "incomplete", 4, Tone.WARN),
        (Status.INTERRUPTED, "interrupted", 4, Tone.WARN),
        (Status.NOTHING_SENT, "nothing sent", 4, Tone.WARN),
        (Status.UNREACHABLE, "target unreachable", 5, Tone.BAD),
    ],
)
def test_each_status_has_its_label_exit_code_and_colour(status: Status, label: str, code: int, tone: Tone) -> None:
    assert (status.label, status.exit_code, status.tone) == (label, ExitCode(code), tone)


def test_the_reasons_are_sentences_and_the_verdicts_own_comes_first() -> None:
    def reasons(given_counters: RequestCounters, slo: str = "", facts: RunFacts = FACTS) -> tuple[str, ...]:
        return verdict(given_counters, slo, facts).reasons

    assert reasons(counters(failed=25)) == ("25 of 10,025 requests failed",)
    assert reasons(counters(0, 25)) == ("no request succeeded", "25 of 25 requests failed")
    assert reasons(counters(0, 7, 0, "connect", abandoned=2))[0] == (
        "none of 9 requests got a connection (connect 7, abandoned 2)"
    )
    assert reasons(counters(50), "p99<6ms") == (
        "p99<6ms: incomplete, measured 5 ms (50 samples; p99 needs 662 to mean something)",
    )
    assert reasons(counters(abandoned=1, dropped=2), "p99<4ms", replace(LOST, never_sent=3)) == (
        "p99<4ms: fail, measured 5 ms (6 requests that did not succeed count as slowest)",
        "worker a: never reported",
        "3 rows were never sent",
        "1 request was abandoned: sent, and without a whole response when the run ended",
        "2 arrivals were dropped: no user was free to send them in time",
    )
    assert reasons(RequestCounters()) == ("no request was sent",)
    assert reasons(RequestCounters(), "", with_others(2)) == (
        "no request was sent by an InferenceUser; 2 requests were sent by users of other classes",
    )
    assert reasons(counters(), "", with_others(2000, 30, 1)) == (
        "30 of 2,000 requests of other user classes failed: they are in Locust's table only",
        "1 exception was raised by users: Locust's table has it",
    )
    assert reasons(counters(), "", replace(FACTS, is_generator_bound=True)) == (GENERATOR_BOUND_WORDS,)


def test_where_nothing_succeeded_the_generator_is_no_reason() -> None:
    bound = replace(FACTS, is_generator_bound=True)
    assert GENERATOR_BOUND_WORDS not in judge({"a": counters(0, 50, 0, "connect")}, [], bound).reasons
    assert GENERATOR_BOUND_WORDS in judge({"a": counters(50, 50)}, [], bound).reasons


# what holds for any mix

OBJECTIVES = (
    "p50<4ms", "p50<6ms", "p99<6ms", "service.p90<6ms", "p50>1ms", "max<6ms", "max>1ms", "mean<6ms", "mean>1ms",
    "error_rate<1%", "error_rate<60%", "error_rate<=100%", "error_rate{/x}<60%", "rate>=10", "rate<=100", "rate<=2",
    "goodput>=10", "goodput<=100", "goodput[p50<6ms]>=10", "goodput[<6ms]>=10", "p50{/none}<1s",
)  # fmt: skip
counts = st.sampled_from([0, 0, 1, 2, 30, 70, 700, 2000])
mixes = st.builds(
    counters,
    succeeded=counts,
    failed=counts,
    connects=st.sampled_from([0, 5]),
    abandoned=counts,
    dropped=counts,
)
facts_of_runs = st.builds(
    RunFacts,
    measured_s=st.sampled_from([0.0, 10.0]),
    unaccounted=st.sampled_from([0, 0, 3]),
    never_sent=st.sampled_from([0, 0, 3]),
    is_open=st.booleans(),
    is_generator_bound=st.booleans(),
    has_connected=st.booleans(),
    refused_because=st.sampled_from(["", "", "", "no such file"]),
    aborted_because=st.sampled_from(["", "", "error_rate>50% for 10s"]),
    interrupted_because=st.sampled_from(["", "", "SIGTERM"]),
    incomplete_because=st.sampled_from([(), (), ("worker a: never reported",)]),
)
objectives_of_runs = st.lists(st.sampled_from(OBJECTIVES).map(parse_objective), max_size=3)


@settings(max_examples=300, deadline=None)
@given(mixes, objectives_of_runs, facts_of_runs)
def test_for_any_mix_a_run_that_passed_has_nothing_against_it(
    mix: RequestCounters, objectives: list[Objective], facts: RunFacts
) -> None:
    found = judge({"/x": mix}, objectives, facts)
    are_failures_judged = any(objective.is_on_all_failures for objective in objectives)
    is_flawless = (
        mix.succeeded > 0
        and not (mix.dropped or facts.unaccounted or facts.never_sent)
        and (are_failures_judged or not (mix.failures or mix.abandoned))
        and all(result.outcome is ObjectiveOutcome.PASSED for result in found.results)
        and not (facts.refused_because or facts.aborted_because)
        and not (facts.interrupted_because or facts.incomplete_because)
    )
    assert (found.exit_code is ExitCode.PASSED) is is_flawless
    assert found.is_passed is (is_flawless and not facts.is_generator_bound)
    assert bool(found.reasons) is not found.is_passed


@settings(max_examples=500, deadline=None)
@given(mixes, objectives_of_runs, facts_of_runs)
def test_for_any_mix_the_verdict_is_the_first_of_the_documented_table_that_holds(
    mix: RequestCounters, objectives: list[Objective], facts: RunFacts
) -> None:
    found = judge({"/x": mix}, objectives, facts)
    outcomes = {result.outcome for result in found.results}
    are_failures_judged = any(objective.is_on_all_failures for objective in objectives)
    is_asked = bool(mix.sent or mix.dropped or facts.unaccounted or facts.never_sent)
    table = {
        Status.REFUSED: bool(facts.refused_because),
        Status.UNREACHABLE: bool(mix.sent) and not (mix.succeeded or mix.connects or facts.has_connected),
        Status.ABORTED: bool(facts.aborted_because),
        Status.OBJECTIVE_MISSED: ObjectiveOutcome.FAILED in outcomes,
        Status.INTERRUPTED: bool(facts.interrupted_because),
        Status.INCOMPLETE: bool(facts.incomplete_because or facts.unaccounted or facts.never_sent)
        or ObjectiveOutcome.INCOMPLETE in outcomes,
        Status.REQUESTS_FAILED: (is_asked and not mix.succeeded)
        or bool(mix.dropped)
        or (bool(mix.failures or mix.abandoned) and not are_failures_judged),
        Status.NOTHING_SENT: not is_asked,
        Status.GENERATOR_BOUND: facts.is_generator_bound,
        Status.PASSED: True,
    }
    assert found.status is next(status for status, holds in table.items() if holds)
    because = [facts.refused_because, facts.aborted_because, facts.interrupted_because, *facts.incomplete_because]
    assert set(filter(None, because)) <= set(found.reasons)


@settings(max_examples=500, deadline=None)
@given(mixes, objectives_of_runs, facts_of_runs, counts, counts, counts, st.sampled_from([0, 2]))
def test_failures_drops_and_abandoned_requests_improve_nothing(
    mix: RequestCounters,
    objectives: list[Objective],
    facts: RunFacts,
    failed: int,
    abandoned: int,
    dropped: int,
    unaccounted: int,
) -> None:
    order = [ObjectiveOutcome.FAILED, ObjectiveOutcome.INCOMPLETE, ObjectiveOutcome.PASSED]
    before = judge({"/x": mix}, objectives, facts)
    worse = counters(0, failed, 0, abandoned=abandoned, dropped=dropped)
    worse.add(mix)
    more = replace(facts, unaccounted=facts.unaccounted + unaccounted)
    after = judge({"/x": worse}, objectives, more)
    for result, later in zip(before.results, after.results, strict=True):
        assert order.index(later.outcome) <= order.index(result.outcome)
        if later.measured == later.measured and result.measured == result.measured:
            is_better = later.measured < result.measured
            is_wanted = later.objective.is_upper_bound
            assert not is_better if is_wanted else later.measured <= result.measured
    assert after.status.rank <= before.status.rank
