"""A worker's part of a run: rows, users, snapshots. Handlers of agent.TABLE."""

from __future__ import annotations

from inference_swarm.cluster.agent_events import (
    AcknowledgeOnce,
    AgentEvent,
    ApplyUsers,
    BeginRecording,
    DropRecording,
    DropRows,
    GiveBackRows,
    Hold,
    OnceProgressed,
    RowsAreLoading,
    RowsAreReady,
    RowsCouldNotLoad,
    SetEpochs,
    SetPartition,
    SetSteps,
    SnapshotTaken,
    StopUsers,
    TakeSnapshot,
    UsersStopped,
)
from inference_swarm.cluster.agent_state import Agent, RunStage, Undelivered
from inference_swarm.cluster.protocol import (
    HoldRows,
    Message,
    OnceAck,
    OnceReport,
    Partition,
    ReleaseRun,
    Report,
    ReportAck,
    RowsFailed,
    SetUsers,
    StopRun,
    cut,
)
from inference_swarm.load.steps import LoadStep

REPORT_S = 3.0
# A load that is decided by what it does to the server: sooner.
REPORT_OF_STEPS_S = 1.0
REPEAT_FAILURE_S = 2.5
# Users that are not needed any more stay so much longer: an arrival of the last moment finds one.
LAST_ARRIVALS_S = 0.1
NS_PER_S = 1_000_000_000


def ignore(state: Agent, event: AgentEvent | Message, now_s: float) -> None:
    """Ignore the event: it comes too late, or belongs to another run."""


# rows


def hold_first(state: Agent, message: HoldRows, now_s: float) -> None:
    """Hold the first rows of a run. Without the offer that goes with them, the master sends it again."""
    if message.offer is None or state.is_leaving:
        return
    state.run_id = message.run_id
    state.rows_generation = message.generation
    state.ready_generation = state.users_generation = -1
    state.users, state.partition, state.failure, state.epochs_ns, state.steps = {}, None, "", (), ()
    state.stage = RunStage.HOLDING
    state.do(Hold(message))


def hold(state: Agent, message: HoldRows, now_s: float) -> None:
    """Hold other rows of the same run, or the first rows of another one."""
    if message.run_id != state.run_id:
        hold_other_run(state, message, now_s)
    elif state.failure:
        _say_failure(state, now_s)
    else:
        state.rows_generation = message.generation
        if not (state.is_leaving and state.stage is RunStage.SENDING):  # its users need rows until others take over
            state.do(Hold(message))


def hold_other_run(state: Agent, message: HoldRows, now_s: float) -> None:
    """The master is in another run: this one is over, whatever became of it."""
    if message.run_id != state.run_id:
        abandon_run(state, "the master has begun another one", now_s)
        hold_first(state, message, now_s)


def rows_ready(state: Agent, event: RowsAreReady, now_s: float) -> None:
    state.ready_generation = max(state.ready_generation, event.message.generation)
    state.send(event.message)


def rows_loading(state: Agent, event: RowsAreLoading, now_s: float) -> None:
    state.send(event.message)


def rows_failed(state: Agent, event: RowsCouldNotLoad, now_s: float) -> None:
    """Report the failure until the master has decided what follows from it."""
    state.failure = cut(event.reason)
    _say_failure(state, now_s)


def _say_failure(state: Agent, now_s: float) -> None:
    state.failure_sent_s = now_s
    state.send(RowsFailed(state.run_id, state.rows_generation, state.failure))


def repeat_failure(state: Agent, now_s: float) -> None:
    """Send the failure again, since the message may have been lost."""
    if state.failure and now_s - state.failure_sent_s > REPEAT_FAILURE_S:
        _say_failure(state, now_s)


def once_progressed(state: Agent, event: OnceProgressed, now_s: float) -> None:
    state.send(OnceReport.of(event.run_id, event.sequence, event.progress))


def once_ack(state: Agent, message: OnceAck, now_s: float) -> None:
    state.do(AcknowledgeOnce(message.sequence))


# users


def begin_sending(state: Agent, message: SetUsers, now_s: float) -> None:
    """Start the first users of this worker in the run."""
    if message.generation <= state.users_generation or state.is_leaving:
        return
    if not any(message.users.values()):
        state.users_generation = message.generation
        return
    state.clock.note_message(message.now_ns, round(now_s * NS_PER_S), message.boot)
    state.began_s = state.clock.to_local_ns(message.began_ns) / NS_PER_S
    state.stage = RunStage.SENDING
    state.report_due_s = now_s + (REPORT_S if not message.steps else REPORT_OF_STEPS_S)
    state.do(BeginRecording(state.run_id, state.began_s))
    set_users(state, message, now_s)


