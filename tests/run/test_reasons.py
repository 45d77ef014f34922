"""What a run's result says of workers that were lost, and of a stop before anything was sent."""

from __future__ import annotations

from pathlib import Path

from sample_runs import settings_with

from inference_swarm.cluster import events as e
from inference_swarm.cluster.coordinator import step
from inference_swarm.cluster.distribution import UserClass
from inference_swarm.cluster.protocol import (
    PROTOCOL_VERSION,
    Heartbeat,
    Hello,
    Message,
    Report,
    RowsReady,
    RunOffer,
    StopRun,
)
from inference_swarm.cluster.state import Coordinator, Phase
from inference_swarm.data.locate import Source
from inference_swarm.judge.verdict import Status, Verdict
from inference_swarm.measure.counters import RequestCounters
from inference_swarm.measure.snapshot import whole_snapshot
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.run.course import Change, RunCourse, StopCause
from inference_swarm.run.plan import RunPlan, load_of
from inference_swarm.run.run import DataRecord, Run
from inference_swarm.transport.target import target_of

RUN = "run"


class Master:
    """A coordinator, its clock, and workers that say what they are told to say."""

    def __init__(self, *workers: str) -> None:
        self.state = Coordinator()
        self.now_s = 0.0
        self.actions: list[e.Action] = []
        self.alive = set(workers)
        self.sequences = dict.fromkeys(workers, 0)
        for index, worker in enumerate(workers):
            self.hear(worker, Hello(PROTOCOL_VERSION, "test", 1, "", "host", index, 1))

    def feed(self, event: e.Event) -> None:
        self.actions += step(self.state, event, self.now_s)

    def hear(self, worker: str, message: Message, session: int = 1) -> None:
        self.feed(e.Received(worker, session, message))

    def start(self, users: int = 2, length_s: float | None = 60.0, spawn_rate: float = 10.0) -> RunCourse:
        settings = settings_with(users=users, duration_s=length_s, spawn_rate=spawn_rate, no_probe=True)
        self.plan = RunPlan(settings, {}, target_of(settings), Source("rows.parquet"), (), load_of(settings))
        self.totals = SwarmTotals(RUN)
        self.feed(e.Start(RUN, self.plan.load, (UserClass("User"),), self.totals))
        self.feed(e.DataRead(RUN, [10] * 8, RunOffer({}, {})))
        assert self.state.job is not None
        return self.state.job.course

    def rows_are_ready(self) -> None:
        assert self.state.job is not None
        assert self.state.job.rows is not None
        for worker in self.state.job.rows.workers:
            self.hear(worker, RowsReady(RUN, 1 << 30, 1, 1, 1, 0.1, is_windowed=False))

    def begin(self) -> None:
        self.rows_are_ready()
        self.feed(e.ResultsOpened(RUN))
        self.feed(e.TestStarted(RUN))
        assert self.state.phase is Phase.RUNNING

    def go_on(self, seconds: float) -> None:
        """Time passes, in which those who are alive send heartbeats."""
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            self.now_s += 0.25
            for worker in sorted(self.alive):
                self.hear(worker, Heartbeat(1, "running", 0.0, 0, {"User": 1}, RUN, 1 << 30, 1 << 30, 1 << 30))
            self.feed(e.Tick())

    def report(self, worker: str, requests: int, *, is_final: bool = False) -> None:
        number = self.sequences[worker]
        self.sequences[worker] += 1
        start_s, end_s = 3.0 * number, 3.0 * number + 3.0
        counters = {"x": RequestCounters(requests, connects=1)}
        snapshot = whole_snapshot(RUN, worker, number, start_s, end_s, counters, is_final=is_final)
        self.feed(e.Reported(worker, 1, Report(RUN, number, is_final, {}), snapshot))

    def verdict(self, course: RunCourse) -> Verdict:
        return Run(self.plan, DataRecord("rows.parquet", 80, 8, "f00d"), course, self.totals, Path("r")).verdict()


