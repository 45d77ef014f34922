"""The life of a run: from the wish for it to its written results. Handlers of coordinator.TABLE."""

from __future__ import annotations

from inference_swarm.cluster.events import (
    BeginEpoch,
    BeginLoad,
    Cancelled,
    Closed,
    DataRead,
    DataRefused,
    Edit,
    EndLoad,
    EndProcess,
    Event,
    OpenResults,
    Quit,
    ReadData,
    Received,
    Refuse,
    ResetStatistics,
    ResultsFailed,
    ResultsOpened,
    ResultsRefused,
    ResultsWritten,
    Start,
    StopAsked,
    TellTestStart,
    TestStarted,
    Tick,
    UsersComplete,
    WriteResults,
)
from inference_swarm.cluster.placement import able_workers, begin_users, choose_hosts, exposed, first_hosts, want_users
from inference_swarm.cluster.protocol import EndWorker, ReleaseRun, RowsFailed, StopRun
from inference_swarm.cluster.run_rows import RunRows
from inference_swarm.cluster.run_workers import note_missing_finals, note_possibly_twice, tick
from inference_swarm.cluster.state import Coordinator, Job, Member, Phase
from inference_swarm.cluster.uncounted import Uncounted
from inference_swarm.errors import ExitCode
from inference_swarm.load.stages import users_at
from inference_swarm.run.course import Change, RunCourse, Stop, StopCause

# An open load begins so much after it was announced, for the message and the users to be there when it does.
OPEN_LEAD_S = 1.0
LEAD_PER_USER_S = 0.004
# Its last requests are on their way when it ends, give or take the difference of two clocks.
OPEN_GRACE_S = 0.1
FINALS_TIMEOUT_S = 10.0
# A worker that is lost when the load ends may only be cut off: so long it may come back with its last report.
RETURN_GRACE_S = 5.0
REPEAT_STOP_S = 1.0
SAY_LOADING_S = 2.0
# A run without any worker waits so long for one to come (a rolling restart, say) before it is stopped.
NO_WORKERS_GRACE_S = 30.0
BUSY = {
    Phase.PREPARING: "a run is being prepared already; stop it first",
    Phase.STARTING: "a run is about to begin; stop it first",
    Phase.RUNNING: "a run is under way; stop it first",
    Phase.STOPPING: "the last run is still stopping: its workers send their last reports; try again in a moment",
    Phase.CLOSING: "the results of the last run are still being written; try again in a moment",
}


def _job(state: Coordinator) -> Job:
    assert state.job is not None  # every phase but IDLE has one
    return state.job


def _enter(state: Coordinator, phase: Phase, now_s: float) -> None:
    state.phase = phase
    if state.job is not None:
        state.job.since_s = now_s


def ignore(state: Coordinator, event: Event, now_s: float) -> None:
    """Nothing follows: it comes too late, or asks for what is so already."""


# IDLE -> PREPARING


def start(state: Coordinator, event: Start, now_s: float) -> None:
    """The wish for a run. Its settings are checked already; now its data are read."""
    if state.is_quitting:
        state.do(Refuse(event.run_id, "the master is about to end"))
        return
    if not any(member.may_take_part for member in state.members.values()):
        reason = "no worker has joined yet, so the run cannot begin; start some, or wait until they have joined"
        _refuse(state, event.run_id, reason, ExitCode.INCOMPLETE)
        return
    course = RunCourse(event.run_id, event.load, event.totals)
    state.job = Job(course, event.kinds, now_s, wanted=(event.load.users, event.load.spawn_rate))
    _enter(state, Phase.PREPARING, now_s)
    state.do(ReadData(event.run_id))


def refuse_start(state: Coordinator, event: Start, now_s: float) -> None:
    """One run at a time, and a wish is never lost without a word."""
    state.do(Refuse(event.run_id, BUSY[state.phase], ExitCode.INCOMPLETE))


def data_read(state: Coordinator, event: DataRead, now_s: float) -> None:
    """Blocks are given to workers, who load them."""
    job = _job(state)
    if event.run_id != job.run_id or job.rows is not None:
        return
    job.rows = RunRows(job.run_id, event.block_rows, event.offer, is_once=job.load.is_once)
    job.said_s = now_s
    rows = sum(event.block_rows)
    job.rows.start(first_hosts(state, job))
    state.note(
        f"Run {job.run_id}: {rows:,} rows in {len(event.block_rows):,} blocks for {len(job.rows.workers)} workers"
    )


