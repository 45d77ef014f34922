"""A search while a run is on: reports of workers in, the next load out, and the answer in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sample_runs import settings_with

from inference_swarm.config.settings import Settings
from inference_swarm.data.locate import Source
from inference_swarm.export.capacity import capacity_lines, capacity_metrics
from inference_swarm.export.run_table import run_table_row
from inference_swarm.export.summary import build_summary, record_of
from inference_swarm.judge.capacity.answer import answer_words, capacity_verdict, servers_for
from inference_swarm.judge.capacity.compare import comparison_words, sure_bounds
from inference_swarm.judge.capacity.result import CapacityResult, read_result, result_of_summary, write_result
from inference_swarm.judge.capacity.search import Outcome
from inference_swarm.judge.verdict import Status
from inference_swarm.load.steps import NS_PER_S, LoadStep
from inference_swarm.measure.counters import FailureRecord, RequestCounters
from inference_swarm.measure.snapshot import Slice, Snapshot, WorkerHealth
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.run.capacity import CapacityCourse, NextLoad
from inference_swarm.run.course import Loss, RunCourse, Stop, StopCause
from inference_swarm.run.plan import RunPlan, load_of
from inference_swarm.run.run import DataRecord, Run
from inference_swarm.run.search_plan import resolve_search, search_plan_of
from inference_swarm.transport.target import target_of

SETTINGS = resolve_search(
    settings_with(find_capacity=True, slo="p99<50ms", rate_rps=100.0, confirm_s=3.0, step_max_s=4.0, users=1)
)


class Swarm:
    """Workers that report each second of a server that takes `latency_us` of the rate."""

    def __init__(self, *workers: str, settings: Settings = SETTINGS) -> None:
        plan = search_plan_of(settings)
        assert plan is not None
        self.course = CapacityCourse.begin(plan, settings)
        self.totals = SwarmTotals("run")
        self.run = RunCourse("run", load_of(SETTINGS), self.totals)
        self.workers = list(workers)
        for worker in workers:
            self.totals.expect(worker)
        self.sequences: dict[str, int] = {}
        self.now_s = 0.0
        self.loads: list[NextLoad] = []
        self.cpu_percent, self.lag_ms = 20.0, 1.0

    def second(self, latency_us: float | None = None) -> None:
        """A second passes, and everybody reports it."""
        self.now_s += 1.0
        step = self.run.steps[-1]
        is_judged = self.now_s * NS_PER_S > step.settled_ns
        stage = 2 * len(self.run.steps) - (0 if is_judged else 1)
        each = round(step.rate_rps / len(self.workers))
        for worker in self.workers:
            counters = RequestCounters(each)
            us = latency_us if latency_us is not None else (2000.0 if step.rate_rps <= 400 else 80_000.0)
            counters.latency.record_ns([round(us * 1000)] * each)
            counters.service.record_ns([round(us * 1000)] * each)
            part = Slice(self.now_s - 1, self.now_s, {"x": counters}, stage=stage)
            sequence = self.sequences.get(worker, 0)
            self.sequences[worker] = sequence + 1
            health = WorkerHealth(cpu_percent=self.cpu_percent, loop_lag_p99_ms=self.lag_ms)
            self.report(
                Snapshot("run", worker, sequence, self.now_s - 1, self.now_s, [part], in_flight=1, health=health)
            )

    def report(self, snapshot: Snapshot) -> None:
        self.totals.apply(snapshot)
        self.course.take(snapshot)
        following = self.course.look(self.run, self.totals)
        if following is not None:
            self.loads.append(following)
            from_ns = round(self.now_s * NS_PER_S)
            settled_ns = from_ns + round(following.settle_s * NS_PER_S)
            self.run.add_step(LoadStep(from_ns, settled_ns, following.rate_rps))

    def to_the_end(self) -> CapacityResult:
        while not self.course.is_over and self.now_s < 1000:
            self.second()
        return self.course.result()


def test_the_rate_is_raised_closed_in_on_and_confirmed_and_the_answer_says_what_it_rests_on() -> None:
    swarm = Swarm("a", "b")
    result = swarm.to_the_end()
    assert result.outcome is Outcome.FOUND
    assert result.load is not None
    assert 380 <= result.load <= 400
    assert result.high is not None
    assert 400 < result.high <= result.load * 1.05
    assert [round(load.rate_rps) for load in swarm.loads[:1]] == [300]
    words = answer_words(result)
    assert words.startswith(
        f"Holds {result.load:,.0f} requests/s at p99 < 50 ms (2 ms); at {result.high:,.0f}/s p99 was "
    )
    assert words.endswith(" ms. 2 workers, 20 % of their CPU.")
    assert capacity_verdict(result).status is Status.PASSED
    assert read_result(write_result(result)) == result
    document = capacity_metrics(result)
    assert document is not None
    assert document["missed_load"] == result.high
    lines = capacity_lines(document)
    assert lines[0].split()[:4] == ["step", "for", "load", "achieved"]
    assert len(lines) == 1 + sum(step.part != "drain" for step in result.steps)


def test_senders_follow_the_rate_and_are_never_fewer_than_before() -> None:
    swarm = Swarm("a")
    swarm.to_the_end()
    users = [load.users for load in swarm.loads]
    assert users[0] == 300 * 0.05 * 1.5 + 32 + 0.5  # 22.5 by Little's law, rounded up, and 32 to spare
    assert users == sorted(users)


def test_a_worker_that_is_lost_and_one_that_joins_begin_the_step_again_and_are_said() -> None:
    swarm = Swarm("a", "b")
    swarm.second()
    swarm.second()
    swarm.workers = ["a"]
    for _ in range(5):
        swarm.second()  # b is silent: nothing is known, so nothing is decided
    assert not swarm.loads
    swarm.run.losses["b"] = Loss("not heard of", 3)
    swarm.second()
    assert len(swarm.loads) == 1
    assert swarm.loads[0].rate_rps == 100
    swarm.workers = ["a", "c"]
    swarm.second()
    swarm.second()
    result = swarm.to_the_end()
    assert result.outcome is Outcome.FOUND
    assert result.notes == (
        "worker b is gone: the step at 100 was begun again",
        "worker c has joined: the step at 100 was begun again",
    )
    assert [step.is_discarded for step in result.steps[:3]] == [True, True, False]


def test_seconds_in_which_a_worker_was_late_are_left_out_of_a_step_and_of_its_numbers() -> None:
    swarm = Swarm("a", "b", settings=replace(SETTINGS, confirm_s=8.0, step_max_s=10.0))
    while not swarm.course.is_over and swarm.now_s < 1000:
        swarm.lag_ms = 60.0 if swarm.now_s % 10 == 4 else 1.0
        swarm.second(120_000.0 if swarm.lag_ms > 10 else None)
    result = swarm.course.result()
    assert result.outcome is Outcome.FOUND
    assert result.load == pytest.approx(400, rel=0.05)
    assert not result.is_at_least
    confirmed = result.answer
    assert confirmed is not None
    assert confirmed.left_out_s == 1.0
    slowest_us = confirmed.percentiles_us["p99_9"]
    assert slowest_us is not None
    assert slowest_us < 3000
    assert confirmed.measured[0].share == 0
    document = capacity_metrics(result)
    assert document is not None
    assert "1 s left out" in "\n".join(capacity_lines(document))


def test_a_generator_that_was_the_bottleneck_makes_the_answer_at_least() -> None:
    swarm = Swarm("a", "b")
    while not swarm.course.is_over and swarm.now_s < 1000:
        swarm.cpu_percent = 97.0 if swarm.run.steps[-1].rate_rps > 400 else 60.0
        swarm.second()
    result = swarm.course.result()
    assert result.is_at_least
    assert answer_words(result).startswith("Holds at least ")
    assert "The load generator was the bottleneck at " in answer_words(result)
    assert result.workers_needed is not None
    assert result.workers_needed >= 3
    verdict = capacity_verdict(result)
    assert (verdict.status, verdict.exit_code) == (Status.GENERATOR_BOUND, 0)
    assert capacity_verdict(replace(result, at_least_rps=10_000.0)).exit_code == 4


def test_a_generator_that_is_held_up_with_idle_cpu_does_not_lack_workers() -> None:
    swarm = Swarm("a")
    while not swarm.course.is_over and swarm.now_s < 1000:
        swarm.lag_ms = 80.0 if swarm.run.steps[-1].rate_rps > 400 else 1.0
        swarm.second()
    result = swarm.course.result()
    assert (result.is_at_least, result.workers_needed) == (True, None)
    assert "with 20 % of its CPU: a quota, or something else on its machine, holds it up." in answer_words(result)


def test_failures_count_as_beyond_every_bound() -> None:
    swarm = Swarm("a")
    for _ in range(4):
        swarm.second()
    counters = RequestCounters(50)
    counters.latency.record_ns([2_000_000] * 50)
    counters.count_failure("503", FailureRecord("status", 50))
    stage = 2 * len(swarm.run.steps)
    swarm.now_s += 2
    swarm.report(
        Snapshot(
            "run",
            "a",
            swarm.sequences["a"],
            swarm.now_s - 1,
            swarm.now_s,
            [Slice(4.0, 5.0, {"x": counters}, stage=stage)],
        )
    )
    swarm.sequences["a"] += 1
    swarm.second()
    (measured,) = swarm.course.result().steps[-1].measured
    assert measured.share == pytest.approx(50 / 400, rel=0.01)
    assert measured.text == "no response"


def result_of(load: float | None, outcome: Outcome, **others: object) -> CapacityResult:
    values: dict[str, object] = {
        "outcome": outcome, "by_users": False, "load": load, "answer": None, "missed": None, "is_at_least": False,
        "why": "", "notes": (), "steps": (), "workers": 1, **others,
    }  # fmt: skip
    return CapacityResult(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (result_of(408.0, Outcome.FOUND), 0),
        (result_of(408.0, Outcome.FOUND, at_least_rps=400.0), 0),
        (result_of(408.0, Outcome.FOUND, at_least_rps=450.0), 3),
        (result_of(None, Outcome.NONE_HELD, why="even at 0.9/s"), 3),
        (result_of(None, Outcome.UNSETTLED, why="its time was over"), 4),
        (result_of(408.0, Outcome.UNSETTLED, why="no time"), 4),
    ],
)
def test_the_exit_code_says_found_below_or_not_settled(result: CapacityResult, code: int) -> None:
    assert capacity_verdict(result).exit_code == code


def test_what_was_met_and_not_confirmed_is_said_in_a_sentence() -> None:
    result = result_of(None, Outcome.UNSETTLED, why="its time was over", low=30.0)
    assert answer_words(result).startswith("No load was confirmed: 30.0/s met every objective and was not confirmed. ")


def test_servers_for_a_target_are_planned_with_headroom() -> None:
    assert servers_for(1840, 10_000) == 7  # 10,000 ÷ (1,840 × 0.8) = 6.8
    swarm = Swarm("a")
    result = replace(swarm.to_the_end(), target_rps=10_000.0, load=1840.0)
    assert "7 servers like this one carry 10,000/s with 22 % headroom (10,000 ÷ (1,840 × 0.8) = 6.79" in answer_words(
        result
    )


def test_by_users_the_law_is_part_of_the_answer() -> None:
    settings = resolve_search(settings_with(find_capacity=True, slo="p99<50ms", capacity_by="users"))
    plan = search_plan_of(settings)
    assert plan is not None
    assert (plan.by_users, plan.start, settings.users, settings.is_open) == (True, 1.0, 1, False)


def test_two_capacities_differ_significantly_when_what_is_sure_of_them_is_apart() -> None:
    def found_at(limit: float) -> CapacityResult:
        swarm = Swarm("a", settings=replace(SETTINGS, step_max_s=20.0, confirm_s=20.0))
        while not swarm.course.is_over and swarm.now_s < 1000:
            swarm.second(2000.0 if swarm.run.steps[-1].rate_rps <= limit else 80_000.0)
        document = capacity_metrics(swarm.course.result())
        assert document is not None
        return result_of_summary(document)

    one, same, less = found_at(400.0), found_at(402.0), found_at(250.0)
    low, high = sure_bounds(one)
    assert low < 400 < high
    assert comparison_words(one, same).startswith("No significant difference: A ")
    words = comparison_words(one, less)
    assert words.startswith("B holds ")
    assert " % less than A, significantly: A " in words
    assert "not two capacities" in comparison_words(one, replace(less, load=None))


def run_of(swarm: Swarm) -> Run:
    plan = RunPlan(SETTINGS, {}, target_of(SETTINGS), Source("rows.parquet"), (), load_of(SETTINGS))
    run = Run(plan, DataRecord("rows.parquet", 300, 5, "f00d"), swarm.run, swarm.totals, Path("r"))
    run.capacity = swarm.course
    run.frozen_s = swarm.now_s
    swarm.run.began_s = 0.0
    return run


def test_the_verdict_of_a_run_is_that_of_its_search_whatever_steps_above_the_capacity_did() -> None:
    swarm = Swarm("a")
    swarm.to_the_end()
    final = Snapshot("run", "a", swarm.sequences["a"], swarm.now_s, swarm.now_s, is_final=True)
    swarm.totals.apply(final)
    run = run_of(swarm)
    run.course.stop = Stop(StopCause.FINISHED, swarm.now_s)
    summary = build_summary(record_of(run))
    assert (summary["verdict"], summary["exit_code"], summary["reasons"]) == ("passed", 0, [])
    assert summary["latency_us"]["max"] == 80_000
    assert run_table_row(summary)["capacity"] == summary["capacity"]["load"]


def test_a_search_whose_master_was_killed_keeps_its_steps_and_is_not_settled() -> None:
    swarm = Swarm("a")
    for _ in range(12):
        swarm.second()
    run = run_of(swarm)
    assert "Searching, step " in run.verdict_so_far().reasons[0]
    state = run.to_state(None)
    again = Run.from_state(run.plan, run.data, "run", 0.0, Path("r"), state)
    again.course.stop = Stop(StopCause.KILLED, swarm.now_s)
    found = again.capacity_result()
    assert found is not None
    assert (found.outcome, found.why) == (Outcome.UNSETTLED, "it was stopped")
    assert [step.load for step in found.steps] == [step.load for step in swarm.course.result().steps]
    assert again.verdict().exit_code == 4
