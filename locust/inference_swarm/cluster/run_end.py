"""From the end of the load to written results, and the end of the process: STOPPING and CLOSING. Handlers of TABLE."""

from __future__ import annotations

from inference_swarm.cluster.events import (
    Closed,
    EndLoad,
    Quit,
    ResultsFailed,
    ResultsWritten,
    Tick,
    WriteResults,
)
from inference_swarm.cluster.presence import note_missing_finals, note_possible_duplicates, tick
from inference_swarm.cluster.protocol import StopRun
from inference_swarm.cluster.run_common import end_if_wanted, enter, job_of, over, release, rows_of, without_run
from inference_swarm.cluster.state import Coordinator, Job, Member, Phase
from inference_swarm.errors import ExitCode
from inference_swarm.load.arrivals import NS_PER_S
from inference_swarm.run.course import Stop, StopCause

FINALS_TIMEOUT_S = 10.0
# A worker that is lost when the load ends may only be cut off: for this long it may come back with its last report.
RETURN_GRACE_S = 5.0
REPEAT_STOP_S = 1.0


def end_load(state: Coordinator, cause: StopCause, text: str, now_s: float) -> None:
    """The measured time ends here; users stop, every last report comes in."""
    job = job_of(state)
    course = job.course
    for member in state.here():
        note_possible_duplicates(job, member, now_s)
    course.ended_s = now_s
    at_s = course.measured_s(now_s)
    course.stop = Stop(cause, at_s, text)
    enter(state, Phase.STOPPING, now_s)
    if course.began_s is not None:
        state.do(EndLoad(job.run_id))
    send_stop(state, job, now_s)


def send_stop(state: Coordinator, job: Job, now_s: float) -> None:
    job.notified_s = now_s
    for member in state.here():
        if member.worker in job.waited_for:
            state.send(member, StopRun(job.run_id))


def tick_stopping(state: Coordinator, event: Tick, now_s: float) -> None:
    """Repeat the stop, which may have been lost; late workers are not waited for without end."""
    tick(state, event, now_s)
    job = job_of(state)
    if now_s - job.notified_s >= REPEAT_STOP_S:
        send_stop(state, job, now_s)


def is_stopped(state: Coordinator, job: Job, now_s: float) -> bool:
    """Return whether every last report is in, or no worker is waited for any more."""
    course = job.course
    if course.began_s is None:
        return job.is_opened
    if now_s - job.since_s > job.load.stop_timeout_s + FINALS_TIMEOUT_S:
        return True
    return not any(_is_waited_for(state.members.get(worker), job, now_s) for worker in job.waited_for)


def _is_waited_for(member: Member | None, job: Job, now_s: float) -> bool:
    if member is None:
        return False
    return member.lost_s is None or now_s - max(member.lost_s, job.since_s) < RETURN_GRACE_S


def close(state: Coordinator, job: Job, now_s: float) -> None:
    note_missing_finals(state, job, now_s)
    job.course.once = rows_of(state).once_numbers()
    job.course.requests_unsent = _requests_unsent(job)
    release(state)
    enter(state, Phase.CLOSING, now_s)
    state.do(WriteResults(job.run_id))


def _requests_unsent(job: Job) -> int:
    """Return how many requests a lost worker had left. Its part of an open load that came to its end is unaccounted."""
    stop, schedule = job.course.stop, job.load.schedule
    if job.budget is None or stop is None or stop.cause is not StopCause.ALL_REQUESTS:
        return 0
    is_at_end = schedule is not None and schedule.end_ns is not None and stop.at_s >= schedule.end_ns / NS_PER_S
    return 0 if is_at_end else job.budget.unsent()


def results_written(state: Coordinator, event: ResultsWritten, now_s: float) -> None:
    _closed(state, "", now_s)


def results_failed(state: Coordinator, event: ResultsFailed, now_s: float) -> None:
    """Results could not be written (a full disk, say): the process ends all the same, with a failure."""
    state.note(f"The results of run {event.run_id} could not be written: {event.reason}", "error")
    _closed(state, event.reason, now_s)


def _closed(state: Coordinator, failure: str, now_s: float) -> None:
    run_id = job_of(state).run_id
    state.job, state.phase = None, Phase.IDLE
    state.do(Closed(run_id, failure))
    over(state, ExitCode.INCOMPLETE if failure else None)


def quit_idle(state: Coordinator, event: Quit, now_s: float) -> None:
    quit_later(state, event, now_s)
    end_if_wanted(state, without_run(state))


def quit_starting(state: Coordinator, event: Quit, now_s: float) -> None:
    quit_later(state, event, now_s)
    end_load(state, StopCause.SIGNAL, "", now_s)


def quit_running(state: Coordinator, event: Quit, now_s: float) -> None:
    quit_later(state, event, now_s)
    end_load(state, StopCause.SIGNAL, "", now_s)


def quit_later(state: Coordinator, event: Quit, now_s: float) -> None:
    """Quit after the run under way has closed."""
    state.is_quitting = True
    state.ends_workers = state.ends_workers or event.ends_workers