def test_a_killed_worker_is_named_once_with_what_may_be_missing() -> None:
    master = Master("a", "b")
    course = master.start()
    master.begin()
    master.go_on(3.0)
    for worker in ("a", "b"):
        master.report(worker, 30)
    master.alive = {"a"}
    master.go_on(60.0)
    master.report("a", 500, is_final=True)
    master.go_on(20.0)
    assert e.WriteResults(RUN) in master.actions
    verdict = master.verdict(course)
    assert verdict.status is Status.INCOMPLETE
    assert verdict.reasons == ("worker b: not heard of for 5.2 s; how much it sent since then is not known",)


def test_the_last_report_of_a_worker_that_is_lost_when_the_load_ends_is_waited_for() -> None:
    master = Master("a", "b")
    course = master.start()
    master.begin()
    master.go_on(54.0)
    master.alive = {"a"}
    master.go_on(6.5)
    assert list(course.losses) == ["b"]
    assert master.state.phase is Phase.STOPPING
    master.report("a", 500, is_final=True)
    master.go_on(3.0)
    master.hear("b", Hello(PROTOCOL_VERSION, "test", 2, "", "host", 1, 1), session=2)
    assert [one.message for one in master.actions if isinstance(one, e.Send) and one.worker == "b"][-1] == StopRun(RUN)
    master.go_on(0.5)
    assert master.state.phase is Phase.STOPPING
    master.report("b", 400, is_final=True)
    assert e.WriteResults(RUN) in master.actions
    assert (course.losses, master.totals.is_complete, master.totals.total().succeeded) == ({}, True, 900)


def test_a_worker_that_is_lost_while_rows_are_loaded_is_named_and_the_run_is_not_passed() -> None:
    master = Master("a", "b")
    course = master.start()
    master.alive = {"a"}
    master.go_on(6.0)
    master.begin()
    master.go_on(59.0)
    master.report("a", 500, is_final=True)
    master.go_on(3.0)
    verdict = master.verdict(course)
    assert verdict.status is Status.INCOMPLETE
    assert verdict.reasons == ("worker b: not heard of for 5.2 s, before it had users; no request of it is missing",)
    assert course.possibly_uncounted() == 0


def test_a_worker_that_comes_back_before_the_run_has_begun_is_not_held_against_it() -> None:
    master = Master("a", "b")
    course = master.start()
    master.alive = {"a"}
    master.go_on(6.0)
    assert "b" in course.losses
    master.hear("b", Hello(PROTOCOL_VERSION, "test", 2, "", "host", 1, 1), session=2)
    assert not course.losses


def test_a_worker_that_was_not_needed_is_no_loss() -> None:
    master = Master("a", "b")
    course = master.start(users=1)
    master.alive = {"a"}
    master.go_on(6.0)
    assert not master.state.members["b"].is_here
    assert not course.losses


def test_a_worker_that_is_lost_when_the_load_has_ended_and_had_no_users_is_no_loss() -> None:
    master = Master("a", "b")
    course = master.start(users=2, spawn_rate=0.1)
    master.begin()
    assert master.state.job is not None
    assert master.state.job.waited_for == {"a"}  # the other one's user comes with the next step of the ramp
    master.feed(e.StopAsked(StopCause.ASKED))
    master.alive = {"a"}
    master.go_on(6.0)
    assert not master.state.members["b"].is_here
    assert not course.losses


def test_a_stop_before_anything_was_sent_says_so() -> None:
    for length_s in (60.0, None):
        master = Master("a")
        course = master.start(length_s=length_s)
        master.rows_are_ready()
        assert master.state.phase is Phase.STARTING  # listeners are notified
        master.feed(e.StopAsked(StopCause.ASKED))
        master.feed(e.ResultsOpened(RUN))
        assert e.WriteResults(RUN) in master.actions
        verdict = master.verdict(course)
        assert verdict.status is Status.INTERRUPTED
        assert verdict.reasons == (
            "stopped before anything was sent (stopped by a person)",
            "no request was sent",
        )


def test_users_that_are_changed_in_mid_run_are_in_the_record_of_the_run() -> None:
    master = Master("a")
    course = master.start(users=10)
    master.begin()
    master.go_on(3.0)
    master.feed(e.Edit(10, 10.0))  # as they are
    assert course.changes == []
    master.feed(e.Edit(80, 10.0))
    assert course.changes == [Change(3.0, "80 users at 10 a second")]
