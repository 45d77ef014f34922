"""Workers come, fall silent, come back and leave. Handlers of coordinator.TABLE.

Nothing from a worker is used before it is checked: messages of unknown workers and earlier sessions are dropped,
except reports, which count whenever they arrive.
"""

from __future__ import annotations

from inference_swarm.cluster.events import Received, Tick, WorkerGone, WorkerJoined
from inference_swarm.cluster.protocol import (
    PROTOCOL_VERSION,
    ClockAnswer,
    ClockQuestion,
    Goodbye,
    Heartbeat,
    HeartbeatAck,
    Hello,
    Leaving,
    Message,
    OnceReport,
    Refused,
    Rejoin,
    ReleaseRun,
    StopRun,
    Welcome,
)
from inference_swarm.cluster.run_common import end_with_master, runs_users
from inference_swarm.cluster.state import HEARTBEAT_S, LEASE_S, Coordinator, Job, Member, Phase
from inference_swarm.run.course import Loss

WATCH_PERIOD_S = 0.25
FORGET_LOST_S = 60.0
# Between the heartbeats of each worker of a large swarm, of whom one is a small part.
CALM_HEARTBEAT_S = 2.0
# A master that has more to read than it can has read enough after this time: who was silent for so long is lost.
MAX_BEHIND_S = 30.0
# A hello that has waited longer is not answered. Its worker asks again, and is welcome when others have been heard.
MAX_HELLO_AGE_S = 1.0
# What was said to a worker and is not confirmed by its heartbeats after this time is said again.
REPEAT_S = 2.5
# A worker that was silent for longer may have stood still, even if it is not lost.
STILL_S = 2.5
NS_PER_S = 1_000_000_000


def may_wait(message: Message, read_until_s: float, now_s: float) -> bool:
    """Return whether the message is not to be handled by a master that is behind: hellos would only add to its work."""
    return isinstance(message, Hello) and now_s - read_until_s > MAX_HELLO_AGE_S


def is_heard(state: Coordinator, event: Received, now_s: float) -> bool:
    """Return whether the message is of a worker's present session, or is one that counts without it."""
    message = event.message
    if isinstance(message, Hello):
        return True
    member = state.members.get(event.worker)
    if member is None or member.lost_s is not None or member.session != event.session:
        if isinstance(message, OnceReport | Goodbye):
            return member is not None
        if isinstance(message, Heartbeat) and (member is None or event.session >= member.session):
            _answer_unknown(state, event)
        return False
    if state.job is not None and now_s - member.heard_s > STILL_S:
        state.job.uncounted.was_silent(member.worker)
    member.heard_s = now_s
    member.is_welcome = True
    return True


def _answer_unknown(state: Coordinator, event: Received) -> None:
    """Ask an unknown worker to stop its users and join again."""
    unknown = Member(event.worker, event.session, 0, 0.0)
    state.send(unknown, Rejoin("the master does not know this worker, or had marked it lost"))


def hello(state: Coordinator, event: Received, now_s: float) -> None:
    """Welcome a worker, each time it asks; a new session of a known worker is a loss and a join."""
    message = event.message
    assert isinstance(message, Hello)
    known = state.members.get(event.worker)
    if known is not None and message.session < known.session:
        return
    answer_to = Member(event.worker, message.session, 0, now_s)
    refusal = _refusal(state, message)
    if refusal:
        state.send(answer_to, Refused(PROTOCOL_VERSION, refusal))
        state.note(f"Worker {event.worker[:80]!a} cannot take part: {refusal}", "error")
        return
    is_same = known is not None and known.session == message.session and known.is_here
    if known is not None and not is_same and known.is_here:
        if known.is_welcome:
            lose(state, known, "it lost the connection and came back", now_s)
        else:  # it asked again, since the welcome took long: it had nothing yet
            _take_out(state, known, now_s)
            state.do(WorkerGone(known.worker, ""))
    if not is_same:
        index = state.next_index if known is None else known.index
        state.next_index = max(state.next_index, index + 1)
        state.members.pop(event.worker, None)
        known = state.members[event.worker] = Member(event.worker, message.session, index, now_s, message.files_limit)
    assert known is not None
    known.heard_s = now_s
    job = state.job
    state.send(known, Welcome(known.index, "" if job is None else job.run_id, state.config.swarm))
    end_with_master(state, known)
    if is_same:
        return
    state.do(WorkerJoined(known.worker, known.index))
    if job is None or state.phase is Phase.CLOSING:
        return
    job.is_placement_due = True
    if job.course.losses.pop(known.worker, None) is not None:
        state.note(f"Worker {known.worker} is back; what it had not delivered comes now")
    if state.phase is Phase.STOPPING and known.worker in job.waited_for:
        state.send(known, StopRun(job.run_id))


