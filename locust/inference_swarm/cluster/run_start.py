"""From the request for a run to its first user: IDLE, PREPARING and STARTING. Handlers of coordinator.TABLE."""

from __future__ import annotations

from inference_swarm.cluster.attendance import Attendance
from inference_swarm.cluster.events import (
    BeginLoad,
    Cancelled,
    DataRead,
    DataRefused,
    Edit,
    Quit,
    ReadData,
    Received,
    Refuse,
    ResultsOpened,
    ResultsRefused,
    Start,
    StopAsked,
    TestStarted,
    Tick,
)
from inference_swarm.cluster.placement import begin_users, first_hosts, reason_against_files
from inference_swarm.cluster.presence import tick
from inference_swarm.cluster.protocol import RowsFailed
from inference_swarm.cluster.request_budget import RequestBudget
from inference_swarm.cluster.run_common import (
    BUSY,
    enter,
    give_up,
    job_of,
    over,
    reason_against_start,
    refuse,
    release,
    without_run,
)
from inference_swarm.cluster.run_end import end_load, quit_later
from inference_swarm.cluster.run_load import watch_for_none
from inference_swarm.cluster.run_probe import is_asking
from inference_swarm.cluster.run_rows import RunRows
from inference_swarm.cluster.state import Coordinator, Job, Phase
from inference_swarm.cluster.uncounted import Uncounted
from inference_swarm.errors import ExitCode
from inference_swarm.run.course import RunCourse, StopCause

# An open load begins this long after the announcement, for the message and the users to be there when it does.
OPEN_LEAD_S = 1.0
LEAD_PER_USER_S = 0.004
LOG_LOADING_S = 2.0


def start(state: Coordinator, event: Start, now_s: float) -> None:
    """Begin a run. Its settings are checked already; now its data are read."""
    if reason := reason_against_start(state):
        if state.is_quitting:
            state.do(Refuse(event.run_id, reason))
        else:
            refuse(state, event.run_id, reason, ExitCode.INCOMPLETE)
        return
    course = RunCourse(event.run_id, event.load, event.totals)
    state.job = Job(course, event.classes, now_s, wanted=(event.load.users, event.load.spawn_rate))
    enter(state, Phase.PREPARING, now_s)
    state.do(ReadData(event.run_id))


def refuse_start(state: Coordinator, event: Start, now_s: float) -> None:
    """Refuse a second run, with a reason."""
    state.do(Refuse(event.run_id, BUSY[state.phase], ExitCode.INCOMPLETE))


def data_read(state: Coordinator, event: DataRead, now_s: float) -> None:
    """Assign the blocks to workers, who load them."""
    job = job_of(state)
    if job.rows is not None:
        return
    hosts = first_hosts(state, job)
    if reason := reason_against_files(state, job, hosts):
        give_up(state, reason, ExitCode.BAD_CONFIGURATION)
        return
    job.rows = RunRows(
        job.run_id, event.block_rows, event.offer, is_once=job.load.is_once, batch_size=job.load.batch_size
    )
    job.notified_s = now_s
    for member in state.members.values():
        member.begin_run()
    rows = sum(event.block_rows)
    job.rows.start(hosts)
    state.note(
        f"Run {job.run_id}: {rows:,} rows in {len(event.block_rows):,} blocks for {len(job.rows.workers)} workers"
    )


def rows_failed(state: Coordinator, event: Received, now_s: float) -> None:
    """A worker cannot load its rows: the run is refused with its reason."""
    message = event.message
    assert isinstance(message, RowsFailed)
    reason = f"worker {event.worker} has failed: {message.reason}"
    give_up(state, reason, ExitCode.BAD_CONFIGURATION)


def data_refused(state: Coordinator, event: DataRefused, now_s: float) -> None:
    give_up(state, event.reason, event.code)


def tick_preparing(state: Coordinator, event: Tick, now_s: float) -> None:
    """Refuse a run whose loading takes too long."""
    tick(state, event, now_s)
    job = job_of(state)
    limit_s = job.load.load_timeout_s
    if job.rows is None:
        return
    if is_asking(job):  # for as long as the timeouts of its requests allow; the time to load begins again after it
        job.since_s = job.notified_s = now_s
        return
    if now_s - job.notified_s >= LOG_LOADING_S:
        job.notified_s = now_s
        state.note(f"Loading: {job.rows.describe()}, {now_s - job.since_s:.1f} s")
    if now_s - job.since_s <= limit_s:
        return
    pending = job.rows.pending_workers()
    who = f"{len(pending)} workers had not loaded their rows" if pending else "no worker had loaded rows"
    names = f": {', '.join(pending[:5])}{', …' if len(pending) > 5 else ''}" if pending else ""
    reason = f"{who} after {limit_s:g} s{names}\n  Fix: raise --load-timeout, or look into the logs of these workers"
    give_up(state, reason, ExitCode.BAD_CONFIGURATION)


def cancel(state: Coordinator, event: StopAsked, now_s: float) -> None:
    """The run is stopped while its rows are loaded: it does not begin."""
    run_id = job_of(state).run_id
    release(state)
    state.job, state.phase = None, Phase.IDLE
    state.do(Cancelled(run_id))
    over(state, without_run(state))


def results_opened(state: Coordinator, event: ResultsOpened, now_s: float) -> None:
    job_of(state).is_opened = True


def results_refused(state: Coordinator, event: ResultsRefused, now_s: float) -> None:
    give_up(state, event.reason, ExitCode.BAD_CONFIGURATION)


def test_started(state: Coordinator, event: TestStarted, now_s: float) -> None:
    job_of(state).is_test_started = True


def stop_early(state: Coordinator, event: StopAsked, now_s: float) -> None:
    """The run is stopped while its folder is made or listeners are notified: nothing was sent, as its results say."""
    end_load(state, event.cause, event.text, now_s)


def edit_plan(state: Coordinator, event: Edit, now_s: float) -> None:
    """Change the plan of a run that has not begun: it begins with these users."""
    job = job_of(state)
    if event.run_id in ("", job.run_id):
        job.wanted = (event.users, event.spawn_rate)
        job.classes = event.classes or job.classes


def tick_starting(state: Coordinator, event: Tick, now_s: float) -> None:
    tick(state, event, now_s)
    watch_for_none(state, job_of(state), now_s)


def begin(state: Coordinator, job: Job, now_s: float) -> None:
    assert job.rows is not None
    load, hosts = job.load, job.rows.hosts()
    lead_s = OPEN_LEAD_S + LEAD_PER_USER_S * load.users / len(hosts) if load.is_open else 0.0
    job.course.began_s = now_s + lead_s
    job.attendance = Attendance(job.course.began_s, job.course.began_s + state.config.lease_s)
    job.uncounted = Uncounted(load.schedule, load.drop_after_s, job.course.began_s)
    if load.requests is not None:
        job.budget = RequestBudget(load.requests, is_open=load.is_open)
    enter(state, Phase.RUNNING, now_s)
    state.do(BeginLoad(job.run_id, job.course.began_s))
    begin_users(state, job, now_s)


def quit_preparing(state: Coordinator, event: Quit, now_s: float) -> None:
    quit_later(state, event, now_s)
    cancel(state, StopAsked(StopCause.SIGNAL), now_s)
