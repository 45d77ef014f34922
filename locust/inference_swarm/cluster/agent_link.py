"""The worker's connection to its master: hello, lease, loss, leaving. Handlers of agent.TABLE."""

from __future__ import annotations

import zlib

from inference_swarm.cluster.agent_events import (
    AgentTick,
    DropLeases,
    EndAsked,
    EndWorkerProcess,
    ExtendLease,
    OpenChannel,
    SendToMaster,
)
from inference_swarm.cluster.agent_run import abandon_run, advance_run, pause, repeat_failure, stop_for_good
from inference_swarm.cluster.agent_state import Agent, RunStage
from inference_swarm.cluster.protocol import (
    PROTOCOL_VERSION,
    ClockAnswer,
    ClockQuestion,
    EndWorker,
    Envelope,
    Goodbye,
    Heartbeat,
    HeartbeatAck,
    Hello,
    Leaving,
    Refused,
    Rejoin,
    Welcome,
    cut,
)
from inference_swarm.cluster.state import HEARTBEAT_S
from inference_swarm.errors import ExitCode

MIN_WAKE_S = 0.001
HELLO_S = 1.0
FIRST_HELLO_S = 0.1  # to the second hello, while master and workers start together; half as much longer each time
# A master that has lost all its workers at once, since it was late itself, must not be asked by all of them at once.
RETURN_SPREAD_S = 0.5
RESEND_S = 3.0
DELIVERY_TIMEOUT_S = 10.0
# A leaving worker of an open load sends its arrivals until others have taken them over, or for this time.
HANDOVER_TIMEOUT_S = 2.0
CLOCK_QUESTIONS = 10
CLOCK_PAUSE_S = 0.05
GOOD_CLOCK_ERROR_NS = 1_000_000  # then no more questions are asked
NS_PER_S = 1_000_000_000


def is_heard(state: Agent, envelope: Envelope) -> bool:
    """Return whether the message is for the present session of this worker."""
    if state.is_ended or envelope.session != state.session:
        return False
    return isinstance(envelope.message, Welcome | Refused) != state.is_joined


# joining


def welcome(state: Agent, message: Welcome, now_s: float) -> None:
    """The worker takes part. Reports that were not confirmed are delivered if the run is still the same."""
    state.is_joined = state.was_joined = True
    state.index = message.index
    state.lease_until_s = state.session_since_s + state.config.lease_s
    state.beats = {}
    state.beat_due_s = now_s
    state.clock.forget()
    state.questions_left, state.question_due_s = CLOCK_QUESTIONS, now_s
    state.note(f"Joined the swarm as worker {message.index}", "debug")
    if state.run_id and message.run_id != state.run_id:
        abandon_run(state, "it belongs to a former master, or was closed meanwhile", now_s)
    elif state.run_id:
        state.do(DropLeases())
        for kept in state.undelivered.values():
            kept.sent_s = None
    if state.is_leaving:
        state.send(Leaving("its process was asked to end"))


def refused(state: Agent, message: Refused, now_s: float) -> None:
    state.note(f"The master refuses this worker: {message.reason}", "error")
    _end(state, ExitCode.BAD_CONFIGURATION)


def rejoin(state: Agent, message: Rejoin, now_s: float) -> None:
    lose_master(state, message.reason, now_s)


def lose_master(state: Agent, reason: str, now_s: float) -> None:
    """The master is lost: users stop at once, and the worker looks for a master. Undelivered reports are kept."""
    state.is_joined = False
    state.note(f"The master is gone ({reason}). Users are stopped; waiting for it or for another one.", "error")
    state.do(OpenChannel())
    state.hello_s = None
    state.hello_due_s = now_s + RETURN_SPREAD_S * _share(state)
    if state.stage is RunStage.SENDING:
        pause(state)


def _say_hello(state: Agent, now_s: float) -> None:
    is_new = state.hello_s is None or now_s - state.session_since_s > state.config.lease_s / 2
    if is_new:
        state.session += 1
        state.session_since_s = now_s
    state.hello_s = now_s
    state.hellos += 1
    state.hello_due_s = now_s + _hello_pause_s(state)
    config = state.config
    hello = Hello(
        PROTOCOL_VERSION,
        config.release,
        state.session,
        config.swarm,
        config.host_name,
        config.pid,
        config.cpu_count,
        config.files_limit,
    )
    state.do(SendToMaster(state.session, hello))


# while joined


def heartbeat_ack(state: Agent, message: HeartbeatAck, now_s: float) -> None:
    """The master has received that heartbeat or a later one."""
    sent_s = state.beats.pop(message.beat, None)
    if sent_s is not None and message.beat == state.beat and state.beat_due_s > now_s:
        # Else the next one comes after HEARTBEAT_S, so that one that is lost ends no lease.
        state.beat_due_s = sent_s + max(HEARTBEAT_S, min(message.next_s, state.config.lease_s / 2))
    if sent_s is not None and sent_s + state.config.lease_s > state.lease_until_s:
        state.lease_until_s = sent_s + state.config.lease_s
        if now_s <= state.lease_until_s:
            state.do(ExtendLease(state.lease_until_s))
    check_lease(state, now_s)


def clock_answer(state: Agent, message: ClockAnswer, now_s: float) -> None:
    state.clock.note(message.sent_ns, message.master_ns, round(now_s * NS_PER_S), message.boot)
    if state.clock.error_ns is not None and state.clock.error_ns <= GOOD_CLOCK_ERROR_NS:
        state.questions_left = 0


