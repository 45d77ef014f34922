"""A worker that asks again to join, under another session: a loss only when it had been welcomed."""

from __future__ import annotations

import pytest

from inference_swarm.cluster import coordinator
from inference_swarm.cluster.events import Received, WorkerGone, WorkerJoined
from inference_swarm.cluster.protocol import PROTOCOL_VERSION, Heartbeat, Hello
from inference_swarm.cluster.state import Coordinator

BEAT = Heartbeat(1, "ready", 0.0, 0, {}, "", -1, -1, -1)


def hello(session: int) -> Received:
    return Received("w", session, Hello(PROTOCOL_VERSION, "test", session, "", "host", 1, 1))


@pytest.mark.parametrize(
    ("has_been_heard", "reason"), [(False, ""), (True, "it lost the connection and came back")], ids=["asks", "returns"]
)
def test_a_second_hello_is_a_loss_only_of_a_worker_that_was_welcome(has_been_heard: bool, reason: str) -> None:
    state = Coordinator()
    assert WorkerJoined("w", 0) in coordinator.step(state, hello(1), 1.0)
    if has_been_heard:
        coordinator.step(state, Received("w", 1, BEAT), 1.1)
    actions = coordinator.step(state, hello(2), 4.0)
    assert WorkerGone("w", reason) in actions
    assert WorkerJoined("w", 0) in actions
    assert (state.members["w"].session, state.members["w"].is_here) == (2, True)
    assert WorkerGone("w", "") not in coordinator.step(state, hello(2), 4.1)
