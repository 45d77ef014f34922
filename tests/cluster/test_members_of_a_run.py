"""What a master knows of its workers in one run: nothing of the one before; after the last report no users, no loss."""

from __future__ import annotations

import pytest

from inference_swarm.cluster import coordinator
from inference_swarm.cluster import events as e
from inference_swarm.cluster.distribution import UserClass
from inference_swarm.cluster.protocol import PROTOCOL_VERSION, Heartbeat, Hello, Leaving, Report, RowsReady, RunOffer
from inference_swarm.cluster.state import LEASE_S, SILENCE_S, Coordinator, Phase
from inference_swarm.measure.snapshot import Snapshot
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.run.course import LoadPlan

HELLO = Hello(PROTOCOL_VERSION, "test", 1, "", "host", 1, 1)
READY = RowsReady("run", 1 << 30, 1, 1, 1, 0.1, is_windowed=False)
RUNNING = Heartbeat(2, "running", 0.0, 0, {"User": 2}, "run", 1, 1, 9)


@pytest.fixture
def state() -> Coordinator:
    """A run has begun on one worker, which had users in a run before."""
    made = Coordinator()
    coordinator.step(made, e.Received("w", 1, HELLO), 0.0)
    made.members["w"].users_sent, made.members["w"].users_applied = (7, 0.0), 7
    start = e.Start("run", LoadPlan(2, 10.0, 100.0), (UserClass("User"),), SwarmTotals("run"))
    for event in (start, e.DataRead("run", [5], RunOffer({}, {})), e.Received("w", 1, READY)):
        coordinator.step(made, event, 0.0)
    for happened in (e.ResultsOpened("run"), e.TestStarted("run"), e.Tick()):
        coordinator.step(made, happened, 0.0)
    assert made.phase is Phase.RUNNING
    return made


def test_what_was_confirmed_in_the_run_before_confirms_nothing_in_this_one(state: Coordinator) -> None:
    before = Heartbeat(1, "ready", 0.0, 0, {}, "run", 1, 1, -1)
    coordinator.step(state, e.Received("w", 1, before), 0.1)
    assert state.job is not None
    assert state.job.unapplied == {"w"}
    coordinator.step(state, e.Received("w", 1, RUNNING), 0.2)
    assert not state.job.unapplied


def test_after_its_last_report_a_worker_has_no_users_whatever_its_last_heartbeat_said(state: Coordinator) -> None:
    coordinator.step(state, e.Received("w", 1, RUNNING), 0.2)
    assert state.members["w"].users == {"User": 2}
    last = Snapshot("run", "w", 0, 0.0, 1.0, is_final=True)
    coordinator.step(state, e.Reported("w", 1, Report("run", 0, True, last.to_wire()), last), 1.0)
    assert state.members["w"].users == {}


@pytest.mark.parametrize("has_delivered", [True, False])
def test_a_worker_that_leaves_and_is_silent_is_lost_only_if_its_last_report_is_missing(
    state: Coordinator, has_delivered: bool
) -> None:
    coordinator.step(state, e.Received("w", 1, RUNNING), 0.2)
    coordinator.step(state, e.Received("w", 1, Leaving("its process was asked to end")), 0.3)
    if has_delivered:
        last = Snapshot("run", "w", 0, 0.0, 0.4, is_final=True)
        coordinator.step(state, e.Reported("w", 1, Report("run", 0, True, last.to_wire()), last), 0.4)
    done: list[e.Action] = []
    for tenth in range(5, int(SILENCE_S * 10) + 10):
        done += coordinator.step(state, e.Tick(), tenth / 10)
    (gone,) = (action for action in done if isinstance(action, e.WorkerGone))
    assert bool(gone.reason) != has_delivered
    assert state.job is not None
    assert bool(state.job.course.losses) != has_delivered


def test_a_gap_is_seen_whatever_a_master_that_stood_still_reads_first(state: Coordinator) -> None:
    assert state.job is not None
    course = state.job.course
    coordinator.step(state, e.StopAsked(), LEASE_S + 4.0)
    assert course.stop is not None
    assert course.unattended_s == pytest.approx(4.0)


def test_users_that_are_wanted_after_a_master_stood_still_are_not_missed_before(state: Coordinator) -> None:
    assert state.job is not None
    course = state.job.course
    coordinator.step(state, e.Edit(0, 5.0), 1.0)
    coordinator.step(state, e.Edit(2, 5.0), LEASE_S + 4.0)
    coordinator.step(state, e.Tick(), LEASE_S + 4.1)
    assert course.unattended_s == 0.0
