"""The master's decisions: `step` takes the state, an event and the time, and returns what is to be done.

No clock, no sockets, no files, no Locust: adapters feed events and execute actions (master_runner.py, local_runner.py).
TABLE says what follows from each event in each phase of a run; a test holds that no pair is missing.

    IDLE -Start-> PREPARING -rows are ready-> STARTING -folder is made, listeners notified-> RUNNING
    RUNNING -its end-> STOPPING -last reports are in-> CLOSING -results are written-> IDLE
"""

from __future__ import annotations

from collections.abc import Callable

from inference_swarm.cluster import (
    presence,
    protocol,
    run_common,
    run_end,
    run_load,
    run_probe,
    run_start,
    worker_reports,
)
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
    SetLoad,
    Start,
    StopAsked,
    TestStarted,
    Tick,
)
from inference_swarm.cluster.follow_up import follow_up
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
        idle=run_start.start,
        preparing=run_start.refuse_start,
        starting=run_start.refuse_start,
        running=run_start.refuse_start,
        stopping=run_start.refuse_start,
        closing=run_start.refuse_start,
    ),
    Edit: _row(
        idle=run_load.refuse_edit,
        preparing=run_start.edit_plan,
        starting=run_start.edit_plan,
        running=run_load.edit_running,
        stopping=run_load.refuse_edit,
        closing=run_load.refuse_edit,
    ),
    ResetStatistics: _row(
        idle=run_common.ignore,
        preparing=run_common.ignore,
        starting=run_common.ignore,
        running=run_load.reset_statistics,
        stopping=run_common.ignore,
        closing=run_common.ignore,
    ),
    SetLoad: _row(
        idle=run_common.ignore,
        preparing=run_common.ignore,
        starting=run_common.ignore,
        running=run_load.set_load,
        stopping=run_common.ignore,
        closing=run_common.ignore,
    ),
    StopAsked: _row(
        idle=run_common.ignore,
        preparing=run_start.cancel,
        starting=run_start.stop_early,
        running=run_load.stop_asked,
        stopping=run_common.ignore,
        closing=run_common.ignore,
    ),
    Quit: _row(
        idle=run_end.quit_idle,
        preparing=run_start.quit_preparing,
        starting=run_end.quit_starting,
        running=run_end.quit_running,
        stopping=run_end.quit_later,
        closing=run_end.quit_later,
    ),
    DataRead: _row(
        idle=run_common.ignore,
        preparing=run_start.data_read,
        starting=run_common.ignore,
        running=run_common.ignore,
        stopping=run_common.ignore,
        closing=run_common.ignore,
    ),
    DataRefused: _row(
        idle=run_common.ignore,
        preparing=run_start.data_refused,
        starting=run_common.ignore,
        running=run_common.ignore,
        stopping=run_common.ignore,
        closing=run_common.ignore,
    ),
    ResultsOpened: _row(
        idle=run_common.ignore,
        preparing=run_common.ignore,
        starting=run_start.results_opened,
        running=run_common.ignore,
        stopping=run_start.results_opened,
        closing=run_common.ignore,
    ),
    ResultsRefused: _row(
        idle=run_common.ignore,
        preparing=run_common.ignore,
        starting=run_start.results_refused,
        running=run_common.ignore,
        stopping=run_start.results_refused,
        closing=run_common.ignore,
    ),
    TestStarted: _row(
        idle=run_common.ignore,
        preparing=run_common.ignore,
        starting=run_start.test_started,
        running=run_common.ignore,
        stopping=run_common.ignore,
        closing=run_common.ignore,
    ),
    ResultsWritten: _row(
        idle=run_common.ignore,
        preparing=run_common.ignore,
        starting=run_common.ignore,
        running=run_common.ignore,
        stopping=run_common.ignore,
        closing=run_end.results_written,
    ),
    ResultsFailed: _row(
        idle=run_common.ignore,
        preparing=run_common.ignore,
        starting=run_common.ignore,
        running=run_common.ignore,
        stopping=run_common.ignore,
        closing=run_end.results_failed,
    ),
    Tick: _row(
        idle=presence.tick,
        preparing=run_start.tick_preparing,
        starting=run_start.tick_starting,
        running=run_load.tick_running,
        stopping=run_end.tick_stopping,
        closing=presence.tick,
    ),
    Reported: _row(
        idle=worker_reports.report_stale,
        preparing=worker_reports.report_stale,
        starting=worker_reports.report_stale,
        running=worker_reports.report,
        stopping=worker_reports.report,
        closing=worker_reports.report_stale,
    ),
    protocol.Hello: _always(presence.hello),
    protocol.Heartbeat: _always(presence.heartbeat),
    protocol.ClockQuestion: _always(presence.clock_question),
    protocol.Leaving: _always(presence.leaving),
    protocol.Goodbye: _always(presence.goodbye),
    protocol.RowsReady: _row(
        idle=worker_reports.ignore_message,
        preparing=worker_reports.rows_ready,
        starting=worker_reports.rows_ready,
        running=worker_reports.rows_ready,
        stopping=worker_reports.ignore_message,
        closing=worker_reports.ignore_message,
    ),
    protocol.RowsLoading: _row(
        idle=worker_reports.ignore_message,
        preparing=worker_reports.rows_loading,
        starting=worker_reports.rows_loading,
        running=worker_reports.rows_loading,
        stopping=worker_reports.ignore_message,
        closing=worker_reports.ignore_message,
    ),
    protocol.RowsFailed: _row(
        idle=worker_reports.ignore_message,
        preparing=run_start.rows_failed,
        starting=worker_reports.rows_failed_during,
        running=worker_reports.rows_failed_during,
        stopping=worker_reports.ignore_message,
        closing=worker_reports.ignore_message,
    ),
    protocol.TargetProbed: _row(
        idle=worker_reports.ignore_message,
        preparing=run_probe.probed,
        starting=worker_reports.ignore_message,
        running=worker_reports.ignore_message,
        stopping=worker_reports.ignore_message,
        closing=worker_reports.ignore_message,
    ),
    protocol.RequestsUsed: _row(
        idle=worker_reports.ignore_message,
        preparing=worker_reports.ignore_message,
        starting=worker_reports.ignore_message,
        running=worker_reports.requests_used,
        stopping=worker_reports.ignore_message,
        closing=worker_reports.ignore_message,
    ),
    protocol.OnceReport: _row(
        idle=worker_reports.ignore_message,
        preparing=worker_reports.once_report,
        starting=worker_reports.once_report,
        running=worker_reports.once_report,
        stopping=worker_reports.once_report,
        closing=worker_reports.ignore_message,
    ),
}