def rows_failed(state: Coordinator, event: Received, now_s: float) -> None:
    """A worker cannot load its rows: the run is refused with its reason."""
    message = event.message
    assert isinstance(message, RowsFailed)
    if message.run_id == _job(state).run_id:
        reason = f"worker {event.worker} could not load its rows: {message.reason}"
        _give_up(state, reason, ExitCode.BAD_CONFIGURATION)


def data_refused(state: Coordinator, event: DataRefused, now_s: float) -> None:
    if event.run_id == _job(state).run_id:
        _give_up(state, event.reason, event.code)


def tick_preparing(state: Coordinator, event: Tick, now_s: float) -> None:
    """Loading may not take for ever."""
    tick(state, event, now_s)
    job = _job(state)
    limit_s = job.load.load_timeout_s
    if job.rows is None:
        return
    if now_s - job.said_s >= SAY_LOADING_S:
        job.said_s = now_s
        state.note(f"Loading: {job.rows.describe()}, {now_s - job.since_s:.1f} s")
    if now_s - job.since_s <= limit_s:
        return
    pending = job.rows.pending_workers()
    who = f"{len(pending)} workers had not loaded their rows" if pending else "no worker had loaded rows"
    names = f": {', '.join(pending[:5])}{', …' if len(pending) > 5 else ''}" if pending else ""
    reason = f"{who} after {limit_s:g} s{names}\n  Fix: raise --load-timeout, or look into the logs of these workers"
    _give_up(state, reason, ExitCode.BAD_CONFIGURATION)


def cancel(state: Coordinator, event: StopAsked, now_s: float) -> None:
    """Stopped while its rows are loaded: there is no run."""
    run_id = _job(state).run_id
    _release(state)
    state.job, state.phase = None, Phase.IDLE
    state.do(Cancelled(run_id))
    _over(state, None)


def _give_up(state: Coordinator, reason: str, code: ExitCode) -> None:
    run_id = _job(state).run_id
    _release(state)
    state.job, state.phase = None, Phase.IDLE
    _refuse(state, run_id, reason, code)


def _refuse(state: Coordinator, run_id: str, reason: str, code: ExitCode) -> None:
    state.do(Refuse(run_id, reason, code))
    _over(state, code)


def _release(state: Coordinator) -> None:
    for member in state.here():
        state.send(member, ReleaseRun(_job(state).run_id))


# PREPARING -> STARTING -> RUNNING


def results_opened(state: Coordinator, event: ResultsOpened, now_s: float) -> None:
    job = _job(state)
    if event.run_id == job.run_id:
        job.is_opened = True


def results_refused(state: Coordinator, event: ResultsRefused, now_s: float) -> None:
    if event.run_id == _job(state).run_id:
        _give_up(state, event.reason, ExitCode.BAD_CONFIGURATION)


def results_opened_late(state: Coordinator, event: ResultsOpened, now_s: float) -> None:
    """It was stopped meanwhile: the folder gets the results of a run without requests."""
    results_opened(state, event, now_s)


def test_started(state: Coordinator, event: TestStarted, now_s: float) -> None:
    job = _job(state)
    if event.run_id == job.run_id:
        job.is_test_started = True


def stop_early(state: Coordinator, event: StopAsked, now_s: float) -> None:
    """Stopped while its folder is made or listeners are told: nothing was sent, and its results say so."""
    _end_load(state, event.cause, event.text, now_s)


def _begin(state: Coordinator, job: Job, now_s: float) -> None:
    assert job.rows is not None
    load, hosts = job.load, job.rows.hosts()
    lead_s = OPEN_LEAD_S + LEAD_PER_USER_S * load.users / len(hosts) if load.is_open else 0.0
    job.course.began_s = now_s + lead_s
    job.uncounted = Uncounted(load.schedule, load.drop_after_s, load.stop_timeout_s)
    _enter(state, Phase.RUNNING, now_s)
    state.do(BeginLoad(job.run_id, job.course.began_s))
    begin_users(state, job, now_s)


# RUNNING


def edit_plan(state: Coordinator, event: Edit, now_s: float) -> None:
    """It has not begun: it begins with these users."""
    job = _job(state)
    if event.run_id in ("", job.run_id):
        job.wanted = (event.users, event.spawn_rate)
        job.kinds = event.kinds or job.kinds


