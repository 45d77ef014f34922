"""Follow-ups of any event: transitions that depend on several things at once, and messages that are due now."""

from __future__ import annotations

from inference_swarm.cluster.events import (
    NotifyTestStart,
    OpenResults,
    UsersComplete,
)
from inference_swarm.cluster.placement import choose_hosts, exposed
from inference_swarm.cluster.protocol import GrantRequests
from inference_swarm.cluster.run_common import enter
from inference_swarm.cluster.run_end import close, end_load, is_stopped
from inference_swarm.cluster.run_probe import is_probed
from inference_swarm.cluster.run_start import begin
from inference_swarm.cluster.state import Coordinator, Job, Phase
from inference_swarm.run.course import StopCause

NS_PER_S = 1_000_000_000
# Workers of a large swarm that come and go are placed together: who looks at thousands of them for each is late.
PLACE_PERIOD_S = 0.1
# What a worker says this long after the last arrival's instant, it says with that arrival in mind.
SETTLED_S = 0.05


def follow_up(state: Coordinator, now_s: float) -> None:
    """Make the transitions that depend on several things, and send the messages that any event may have made due."""
    job = state.job
    if job is None:
        return
    if state.phase is Phase.PREPARING and job.rows is not None and job.rows.is_settled and job.rows.hosts():
        if is_probed(state, job, now_s):
            _enter_starting(state, job, now_s)
    elif state.phase is Phase.STARTING and job.is_opened and job.is_test_started and job.rows and job.rows.hosts():
        begin(state, job, now_s)
    elif state.phase is Phase.RUNNING and job.rows is not None and job.rows.is_all_sent:
        end_load(state, StopCause.ALL_SENT, "", now_s)
    if state.phase is Phase.RUNNING:
        _share_requests(state, job, now_s)
    if state.phase in (Phase.PREPARING, Phase.STARTING, Phase.RUNNING):
        _place(state, job, now_s)
    if state.phase is Phase.STOPPING and is_stopped(state, job, now_s):
        close(state, job, now_s)


def _enter_starting(state: Coordinator, job: Job, now_s: float) -> None:
    assert job.rows is not None
    if not job.prober:
        state.note(f"Loaded: {job.rows.describe()}, {now_s - job.since_s:.1f} s")
    enter(state, Phase.STARTING, now_s)
    state.do(OpenResults(job.run_id))
    state.do(NotifyTestStart(job.run_id))


def _share_requests(state: Coordinator, job: Job, now_s: float) -> None:
    """`--requests`: grant what is free to workers that want it; the load is over when nothing is left to be sent."""
    budget, schedule = job.budget, job.load.schedule
    if budget is None:
        return
    # In an open load a worker that leaves has arrivals to send until others have taken them over.
    takers = [member.worker for member in state.here() if job.load.is_open or not member.is_leaving]
    for worker, grant in budget.take_grants(takers):
        state.send(state.members[worker], GrantRequests(job.run_id, grant.number, grant.limit))
    live = [member.worker for member in state.here()]
    is_over, end_s = budget.is_done(live), None
    if schedule is not None and schedule.end_ns is not None:
        assert job.course.began_s is not None
        end_s = job.course.began_s + schedule.end_ns / NS_PER_S
        has_all = schedule.count_until(schedule.end_ns) >= budget.requests
        is_over = is_over or (has_all and budget.is_idle_since(end_s + SETTLED_S, live, now_s))
    if is_over:
        end_load(state, StopCause.ALL_REQUESTS, "", now_s)
        if end_s is not None:
            job.course.ended_s = min(now_s, end_s)


def _place(state: Coordinator, job: Job, now_s: float) -> None:
    """Rows follow workers, users follow rows, arrivals follow users."""
    if job.rows is None:
        return
    is_soon = len(state.members) <= state.config.few_workers or now_s - job.placed_s >= PLACE_PERIOD_S
    if is_soon and (job.is_placement_due or job.rows.is_changed):
        job.is_placement_due = job.rows.is_changed = False
        job.placed_s = now_s
        choose_hosts(state, job)
        if job.users is not None:
            job.users.set_hosts(job.rows.hosts(), now_s)
    for worker, hold in job.rows.take_messages():
        member = state.members[worker]
        if job.is_placement_due and member.is_leaving and hold.blocks:
            continue  # it is about to be placed with others that leave, who get them then
        member.rows_sent = (hold.generation, now_s)
        state.send(member, hold)
    if job.users is None:
        return
    job.users.advance(now_s)
    for worker, message in job.users.take_messages(now_s):
        member = state.members[worker]
        member.users_sent = (message.generation, now_s)
        job.unapplied.add(worker)
        exposed(job, worker, message.generation, now_s)
        state.send(member, message)
    _notify_users_complete(state, job)


def _notify_users_complete(state: Coordinator, job: Job) -> None:
    users = job.users
    if job.is_complete_notified or job.unapplied or users is None or not users.is_settled:
        return
    if users.user_count == users.wanted:
        job.is_complete_notified = True
        state.do(UsersComplete(job.run_id, users.user_count))
