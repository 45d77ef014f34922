"""A worker's part of `--requests`: reports to the master, its grants back. Handlers of agent.TABLE."""

from __future__ import annotations

from inference_swarm.cluster.agent_events import LimitRequests, RequestsCounted
from inference_swarm.cluster.agent_state import Agent
from inference_swarm.cluster.protocol import GrantRequests


def counted(state: Agent, event: RequestsCounted, now_s: float) -> None:
    state.send(event.message)


def granted(state: Agent, message: GrantRequests, now_s: float) -> None:
    state.do(LimitRequests(message.number, message.limit))