def send_heartbeat(state: Agent, now_s: float) -> None:
    """Send the state of this worker."""
    state.beat += 1
    oldest_s = now_s - state.config.lease_s
    state.beats = {beat: sent_s for beat, sent_s in state.beats.items() if sent_s > oldest_s}
    state.beats[state.beat] = now_s
    state.beat_due_s = now_s + HEARTBEAT_S
    is_sending = state.stage is RunStage.SENDING
    name = "stopping" if state.stage is RunStage.STOPPING else "running" if is_sending and state.users else "ready"
    state.send(
        Heartbeat(
            state.beat,
            name,
            state.cpu_percent,
            state.memory_bytes,
            dict(state.users) if is_sending else {},
            state.run_id,
            state.rows_generation,
            state.ready_generation,
            state.users_generation,
        )
    )


def tick(state: Agent, event: AgentTick, now_s: float) -> None:
    """Send hellos without a master; heartbeats, clock questions and repetitions with one."""
    if state.is_ended:
        return
    if not state.is_joined:
        if state.is_leaving:
            return
        if now_s >= state.hello_due_s:
            _say_hello(state, now_s)
        return
    if now_s >= state.beat_due_s:
        send_heartbeat(state, now_s)
    if state.questions_left and now_s >= state.question_due_s:
        state.questions_left -= 1
        state.question_due_s = now_s + CLOCK_PAUSE_S
        state.send(ClockQuestion(round(now_s * NS_PER_S)))


def wake_s(state: Agent, now_s: float) -> float:
    """Return when something is due next that no message triggers."""
    due = [now_s + HEARTBEAT_S]
    if not state.is_joined:
        due.append(state.hello_due_s)
    else:
        due += [state.beat_due_s, state.lease_until_s + MIN_WAKE_S]
        if state.questions_left:
            due.append(state.question_due_s)
        if state.stage is RunStage.SENDING:
            due.append(state.report_due_s)
    if state.lower_at_s is not None:
        due.append(state.lower_at_s)
    return max(now_s + MIN_WAKE_S, min(due))


def _hello_pause_s(state: Agent) -> float:
    """Return the time to the next hello: shorter at the start of the process, spread over time after a loss."""
    if state.was_joined:
        return HELLO_S * (0.5 + _share(state))
    return min(HELLO_S, FIRST_HELLO_S * 1.5 ** (state.hellos - 1))


def _share(state: Agent) -> float:
    """Return a number from 0 to 1 that is another one for each worker and each time."""
    return zlib.crc32(f"{state.config.worker} {state.session} {state.hellos}".encode()) / (1 << 32)


def tick_holding(state: Agent, event: AgentTick, now_s: float) -> None:
    tick(state, event, now_s)
    repeat_failure(state, now_s)


def tick_sending(state: Agent, event: AgentTick, now_s: float) -> None:
    advance_run(state, now_s)
    tick(state, event, now_s)
    repeat_failure(state, now_s)


def check_lease(state: Agent, now_s: float) -> None:
    """Stop the users of a worker without a lease, before any other event is handled."""
    if state.is_joined and now_s > state.lease_until_s:
        silence_s = now_s - (state.lease_until_s - state.config.lease_s)
        lose_master(state, f"nothing heard of it for {silence_s:.1f} s", now_s)


def deliver(state: Agent, now_s: float) -> None:
    """Send every new report, and again every report that was not confirmed in time."""
    if not state.is_joined:
        return
    for kept in state.undelivered.values():
        if kept.sent_s is None or now_s - kept.sent_s > RESEND_S:
            kept.sent_s = now_s
            state.send(kept.report)


# leaving


def end_asked(state: Agent, event: EndAsked, now_s: float) -> None:
    """SIGTERM or Ctrl-C arrived: stop gracefully, deliver everything, then end."""
    if not state.is_leaving:
        state.send(Leaving(cut(event.reason)))
        _leave(state, now_s)


def end_worker(state: Agent, message: EndWorker, now_s: float) -> None:
    """The master ends this worker; it is told that this was heard."""
    state.note("The master ends this worker", "debug")
    state.send(Leaving("its master ended it"))
    _leave(state, now_s)


def _leave(state: Agent, now_s: float) -> None:
    state.is_leaving = True
    if state.stage is not RunStage.SENDING:
        return
    if state.partition is not None and state.is_joined and state.users:
        state.lower_at_s, state.lower_to = now_s + HANDOVER_TIMEOUT_S, {}
    else:
        stop_for_good(state, now_s)


def _is_done(state: Agent) -> bool:
    return state.stage in (RunStage.NONE, RunStage.HOLDING) or (
        state.stage is RunStage.FINAL and (not state.undelivered or not state.is_joined)
    )


def follow_up(state: Agent, now_s: float) -> None:
    """Do what may follow from any event: deliver reports, and end."""
    deliver(state, now_s)
    if not state.is_leaving or state.is_ended:
        return
    if state.stage is RunStage.FINAL and state.leave_by_s is None:
        state.leave_by_s = now_s + DELIVERY_TIMEOUT_S
    is_late = state.leave_by_s is not None and now_s > state.leave_by_s
    if _is_done(state) or is_late:
        if state.undelivered:
            state.note("Not all reports of this worker were delivered to the master", "error")
        _end(state, ExitCode.INCOMPLETE if state.undelivered else ExitCode.PASSED)


def _end(state: Agent, code: ExitCode) -> None:
    state.send(Goodbye())
    state.is_ended = True
    state.do(EndWorkerProcess(code))