def _refusal(state: Coordinator, message: Hello) -> str:
    if message.protocol_version != PROTOCOL_VERSION:
        return f"it speaks version {message.protocol_version} of the protocol, the master {PROTOCOL_VERSION}"
    if message.swarm and message.swarm != state.config.swarm:
        return "it was started by another master, whose port this one has"
    return ""


def tick(state: Coordinator, event: Tick, now_s: float) -> None:
    """Mark workers lost that were silent for too long; not when this process itself was suspended or is behind."""
    read_until_s = min(now_s, max(event.read_until_s, now_s - MAX_BEHIND_S))
    gap_s = 0.0 if state.ticked_s is None else now_s - state.ticked_s
    state.ticked_s = now_s
    is_late = gap_s > 4 * WATCH_PERIOD_S
    forgiven_s, state.late_s = state.late_s, state.late_s + gap_s if is_late else 0.0
    if is_late and forgiven_s < MAX_BEHIND_S:
        for member in state.here():
            member.heard_s = max(member.heard_s, min(now_s, member.heard_s + gap_s))
        if state.job is not None:
            state.job.since_s += gap_s
        return
    for member in list(state.members.values()):
        silence_s = read_until_s - member.heard_s
        if member.lost_s is None and silence_s > state.config.silence_s:
            lose(state, member, f"not heard of for {silence_s:.1f} s", now_s)
        elif member.lost_s is not None and now_s - member.lost_s > FORGET_LOST_S:
            del state.members[member.worker]


def lose(state: Coordinator, member: Member, reason: str, now_s: float) -> None:
    """Mark a worker lost; it may come back."""
    member.lost_s = now_s
    member.users = {}
    held_rows = _holds_rows(state, member)
    if state.job is not None:
        state.job.uncounted.was_silent(member.worker)
    _take_out(state, member, now_s)
    _note_loss(state, member, reason, now_s, held_rows=held_rows)
    has_delivered = member.is_leaving and (state.job is None or member.worker not in state.job.waited_for)
    state.do(WorkerGone(member.worker, "" if has_delivered else reason))


def _holds_rows(state: Coordinator, member: Member) -> bool:
    """Return whether the worker was to take part in the run, whether it sends already or not."""
    rows = state.job.rows if state.job is not None else None
    return rows is not None and member.worker in rows.workers and not member.is_leaving


def _take_out(state: Coordinator, member: Member, now_s: float) -> None:
    job = state.job
    if job is None:
        return
    job.is_placement_due = True
    job.unapplied.discard(member.worker)
    note_possible_duplicates(job, member, now_s)
    if job.rows is not None:
        job.rows.lose(member.worker)
    if job.users is not None:
        job.users.forget(member.worker)
    member.begin_run()


def note_possible_duplicates(job: Job, member: Member, now_s: float) -> None:
    """The worker stops, and may not have learned of the last change of its arrivals."""
    if job.course.began_s is not None and job.course.ended_s is None:
        until_s = min(now_s, member.heard_s + LEASE_S)
        job.course.untold_duplicates += job.uncounted.possible_duplicates(member.worker, until_s)


def _note_loss(state: Coordinator, member: Member, reason: str, now_s: float, *, held_rows: bool = False) -> None:
    job = state.job
    if job is None or state.phase is Phase.CLOSING:
        return
    if member.worker in job.waited_for:
        loss = _loss(job, member.worker, reason, min(now_s, member.heard_s + LEASE_S))
    elif held_rows and state.phase is not Phase.STOPPING:
        loss = Loss(f"{reason}, before it had users", 0)
    else:
        return
    job.course.losses[member.worker] = loss
    state.note(f"Worker {member.worker} is lost: {loss.sentence}", "error")


