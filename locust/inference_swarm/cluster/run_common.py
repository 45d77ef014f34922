"""The parts that phases of a run share: entering one, refusing, releasing, and the end of the process."""

from __future__ import annotations

from inference_swarm.cluster.events import (
    EndProcess,
    Event,
    Refuse,
)
from inference_swarm.cluster.protocol import EndWorker, ReleaseRun
from inference_swarm.cluster.run_rows import RunRows
from inference_swarm.cluster.run_users import RunUsers
from inference_swarm.cluster.state import Coordinator, Job, Member, Phase
from inference_swarm.errors import ExitCode

BUSY = {
    Phase.PREPARING: "a run is being prepared already; stop it first",
    Phase.STARTING: "a run is about to begin; stop it first",
    Phase.RUNNING: "a run is under way; stop it first",
    Phase.STOPPING: "the last run is still stopping: its workers send their last reports; try again in a moment",
    Phase.CLOSING: "the results of the last run are still being written; try again in a moment",
}


NO_WORKERS = "no worker has joined yet, so the run cannot begin; start some, or wait until they have joined"


def reason_against_start(state: Coordinator) -> str:
    """The reason why a run cannot begin now; empty when it can. The web UI asks first, the coordinator decides."""
    if state.is_quitting:
        return "the master is about to end"
    if state.phase is not Phase.IDLE:
        return BUSY[state.phase]
    return "" if any(member.may_take_part for member in state.members.values()) else NO_WORKERS


def job_of(state: Coordinator) -> Job:
    assert state.job is not None  # every phase but IDLE has one
    return state.job


def rows_of(state: Coordinator) -> RunRows:
    rows = job_of(state).rows
    assert rows is not None  # messages about the rows of this run come after `DataRead`: see coordinator.step
    return rows


def enter(state: Coordinator, phase: Phase, now_s: float) -> None:
    state.phase = phase
    job_of(state).since_s = now_s


def ignore(state: Coordinator, event: Event, now_s: float) -> None:
    """Ignore the event: it comes too late, or asks for what is so already."""


def release(state: Coordinator) -> None:
    for member in state.here():
        state.send(member, ReleaseRun(job_of(state).run_id))


def refuse(state: Coordinator, run_id: str, reason: str, code: ExitCode) -> None:
    state.do(Refuse(run_id, reason, code))
    over(state, code)


def give_up(state: Coordinator, reason: str, code: ExitCode) -> None:
    run_id = job_of(state).run_id
    release(state)
    state.job, state.phase = None, Phase.IDLE
    refuse(state, run_id, reason, code)


def over(state: Coordinator, code: ExitCode | None) -> None:
    """End the run; a process with one run only ends with it."""
    if state.config.ends_after_run:
        state.is_quitting = state.ends_workers = True
    end_if_wanted(state, code)


def without_run(state: Coordinator) -> ExitCode | None:
    """Return the exit code of a process that ends before its run began: one that has only one run has failed."""
    return ExitCode.INCOMPLETE if state.config.ends_after_run else None


def end_if_wanted(state: Coordinator, code: ExitCode | None) -> None:
    if not state.is_quitting:
        return
    for member in state.here():
        end_with_master(state, member)
    state.do(EndProcess(code))


def end_with_master(state: Coordinator, member: Member) -> None:
    """End the worker if it would wait for another master: this one ends, has no run and can have none."""
    if state.is_quitting and state.ends_workers and state.job is None:
        state.send(member, EndWorker("the run is over"))


def pass_time(state: Coordinator, job: Job, now_s: float) -> None:
    """Follow for how long no worker runs the users that are wanted, up to the end of the load."""
    assert job.rows is not None
    assert job.course.began_s is not None
    if job.load.length_s is not None:
        now_s = min(now_s, job.course.began_s + job.load.length_s)
    # Of an open load one that leaves sends on until others take over.
    is_there = job.rows.has_hosts or any(one.is_leaving and any(one.users.values()) for one in state.here())
    job.attendance.pass_time(now_s, is_there=is_there, is_wanted=bool(job.wanted[0]))
    job.course.unattended_s = job.attendance.unattended_s


def runs_users(users: RunUsers, member: Member) -> bool:
    """Return whether the worker runs users, or has run those it was given: that they end by themselves is no gap."""
    is_given = bool(users.users_of(member.worker)) or not users.user_count  # a ramp has not come to its first user yet
    return any(member.users.values()) or (is_given and member.users_applied >= member.users_sent[0])
