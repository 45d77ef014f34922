"""Reports of workers about their rows and their requests. Handlers of coordinator.TABLE."""

from __future__ import annotations

from inference_swarm.cluster.events import CountReport, Received, Reported
from inference_swarm.cluster.protocol import (
    GrantRequests,
    OnceAck,
    OnceReport,
    ReportAck,
    RequestsUsed,
    RowsFailed,
    RowsLoading,
    RowsReady,
)
from inference_swarm.cluster.run_common import job_of, rows_of
from inference_swarm.cluster.state import Coordinator, Member
from inference_swarm.measure.totals import Applied


def ignore_message(state: Coordinator, event: Received, now_s: float) -> None:
    """Ignore a message that comes too late to matter."""


def rows_ready(state: Coordinator, event: Received, now_s: float) -> None:
    message = event.message
    assert isinstance(message, RowsReady)
    if rows_of(state).ready(event.worker, message):
        window = ", through a window" if message.is_windowed else ""
        text = f"Worker {event.worker} has its {message.rows:,} rows ready after {message.seconds:.1f} s{window}"
        state.note(text, "debug")


def rows_loading(state: Coordinator, event: Received, now_s: float) -> None:
    message = event.message
    assert isinstance(message, RowsLoading)
    rows_of(state).loading(event.worker, message)


def rows_failed_during(state: Coordinator, event: Received, now_s: float) -> None:
    """A worker's rows fail during a run: its rows and users go to others, and the result says so."""
    message, job = event.message, job_of(state)
    assert isinstance(message, RowsFailed)
    if event.worker in job.course.failures:
        return
    job.course.failures[event.worker] = message.reason
    job.is_placement_due = True
    state.note(f"Worker {event.worker} has failed: {message.reason}", "error")


def once_report(state: Coordinator, event: Received, now_s: float) -> None:
    message = event.message
    assert isinstance(message, OnceReport)
    rows_of(state).once_report(event.worker, message)
    member = state.members[event.worker]
    if member.is_here and member.session == event.session:
        state.send(member, OnceAck(message.run_id, message.sequence))


def requests_used(state: Coordinator, event: Received, now_s: float) -> None:
    """`--requests`: how many a worker has sent, and how many more it wants. A grant that it has missed is repeated."""
    message, job = event.message, job_of(state)
    assert isinstance(message, RequestsUsed)
    if job.budget is not None and job.uncounted.is_exposed(event.worker):
        grant = job.budget.report(event.worker, message.use(), now_s)
        if grant is not None:
            state.send(state.members[event.worker], GrantRequests(job.run_id, grant.number, grant.limit))


def _acknowledge(state: Coordinator, event: Reported) -> None:
    member = state.members.get(event.worker)
    session = event.session if member is None else member.session
    to = Member(event.worker, session, 0, 0.0)
    state.send(to, ReportAck(event.report.run_id, event.report.sequence))


def report_stale(state: Coordinator, event: Reported, now_s: float) -> None:
    """Acknowledge a report of a run that is over or has not begun; it is not counted."""
    _acknowledge(state, event)


def report(state: Coordinator, event: Reported, now_s: float) -> None:
    """Count a report once, whenever it arrives, whatever became of its worker."""
    job = state.job
    _acknowledge(state, event)
    if job is None or event.report.run_id != job.run_id or job.course.began_s is None:
        return
    if not job.uncounted.is_exposed(event.worker):
        state.note(
            f"Worker {event.worker[:80]!a} reports requests of a run in which it had no users: not counted", "error"
        )
        return
    if job.course.totals.apply(event.snapshot) is not Applied.COUNTED:
        return
    if event.report.once is not None and job.rows is not None:
        job.rows.once_report(event.worker, event.report.once)
    if event.report.requests is not None and job.budget is not None:
        job.budget.final(event.worker, event.report.requests.use())
    snapshot = event.snapshot
    until_s = job.course.began_s + snapshot.end_s
    job.uncounted.reported(
        event.worker, event.report.sequence, snapshot.ended, snapshot.user_seconds, until_s, snapshot.in_flight
    )
    if job.course.totals.is_complete_for(event.worker):
        job.waited_for.discard(event.worker)
        if (member := state.members.get(event.worker)) is not None:
            member.users = {}  # its last heartbeat may have said otherwise
        if job.course.losses.pop(event.worker, None) is not None:
            state.note(f"Worker {event.worker} was marked lost, but its last report has come: nothing is missing")
    state.do(CountReport(event.worker, event.report, snapshot))
