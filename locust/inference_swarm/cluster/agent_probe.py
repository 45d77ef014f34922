"""A worker asks the server before a run begins, when the master wants it to. Handlers of agent.TABLE."""

from __future__ import annotations

from inference_swarm.cluster.agent_events import Probe, TargetIsProbed
from inference_swarm.cluster.agent_state import Agent
from inference_swarm.cluster.protocol import ProbeTarget


def probe(state: Agent, message: ProbeTarget, now_s: float) -> None:
    """Ask the server, once for a run; the master repeats the message until it has the reply."""
    if state.probed_run != state.run_id:
        state.probed_run, state.probed = state.run_id, None
        state.do(Probe(state.run_id))
    elif state.probed is not None:
        state.send(state.probed)


def probed(state: Agent, event: TargetIsProbed, now_s: float) -> None:
    state.probed = event.message
    state.send(event.message)