def edit_running(state: Coordinator, event: Edit, now_s: float) -> None:
    """Other users from now on; recorded, since the result must say so."""
    job = _job(state)
    if event.run_id not in ("", job.run_id):
        return
    assert job.course.began_s is not None
    if (event.users, event.spawn_rate) != job.wanted:
        what = f"{event.users} users at {event.spawn_rate:g} a second"
        job.course.changes.append(Change(max(0.0, now_s - job.course.began_s), what))
    want_users(job, event.users, event.spawn_rate, now_s, event.kinds)


def reset_statistics(state: Coordinator, event: ResetStatistics, now_s: float) -> None:
    """As a warm-up that ends now: recorded, and the same in every output."""
    job = _job(state)
    assert job.course.began_s is not None
    assert job.users is not None
    at_s = max(0.0, now_s - job.course.began_s)
    job.course.changes.append(Change(at_s, "the statistics were reset"))
    job.users.reset(at_s)
    state.do(BeginEpoch(job.run_id, at_s))


def refuse_edit(state: Coordinator, event: Edit, now_s: float) -> None:
    """There is no run whose users could change."""
    if not event.run_id:
        reason = BUSY.get(state.phase, "no run is under way whose users could change; start one")
        state.do(Refuse("", reason, ExitCode.INCOMPLETE))


def end_s(job: Job) -> float | None:
    """When the load ends by itself; None: when it is stopped."""
    if job.load.length_s is None or job.course.began_s is None:
        return None
    return job.course.began_s + job.load.length_s + (OPEN_GRACE_S if job.load.is_open else 0.0)


def tick_running(state: Coordinator, event: Tick, now_s: float) -> None:
    """Silence, the steps of ramps and stages, and the ends of a run that come with time."""
    tick(state, event, now_s)
    job = _job(state)
    assert job.course.began_s is not None
    until_s = end_s(job)
    if until_s is not None and now_s >= until_s:
        _end_load(state, StopCause.FINISHED, "", now_s)
        return
    if job.load.stages is not None:
        wanted = users_at(job.load.stages, max(0.0, now_s - job.course.began_s))
        if wanted is not None and wanted != job.wanted:
            want_users(job, *wanted, now_s)
    _watch_for_none(state, job, now_s)


def tick_starting(state: Coordinator, event: Tick, now_s: float) -> None:
    tick(state, event, now_s)
    _watch_for_none(state, _job(state), now_s)


def _watch_for_none(state: Coordinator, job: Job, now_s: float) -> None:
    if able_workers(state, job):
        job.alone_since_s = None
    elif job.alone_since_s is None:
        job.alone_since_s = now_s
        text = f"The last worker is gone. The run is stopped unless another joins within {NO_WORKERS_GRACE_S:g} s."
        state.note(text, "error")
    elif now_s - job.alone_since_s > NO_WORKERS_GRACE_S:
        _end_load(state, StopCause.NO_WORKERS, "", now_s)


def stop_asked(state: Coordinator, event: StopAsked, now_s: float) -> None:
    _end_load(state, event.cause, event.text, now_s)


def _end_load(state: Coordinator, cause: StopCause, text: str, now_s: float) -> None:
    """The measured time ends here; users stop, every last report comes in."""
    job = _job(state)
    course = job.course
    for member in state.here():
        note_possibly_twice(job, member, now_s)
    course.ended_s = now_s
    at_s = course.measured_s(now_s)
    course.stop = Stop(cause, at_s, text)
    _enter(state, Phase.STOPPING, now_s)
    if course.began_s is not None:
        state.do(EndLoad(job.run_id))
    _say_stop(state, job, now_s)


def _say_stop(state: Coordinator, job: Job, now_s: float) -> None:
    job.said_s = now_s
    for member in state.here():
        if member.worker in job.waited_for:
            state.send(member, StopRun(job.run_id))


# STOPPING -> CLOSING -> IDLE


def tick_stopping(state: Coordinator, event: Tick, now_s: float) -> None:
    """A stop that was lost is said again; who does not deliver is not waited for without end."""
    tick(state, event, now_s)
    job = _job(state)
    if now_s - job.said_s >= REPEAT_STOP_S:
        _say_stop(state, job, now_s)


def _is_stopped(state: Coordinator, job: Job, now_s: float) -> bool:
    """Every last report is in, or nobody is waited for any more."""
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


def _close(state: Coordinator, job: Job, now_s: float) -> None:
    note_missing_finals(state, job, now_s)
    if job.rows is not None:
        job.course.once = job.rows.once_numbers()
    _release(state)
    _enter(state, Phase.CLOSING, now_s)
    state.do(WriteResults(job.run_id))


def results_written(state: Coordinator, event: ResultsWritten, now_s: float) -> None:
    if event.run_id == _job(state).run_id:
        _closed(state, "", now_s)