def set_users(state: Agent, message: SetUsers, now_s: float) -> None:
    """Run other users. In an open load, a decrease names the instant from which others send the arrivals."""
    if message.generation <= state.users_generation:
        return
    state.users_generation = message.generation
    users = {name: count for name, count in message.users.items() if count}
    partition = message.partition
    if message.epochs_ns != state.epochs_ns:
        state.epochs_ns = message.epochs_ns
        state.do(SetEpochs(message.epochs_ns))
    steps = tuple(LoadStep(step.from_ns, step.settled_ns, step.rate_rps) for step in message.steps)
    if steps != state.steps:
        state.steps = steps
        state.do(SetSteps(steps))
    for missed in _after(state.partition, message.earlier):
        state.partition = missed
        state.do(SetPartition(missed))
    if partition is not None and partition != state.partition:
        state.partition = partition
        state.do(SetPartition(partition))
    if state.is_leaving and users:
        return  # the master does not know yet: until others take over, the users go on as they are
    state.lower_at_s = None
    if partition is not None and sum(users.values()) < sum(state.users.values()):
        from_s = state.began_s + partition.from_ns / NS_PER_S
        if from_s > now_s:
            state.lower_at_s, state.lower_to = from_s + LAST_ARRIVALS_S, users
            state.beat_due_s = now_s  # that it has heard whose its arrivals are is known before it leaves
            return
    _apply_users(state, users, now_s)


def _after(known: Partition | None, earlier: tuple[Partition, ...]) -> tuple[Partition, ...]:
    """Return the partitions that came after the known one; all of them when it is not among them: it is older."""
    last = max((number for number, partition in enumerate(earlier) if partition == known), default=-1)
    return earlier[last + 1 :]


def _apply_users(state: Agent, users: dict[str, int], now_s: float) -> None:
    state.lower_at_s = None
    if state.is_leaving:
        stop_for_good(state, now_s)
        return
    state.users = users
    state.do(ApplyUsers(dict(users)))
    state.beat_due_s = now_s  # so that the master knows soon


def pause(state: Agent) -> None:
    """Without a master users stop; the run may go on when there is one again."""
    state.users = {}
    state.partition = None
    state.lower_at_s = None
    state.token += 1
    state.do(StopUsers(state.token, state.lease_until_s))
    if state.is_leaving:
        state.stage = RunStage.STOPPING


def users_paused(state: Agent, event: UsersStopped, now_s: float) -> None:
    """The users have stopped; their results are kept until a master takes them."""
    if event.token == state.token:
        state.do(TakeSnapshot(state.run_id, is_final=False))


def advance_run(state: Agent, now_s: float) -> None:
    """Stop users when that is due, and report every few seconds."""
    if state.lower_at_s is not None and now_s >= state.lower_at_s:
        _apply_users(state, state.lower_to, now_s)
    if state.stage is RunStage.SENDING and state.is_joined and now_s >= state.report_due_s:
        period_s = REPORT_S if not state.steps else REPORT_OF_STEPS_S
        state.report_due_s = max(now_s, state.report_due_s + period_s)
        state.do(TakeSnapshot(state.run_id, is_final=False))


# the end of a run


def stop(state: Agent, message: StopRun, now_s: float) -> None:
    stop_for_good(state, now_s)


def stop_for_good(state: Agent, now_s: float) -> None:
    """Stop the users; the final report follows when none is left or the stop timeout is over."""
    state.stage = RunStage.STOPPING
    state.users = {}
    state.lower_at_s = None
    state.token += 1
    state.do(StopUsers(state.token, now_s, is_final=True))


def stop_unbegun(state: Agent, message: StopRun, now_s: float) -> None:
    """The worker was to have users but never learned of them: its report says that it sent nothing."""
    state.stage = RunStage.STOPPING
    _finish(state)


def users_stopped(state: Agent, event: UsersStopped, now_s: float) -> None:
    if event.token == state.token:
        _finish(state)


def _finish(state: Agent) -> None:
    state.do(GiveBackRows())
    state.do(TakeSnapshot(state.run_id, is_final=True))


def snapshot_taken(state: Agent, event: SnapshotTaken, now_s: float) -> None:
    """Keep the snapshot until the master has confirmed it."""
    report = Report(
        event.run_id, event.sequence, event.is_final, event.snapshot, event.locust, event.once, event.requests
    )
    state.undelivered[event.run_id, event.sequence] = Undelivered(report)
    if event.is_final:
        state.stage = RunStage.FINAL


def report_ack(state: Agent, message: ReportAck, now_s: float) -> None:
    state.undelivered.pop((message.run_id, message.sequence), None)


def deliver_again(state: Agent, message: StopRun, now_s: float) -> None:
    """Send the last report again, which the master is missing."""
    for kept in state.undelivered.values():
        kept.sent_s = None


def release(state: Agent, message: ReleaseRun, now_s: float) -> None:
    """The run is over: its rows need not be kept in memory."""
    _forget_run(state)


def release_running(state: Agent, message: ReleaseRun, now_s: float) -> None:
    """The run is over, and this worker was not waited for."""
    abandon_run(state, "the master has closed it", now_s)


def abandon_run(state: Agent, reason: str, now_s: float) -> None:
    """Abandon the run, which no master has any more: users stop at once, undelivered reports are lost."""
    if state.stage in (RunStage.SENDING, RunStage.STOPPING):
        state.token += 1
        state.do(StopUsers(state.token, min(now_s, state.lease_until_s), is_at_once=True))
    if state.undelivered:
        state.note(f"{len(state.undelivered)} reports of run {state.run_id} are lost: {reason}", "error")
    _forget_run(state)


def _forget_run(state: Agent) -> None:
    state.undelivered = {key: kept for key, kept in state.undelivered.items() if key[0] != state.run_id}
    state.run_id = ""
    state.rows_generation = state.ready_generation = state.users_generation = -1
    state.users, state.partition, state.lower_at_s, state.failure = {}, None, None, ""
    state.stage = RunStage.NONE
    state.do(DropRecording())
    state.do(DropRows())
