"""A worker's decisions: `step` takes the state, an event and the time, and returns what is to be done.

No clock, no sockets, no users, no rows: adapters feed events and execute actions (worker_runner.py, local_runner.py).
TABLE says what follows from each event in each stage of a run; a test holds that no pair is missing.

    NONE -HoldRows-> HOLDING -SetUsers-> SENDING -StopRun-> STOPPING -users have stopped-> FINAL -ReleaseRun-> NONE

Beside that a worker is joined to a master or not. It may send while it has a lease, which each answered heartbeat
extends; without one it stops its users and sends hellos until a master responds. What no master has confirmed is
kept meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable

from inference_swarm.cluster import agent_link as link
from inference_swarm.cluster import agent_probe, agent_requests, protocol
from inference_swarm.cluster import agent_run as run
from inference_swarm.cluster.agent_events import (
    AgentAction,
    AgentEvent,
    AgentTick,
    EndAsked,
    OnceProgressed,
    RequestsCounted,
    RowsAreLoading,
    RowsAreReady,
    RowsCouldNotLoad,
    SnapshotTaken,
    TargetIsProbed,
    UsersStopped,
)
from inference_swarm.cluster.agent_state import Agent, RunStage

Handler = Callable[..., None]


def _row(
    *, none: Handler, holding: Handler, sending: Handler, stopping: Handler, final: Handler
) -> dict[RunStage, Handler]:
    return {
        RunStage.NONE: none,
        RunStage.HOLDING: holding,
        RunStage.SENDING: sending,
        RunStage.STOPPING: stopping,
        RunStage.FINAL: final,
    }


def _always(handler: Handler) -> dict[RunStage, Handler]:
    return dict.fromkeys(RunStage, handler)


TABLE: dict[type[AgentEvent] | type[protocol.Message], dict[RunStage, Handler]] = {
    # the master
    protocol.Welcome: _always(link.welcome),
    protocol.Refused: _always(link.refused),
    protocol.Rejoin: _always(link.rejoin),
    protocol.HeartbeatAck: _always(link.heartbeat_ack),
    protocol.ClockAnswer: _always(link.clock_answer),
    protocol.EndWorker: _always(link.end_worker),
    protocol.HoldRows: _row(
        none=run.hold_first,
        holding=run.hold,
        sending=run.hold,
        stopping=run.hold_other_run,
        final=run.hold_other_run,
    ),
    protocol.ProbeTarget: _row(
        none=run.ignore,
        holding=agent_probe.probe,
        sending=run.ignore,
        stopping=run.ignore,
        final=run.ignore,
    ),
    protocol.SetUsers: _row(
        none=run.ignore,
        holding=run.begin_sending,
        sending=run.set_users,
        stopping=run.ignore,
        final=run.ignore,
    ),
    protocol.StopRun: _row(
        none=run.ignore,
        holding=run.stop_unbegun,
        sending=run.stop,
        stopping=run.ignore,
        final=run.deliver_again,
    ),
    protocol.ReportAck: _always(run.report_ack),
    protocol.OnceAck: _row(
        none=run.ignore,
        holding=run.once_ack,
        sending=run.once_ack,
        stopping=run.once_ack,
        final=run.once_ack,
    ),
    protocol.GrantRequests: _row(
        none=run.ignore,
        holding=run.ignore,
        sending=agent_requests.granted,
        stopping=run.ignore,
        final=run.ignore,
    ),
    protocol.ReleaseRun: _row(
        none=run.ignore,
        holding=run.release,
        sending=run.release_running,
        stopping=run.release_running,
        final=run.release,
    ),
    # this process
    RowsAreReady: _row(
        none=run.ignore,
        holding=run.rows_ready,
        sending=run.rows_ready,
        stopping=run.ignore,
        final=run.ignore,
    ),
    RowsAreLoading: _row(
        none=run.ignore,
        holding=run.rows_loading,
        sending=run.rows_loading,
        stopping=run.ignore,
        final=run.ignore,
    ),
    RowsCouldNotLoad: _row(
        none=run.ignore,
        holding=run.rows_failed,
        sending=run.rows_failed,
        stopping=run.ignore,
        final=run.ignore,
    ),
    TargetIsProbed: _row(
        none=run.ignore,
        holding=agent_probe.probed,
        sending=run.ignore,
        stopping=run.ignore,
        final=run.ignore,
    ),
    OnceProgressed: _row(
        none=run.ignore,
        holding=run.once_progressed,
        sending=run.once_progressed,
        stopping=run.once_progressed,
        final=run.once_progressed,
    ),
    RequestsCounted: _row(
        none=run.ignore,
        holding=run.ignore,
        sending=agent_requests.counted,
        stopping=agent_requests.counted,
        final=run.ignore,
    ),
    UsersStopped: _row(
        none=run.ignore,
        holding=run.ignore,
        sending=run.users_paused,
        stopping=run.users_stopped,
        final=run.ignore,
    ),
    SnapshotTaken: _row(
        none=run.ignore,
        holding=run.ignore,
        sending=run.snapshot_taken,
        stopping=run.snapshot_taken,
        final=run.snapshot_taken,
    ),
    EndAsked: _always(link.end_asked),
    AgentTick: _row(
        none=link.tick,
        holding=link.tick_holding,
        sending=link.tick_sending,
        stopping=link.tick,
        final=link.tick,
    ),
}

# Of another run than the present one these mean nothing: they are dropped before the table is consulted.
OF_ONE_RUN = (
    protocol.ProbeTarget,
    protocol.SetUsers,
    protocol.StopRun,
    protocol.OnceAck,
    protocol.GrantRequests,
    protocol.ReleaseRun,
    RowsAreReady,
    RowsAreLoading,
    RowsCouldNotLoad,
    TargetIsProbed,
    OnceProgressed,
    RequestsCounted,
    SnapshotTaken,
)


def step(state: Agent, event: AgentEvent | protocol.Envelope, now_s: float) -> list[AgentAction]:
    """Return everything that follows from the event, in the order in which to do it. Changes `state` in place."""
    if not isinstance(event, protocol.Envelope) or not isinstance(event.message, protocol.HeartbeatAck):
        link.check_lease(state, now_s)
    if not isinstance(event, protocol.Envelope):
        _handle(state, event, now_s)
    elif link.is_heard(state, event):
        _handle(state, event.message, now_s)
    link.follow_up(state, now_s)
    actions, state.actions = state.actions, []
    return actions


def _handle(state: Agent, event: AgentEvent | protocol.Message, now_s: float) -> None:
    if not isinstance(event, OF_ONE_RUN) or event.run_id == state.run_id:
        TABLE[type(event)][state.stage](state, event, now_s)


def wake_s(state: Agent, now_s: float) -> float:
    """Return when the next AgentTick is due at the latest."""
    return link.wake_s(state, now_s)