def results_failed(state: Coordinator, event: ResultsFailed, now_s: float) -> None:
    """A full disk, say: the process must end all the same, and not as if all were well."""
    if event.run_id == _job(state).run_id:
        state.note(f"The results of run {event.run_id} could not be written: {event.reason}", "error")
        _closed(state, event.reason, now_s)


def _closed(state: Coordinator, failure: str, now_s: float) -> None:
    run_id = _job(state).run_id
    state.job, state.phase = None, Phase.IDLE
    state.do(Closed(run_id, failure))
    _over(state, ExitCode.INCOMPLETE if failure else None)


# the end of the process


def quit_idle(state: Coordinator, event: Quit, now_s: float) -> None:
    quit_later(state, event, now_s)
    _end_if_wanted(state, None)


def quit_preparing(state: Coordinator, event: Quit, now_s: float) -> None:
    quit_later(state, event, now_s)
    cancel(state, StopAsked(StopCause.SIGNAL), now_s)


def quit_starting(state: Coordinator, event: Quit, now_s: float) -> None:
    quit_later(state, event, now_s)
    _end_load(state, StopCause.SIGNAL, "", now_s)


def quit_running(state: Coordinator, event: Quit, now_s: float) -> None:
    quit_later(state, event, now_s)
    _end_load(state, StopCause.SIGNAL, "", now_s)


def quit_later(state: Coordinator, event: Quit, now_s: float) -> None:
    """The run that is under way closes first."""
    state.is_quitting = True
    state.ends_workers = state.ends_workers or event.ends_workers


def _over(state: Coordinator, code: ExitCode | None) -> None:
    """There is no run any more; a process with one run only ends."""
    if state.config.ends_after_run:
        state.is_quitting = state.ends_workers = True
    _end_if_wanted(state, code)


def _end_if_wanted(state: Coordinator, code: ExitCode | None) -> None:
    if not state.is_quitting:
        return
    if state.ends_workers:
        for member in state.here():
            state.send(member, EndWorker("the run is over"))
    state.do(EndProcess(code))


# what may follow from any event


def follow_up(state: Coordinator, now_s: float) -> None:
    """Transitions that depend on several things at once, and the messages that any event may have made due."""
    job = state.job
    if job is None:
        return
    if state.phase is Phase.PREPARING and job.rows is not None and job.rows.is_settled and job.rows.hosts():
        state.note(f"Loaded: {job.rows.describe()}, {now_s - job.since_s:.1f} s")
        _enter(state, Phase.STARTING, now_s)
        state.do(OpenResults(job.run_id))
        state.do(TellTestStart(job.run_id))
    elif state.phase is Phase.STARTING and job.is_opened and job.is_test_started and job.rows and job.rows.hosts():
        _begin(state, job, now_s)
    elif state.phase is Phase.RUNNING and job.rows is not None and job.rows.is_all_sent:
        _end_load(state, StopCause.ALL_SENT, "", now_s)
    if state.phase in (Phase.PREPARING, Phase.STARTING, Phase.RUNNING):
        _place(state, job, now_s)
    if state.phase is Phase.STOPPING and _is_stopped(state, job, now_s):
        _close(state, job, now_s)


def _place(state: Coordinator, job: Job, now_s: float) -> None:
    """Rows follow workers, users follow rows, arrivals follow users."""
    if job.rows is None:
        return
    if job.is_placement_due or job.rows.is_changed:
        job.is_placement_due = job.rows.is_changed = False
        choose_hosts(state, job)
        if job.users is not None:
            job.users.set_hosts(job.rows.hosts(), now_s)
    for worker, hold in job.rows.take_messages():
        if (member := state.members.get(worker)) is not None and member.is_here:
            member.rows_sent = (hold.generation, now_s)
            state.send(member, hold)
    if job.users is None:
        return
    job.users.advance(now_s)
    for worker, message in job.users.take_messages(now_s):
        if (member := state.members.get(worker)) is not None and member.is_here:
            member.users_sent = (message.generation, now_s)
            job.unapplied.add(worker)
            exposed(job, worker, message.generation, now_s)
            state.send(member, message)
    _announce_users(state, job)


def _announce_users(state: Coordinator, job: Job) -> None:
    users = job.users
    if job.is_complete_announced or job.unapplied or users is None or not users.is_settled:
        return
    if users.user_count == users.wanted:
        job.is_complete_announced = True
        state.do(UsersComplete(job.run_id, users.user_count))
