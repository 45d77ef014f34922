"""The master's decisions: `step` takes the state, an event and the time, and returns what is to be done.

No clock, no sockets, no files, no Locust: adapters feed events and execute actions (master_runner.py, local_runner.py).
TABLE says what follows from each event in each phase of a run; a test holds that no pair is missing.

    IDLE -Start-> PREPARING -rows are ready-> STARTING -folder is made, listeners are told-> RUNNING
    RUNNING -its end-> STOPPING -last reports are in-> CLOSING -results are written-> IDLE
"""

from __future__ import annotations

from collections.abc import Callable

from inference_swarm.cluster import protocol
from inference_swarm.cluster import run_phases as run
from inference_swarm.cluster import run_workers as workers
from inference_swarm.cluster.events import (
    Action,
    DataRead,
    DataRefused,
    Edit,
    Event,
    Quit,
    Received,
    Reported,
    ResetStatistics,
    ResultsFailed,
    ResultsOpened,
    ResultsRefused,
    ResultsWritten,
    Start,
    StopAsked,
    TestStarted,
    Tick,
)
from inference_swarm.cluster.state import Coordinator, Phase

Handler = Callable[..., None]
MIN_WAKE_S = 0.001


def _row(
    *,
    idle: Handler,
    preparing: Handler,
    starting: Handler,
    running: Handler,
    stopping: Handler,
    closing: Handler,
) -> dict[Phase, Handler]:
    return {
        Phase.IDLE: idle,
        Phase.PREPARING: preparing,
        Phase.STARTING: starting,
        Phase.RUNNING: running,
        Phase.STOPPING: stopping,
        Phase.CLOSING: closing,
    }


def _always(handler: Handler) -> dict[Phase, Handler]:
    return dict.fromkeys(Phase, handler)


TABLE: dict[type[Event] | type[protocol.Message], dict[Phase, Handler]] = {
    Start: _row(
        idle=run.start,
        preparing=run.refuse_start,
        starting=run.refuse_start,
        running=run.refuse_start,
        stopping=run.refuse_start,
        closing=run.refuse_start,
    ),
    Edit: _row(
        idle=run.refuse_edit,
        preparing=run.edit_plan,
        starting=run.edit_plan,
        running=run.edit_running,
        stopping=run.refuse_edit,
        closing=run.refuse_edit,
    ),
    ResetStatistics: _row(
        idle=run.ignore,
        preparing=run.ignore,
        starting=run.ignore,
        running=run.reset_statistics,
        stopping=run.ignore,
        closing=run.ignore,
    ),
    StopAsked: _row(
        idle=run.ignore,
        preparing=run.cancel,
        starting=run.stop_early,
        running=run.stop_asked,
        stopping=run.ignore,
        closing=run.ignore,
    ),
    Quit: _row(
        idle=run.quit_idle,
        preparing=run.quit_preparing,
        starting=run.quit_starting,
        running=run.quit_running,
        stopping=run.quit_later,
        closing=run.quit_later,
    ),
    DataRead: _row(
        idle=run.ignore,
        preparing=run.data_read,
        starting=run.ignore,
        running=run.ignore,
        stopping=run.ignore,
        closing=run.ignore,
    ),
    DataRefused: _row(
        idle=run.ignore,
        preparing=run.data_refused,
        starting=run.ignore,
        running=run.ignore,
        stopping=run.ignore,
        closing=run.ignore,
    ),
    ResultsOpened: _row(
        idle=run.ignore,
        preparing=run.ignore,
        starting=run.results_opened,
        running=run.ignore,
        stopping=run.results_opened_late,
        closing=run.ignore,
    ),
    ResultsRefused: _row(
        idle=run.ignore,
        preparing=run.ignore,
        starting=run.results_refused,
        running=run.ignore,
        stopping=run.results_refused,
        closing=run.ignore,
    ),
    TestStarted: _row(
        idle=run.ignore,
        preparing=run.ignore,
        starting=run.test_started,
        running=run.ignore,
        stopping=run.ignore,
        closing=run.ignore,
    ),
    ResultsWritten: _row(
        idle=run.ignore,
        preparing=run.ignore,
        starting=run.ignore,
        running=run.ignore,
        stopping=run.ignore,
        closing=run.results_written,
    ),
    ResultsFailed: _row(
        idle=run.ignore,
        preparing=run.ignore,
        starting=run.ignore,
        running=run.ignore,
        stopping=run.ignore,
        closing=run.results_failed,
    ),
    Tick: _row(
        idle=workers.tick,
        preparing=run.tick_preparing,
        starting=run.tick_starting,
        running=run.tick_running,
        stopping=run.tick_stopping,
        closing=workers.tick,
    ),
    Reported: _row(
        idle=workers.report_stale,
        preparing=workers.report_stale,
        starting=workers.report_stale,
        running=workers.report,
        stopping=workers.report_last,
        closing=workers.report_stale,
    ),
    protocol.Hello: _always(workers.hello),
    protocol.Heartbeat: _always(workers.heartbeat),
    protocol.ClockQuestion: _always(workers.clock_question),
    protocol.Leaving: _always(workers.leaving),
    protocol.Goodbye: _always(workers.goodbye),
    protocol.RowsReady: _row(
        idle=workers.ignore_message,
        preparing=workers.rows_ready,
        starting=workers.rows_ready,
        running=workers.rows_ready,
        stopping=workers.ignore_message,
        closing=workers.ignore_message,
    ),
    protocol.RowsLoading: _row(
        idle=workers.ignore_message,
        preparing=workers.rows_loading,
        starting=workers.rows_loading,
        running=workers.rows_loading,
        stopping=workers.ignore_message,
        closing=workers.ignore_message,
    ),
    protocol.RowsFailed: _row(
        idle=workers.ignore_message,
        preparing=run.rows_failed,
        starting=workers.rows_failed_during,
        running=workers.rows_failed_during,
        stopping=workers.ignore_message,
        closing=workers.ignore_message,
    ),
    protocol.OnceReport: _row(
        idle=workers.once_stale,
        preparing=workers.once_report,
        starting=workers.once_report,
        running=workers.once_report,
        stopping=workers.once_report,
        closing=workers.once_stale,
    ),
}


def step(state: Coordinator, event: Event, now_s: float) -> list[Action]:
    """Everything that follows from the event, in the order in which it is to be done. Changes `state` in place."""
    if isinstance(event, Received):
        if workers.is_heard(state, event, now_s):
            TABLE[type(event.message)][state.phase](state, event, now_s)
    else:
        TABLE[type(event)][state.phase](state, event, now_s)
    run.follow_up(state, now_s)
    actions, state.actions = state.actions, []
    return actions


def wake_s(state: Coordinator, now_s: float) -> float:
    """When the next Tick is due at the latest."""
    due, job = [now_s + workers.WATCH_PERIOD_S], state.job
    if job is not None and state.phase is Phase.RUNNING:
        end_s = run.end_s(job)
        if end_s is not None:
            due.append(end_s)
        if job.users is not None and job.users.due_s is not None:
            due.append(job.users.due_s)
    return max(now_s + MIN_WAKE_S, min(due))
