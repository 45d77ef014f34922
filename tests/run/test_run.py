"""The record of a run: the time in which it counts, and what makes its verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
from sample_runs import settings_with

from inference_swarm.data.locate import Source
from inference_swarm.data.progress import OnceNumbers
from inference_swarm.export.summary import build_summary, record_of
from inference_swarm.export.terminal import other_counts
from inference_swarm.judge.verdict import Status
from inference_swarm.measure.counters import FailureRecord, RequestCounters
from inference_swarm.measure.snapshot import whole_snapshot
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.run.course import RunCourse, Stop, StopCause
from inference_swarm.run.plan import RunPlan, load_of, objectives_of
from inference_swarm.run.run import DataRecord, Run
from inference_swarm.transport.target import target_of


def run_of(counters: RequestCounters | None, ended_s: float, *, is_final: bool = True, **settings: object) -> Run:
    """A run of one worker, or none, whose load has ended after `ended_s`."""
    chosen = settings_with(**settings)
    source, objectives = Source("rows.parquet"), tuple(objectives_of(chosen))
    plan = RunPlan(chosen, {}, target_of(chosen), source, objectives, load_of(chosen))
    totals = SwarmTotals("run")
    if counters is not None:
        totals.apply(whole_snapshot("run", "w", 0, 0.0, ended_s, {"x": counters}, is_final=is_final))
    course = RunCourse("run", plan.load, totals, began_s=0.0)
    run = Run(plan, DataRecord("rows.parquet", 300, 5, "f00d"), course, totals, Path("r"))
    run.frozen_s = ended_s
    return run


def test_the_rate_of_an_unfinished_order_once_is_that_of_the_time_in_which_it_sent() -> None:
    counters = RequestCounters(1248, connects=1)
    counters.note_span(0.5, 0.6)
    run = run_of(counters, 15.0, row_order="once", users=1)
    run.course.once = OnceNumbers(planned=5000, sent=1248, maybe_sent=0, never_sent=3752, possible_duplicates=2)
    summary = build_summary(record_of(run))
    assert summary["measured_s"] == pytest.approx(0.1)
    assert summary["rate_rps"] == pytest.approx(12_480)
    assert (summary["verdict"], summary["exit_code"]) == ("incomplete", 4)
    assert "3,752 rows were never sent" in summary["reasons"]
    assert other_counts(summary) == {"never sent": "3,752", "possible duplicates": "2"}


def test_what_ended_after_the_load_is_in_no_rate() -> None:
    counters = RequestCounters(4, succeeded_after=1, connects=4)
    assert build_summary(record_of(run_of(counters, 3.0)))["rate_rps"] == 1


def test_a_run_that_was_told_to_end_early_is_interrupted_although_its_objectives_are_met() -> None:
    counters = RequestCounters(1000, connects=1)
    run = run_of(counters, 7.0, slo="error_rate<1%", duration_s=40)
    run.course.stop = Stop(StopCause.SIGNAL, 7.0)
    summary = build_summary(record_of(run))
    assert [result["outcome"] for result in summary["objectives"]] == ["pass"]
    assert (summary["verdict"], summary["exit_code"]) == ("interrupted", 4)


def test_a_run_is_judged_with_the_reports_that_are_missing() -> None:
    assert run_of(None, 10.0).verdict().reasons == ("no worker took part", "no request was sent")
    run = run_of(RequestCounters(1000, connects=1), 10.0, is_final=False, slo="rate>=100")
    assert run.verdict().status is Status.INCOMPLETE
    assert run.verdict().reasons == ("worker w: no final report (last one ends at 10.0 s)",)
    run.totals.apply(whole_snapshot("run", "w", 1, 10.0, 10.0, {}, is_final=True))
    assert run.verdict().status is Status.PASSED


def test_a_server_that_died_after_the_warm_up_was_reachable() -> None:
    run = run_of(RequestCounters(1000, connects=1), 10.0)
    run.totals.start_epoch(10.0)
    run.totals.names["x"] = refused = RequestCounters()
    refused.count_failure("connect: refused", FailureRecord("connect", 50))
    assert run.verdict().status is Status.REQUESTS_FAILED
    run.totals.left_out.clear()
    assert run.verdict().status is Status.UNREACHABLE
