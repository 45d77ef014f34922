"""While the load is on: RUNNING. Handlers of coordinator.TABLE."""

from __future__ import annotations

from inference_swarm.cluster.events import (
    BeginEpoch,
    Edit,
    Refuse,
    ResetStatistics,
    SetLoad,
    StopAsked,
    Tick,
)
from inference_swarm.cluster.placement import able_workers, reason_against_files, want_users
from inference_swarm.cluster.presence import tick
from inference_swarm.cluster.protocol import MAX_STEPS
from inference_swarm.cluster.run_common import BUSY, job_of
from inference_swarm.cluster.run_end import end_load
from inference_swarm.cluster.run_users import CHANGE_LEAD_S
from inference_swarm.cluster.state import Coordinator, Job
from inference_swarm.errors import ExitCode
from inference_swarm.load.stages import users_at
from inference_swarm.load.steps import NS_PER_S, LoadStep
from inference_swarm.run.course import Change, StopCause

# Its last requests are on their way when it ends, give or take the difference of two clocks.
OPEN_GRACE_S = 0.1
# A run without any worker waits this long for one to come (a rolling restart, say) before it is stopped.
NO_WORKERS_GRACE_S = 30.0


def edit_running(state: Coordinator, event: Edit, now_s: float) -> None:
    """Run other users from now on; recorded, since the result must say so."""
    job = job_of(state)
    if event.run_id not in ("", job.run_id):
        return
    assert job.course.began_s is not None
    if job.course.steps:
        reason = "the search for a capacity decides how many users run; stop it first"
        state.do(Refuse("", reason, ExitCode.INCOMPLETE))
        return
    if (event.users, event.spawn_rate) != job.wanted:
        what = f"{event.users} users at {event.spawn_rate:g} a second"
        job.course.changes.append(Change(max(0.0, now_s - job.course.began_s), what))
    want_users(job, event.users, event.spawn_rate, now_s, event.classes)
    if reason := reason_against_files(state, job, able_workers(state, job)):
        state.note(f"Not all users will be connected: {reason}", "warning")


def set_load(state: Coordinator, event: SetLoad, now_s: float) -> None:
    """Begin another step of a load that is decided while the run goes on: all workers from one instant on."""
    job = job_of(state)
    course = job.course
    if event.run_id != job.run_id or job.users is None or len(course.steps) >= MAX_STEPS:
        return
    assert course.began_s is not None
    from_s = max(0.0, now_s + CHANGE_LEAD_S - course.began_s)
    step = LoadStep(round(from_s * NS_PER_S), round((from_s + event.settle_s) * NS_PER_S), event.rate_rps)
    course.add_step(step)
    job.uncounted.follow(course.load.schedule)
    job.users.set_steps(course.steps)
    if event.users != job.wanted[0]:
        want_users(job, event.users, float(event.users), now_s)


def reset_statistics(state: Coordinator, event: ResetStatistics, now_s: float) -> None:
    """Leave out what was measured so far, as a warm-up that ends now; recorded, and the same in every output."""
    job = job_of(state)
    assert job.course.began_s is not None
    assert job.users is not None
    at_s = max(0.0, now_s - job.course.began_s)
    job.course.changes.append(Change(at_s, "the statistics were reset"))
    job.users.reset(at_s)
    state.do(BeginEpoch(job.run_id, at_s))


def refuse_edit(state: Coordinator, event: Edit, now_s: float) -> None:
    """Refuse an edit: there is no run whose users could change."""
    if not event.run_id:
        reason = BUSY.get(state.phase, "no run is under way whose users could change; start one")
        state.do(Refuse("", reason, ExitCode.INCOMPLETE))


def end_s(job: Job) -> float | None:
    """Return when the load ends by itself; None: only when it is stopped."""
    if job.load.length_s is None or job.course.began_s is None:
        return None
    return job.course.began_s + job.load.length_s + (OPEN_GRACE_S if job.load.is_open else 0.0)


def tick_running(state: Coordinator, event: Tick, now_s: float) -> None:
    """Handle what comes with time: silence, the steps of ramps and stages, the end of the run."""
    tick(state, event, now_s)
    job = job_of(state)
    assert job.course.began_s is not None
    until_s = end_s(job)
    if until_s is not None and now_s >= until_s:
        end_load(state, StopCause.FINISHED, "", now_s)
        return
    if job.load.stages is not None:
        wanted = users_at(job.load.stages, max(0.0, now_s - job.course.began_s))
        if wanted is not None and wanted != job.wanted:
            want_users(job, *wanted, now_s)
    watch_for_none(state, job, now_s)


def watch_for_none(state: Coordinator, job: Job, now_s: float) -> None:
    if able_workers(state, job):
        job.alone_since_s = None
    elif job.alone_since_s is None:
        job.alone_since_s = now_s
        text = f"The last worker is gone. The run is stopped unless another joins within {NO_WORKERS_GRACE_S:g} s."
        state.note(text, "error")
    elif now_s - job.alone_since_s > NO_WORKERS_GRACE_S:
        end_load(state, StopCause.NO_WORKERS, "", now_s)


def stop_asked(state: Coordinator, event: StopAsked, now_s: float) -> None:
    end_load(state, event.cause, event.text, now_s)