def _loss(job: Job, worker: str, reason: str, until_s: float) -> Loss:
    """Return what is lost with a worker that may have sent until `until_s`."""
    rows = None if job.rows is None else job.rows.possibly_sent(worker)
    granted = None if job.budget is None else job.budget.possibly_sent(worker)
    bounds = [job.uncounted.bound(worker, until_s, sent) for sent in (rows, granted) if sent is not None]
    if not bounds or job.load.is_open:
        # Closed load: users that waited for grants are no measure of how fast others sent.
        bounds.append(job.uncounted.bound(worker, until_s))
    bound = min((one for one in bounds if one is not None), default=None)
    return Loss(reason, bound, job.uncounted.unreported_duplicates(worker))


def note_missing_finals(state: Coordinator, job: Job, now_s: float) -> None:
    """The run closes: name the workers whose last report is missing."""
    if job.course.began_s is None:
        return
    for worker in sorted(job.waited_for):
        if worker not in job.course.losses:
            job.course.losses[worker] = _loss(job, worker, "its last report did not come", now_s)
            state.note(f"Worker {worker}: its last report did not come", "error")


def heartbeat(state: Coordinator, event: Received, now_s: float) -> None:
    """Extend the worker's lease, and note which orders it has applied."""
    message = event.message
    assert isinstance(message, Heartbeat)
    member = state.members[event.worker]
    member.state, member.users = message.state, dict(message.users)
    member.cpu_percent, member.memory_bytes = message.cpu_percent, message.memory_bytes
    is_large = len(state.members) > state.config.calm_workers
    state.send(member, HeartbeatAck(message.beat, CALM_HEARTBEAT_S if is_large else HEARTBEAT_S))
    job = state.job
    run_id = "" if job is None or state.phase is Phase.CLOSING else job.run_id
    if message.run_id and message.run_id != run_id:
        state.send(member, ReleaseRun(message.run_id))
    if job is None or state.phase not in (Phase.PREPARING, Phase.STARTING, Phase.RUNNING) or job.rows is None:
        return
    is_mine = message.run_id == job.run_id
    if is_mine:
        job.rows.confirm(member.worker, message.ready_generation)
        member.users_applied = max(member.users_applied, message.users_generation)
        job.uncounted.applied(member.worker, message.users_generation, now_s)
        if job.users is not None:
            job.users.confirm(member.worker, message.users_generation)
        if member.users_applied >= member.users_sent[0]:
            job.unapplied.discard(member.worker)
        if job.users is not None and job.rows.is_host(member.worker) and runs_users(job.users, member):
            job.attendance.leased_until_s = now_s + state.config.lease_s
    generation, sent_s = member.rows_sent
    if generation > (message.rows_generation if is_mine else -1) and now_s - sent_s > REPEAT_S:
        job.rows.repeat(member.worker)
    generation, sent_s = member.users_sent
    is_behind = generation > (message.users_generation if is_mine else -1)
    if job.users is not None and is_behind and now_s - sent_s > REPEAT_S:
        job.users.repeat(member.worker)


def clock_question(state: Coordinator, event: Received, now_s: float) -> None:
    message = event.message
    assert isinstance(message, ClockQuestion)
    answer = ClockAnswer(message.sent_ns, round(now_s * NS_PER_S), state.config.boot)
    state.send(state.members[event.worker], answer)


def leaving(state: Coordinator, event: Received, now_s: float) -> None:
    """The worker leaves gracefully: its rows and users go to others, its last report is still to come."""
    message = event.message
    assert isinstance(message, Leaving)
    member = state.members[event.worker]
    if not member.is_leaving:
        member.is_leaving = True
        if state.job is not None:
            state.job.is_placement_due = True
        state.note(f"Worker {event.worker} leaves: {message.reason}", "debug")


def goodbye(state: Coordinator, event: Received, now_s: float) -> None:
    """The worker has left. That is a loss only if one of its reports is missing."""
    member = state.members[event.worker]
    was_here = member.is_here
    member.lost_s = now_s if was_here else member.lost_s
    if was_here:
        _take_out(state, member, now_s)
        _note_loss(state, member, "it left before its last report was in", now_s)
    job = state.job
    if job is None or member.worker not in job.course.losses:
        del state.members[event.worker]
    if was_here:
        state.do(WorkerGone(event.worker, ""))