# Of another run than the present one these mean nothing: they are dropped before the table is consulted.
OF_ONE_RUN = (
    DataRead,
    DataRefused,
    ResultsOpened,
    ResultsRefused,
    TestStarted,
    ResultsWritten,
    ResultsFailed,
    protocol.TargetProbed,
    protocol.RowsReady,
    protocol.RowsLoading,
    protocol.RowsFailed,
    protocol.RequestsUsed,
    protocol.OnceReport,
)


def step(state: Coordinator, event: Event, now_s: float) -> list[Action]:
    """Return everything that follows from the event, in the order in which to do it. Changes `state` in place."""
    if state.phase is Phase.RUNNING:  # the time before the event belongs to what was true until then
        run_common.pass_time(state, run_common.job_of(state), now_s)
    subject = event.message if isinstance(event, Received) else event
    is_heard = not isinstance(event, Received) or presence.is_heard(state, event, now_s)
    if is_heard and _is_of_this_run(state, subject):
        TABLE[type(subject)][state.phase](state, event, now_s)
    follow_up(state, now_s)
    actions, state.actions = state.actions, []
    return actions


def _is_of_this_run(state: Coordinator, subject: Event | protocol.Message) -> bool:
    if not isinstance(subject, OF_ONE_RUN):
        return True
    job = state.job
    # A worker that speaks of the rows of a run before they are assigned was not told of them by this master.
    return job is not None and job.run_id == subject.run_id and (isinstance(subject, Event) or job.rows is not None)


def wake_s(state: Coordinator, now_s: float) -> float:
    """Return when the next Tick is due at the latest."""
    due, job = [now_s + presence.WATCH_PERIOD_S], state.job
    if job is not None and state.phase is Phase.RUNNING:
        end_s = run_load.end_s(job)
        if end_s is not None:
            due.append(end_s)
        if job.users is not None and job.users.due_s is not None:
            due.append(job.users.due_s)
    return max(now_s + MIN_WAKE_S, min(due))
