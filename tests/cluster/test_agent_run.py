"""What an agent does with orders about rows, users and arrivals while it sends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from inference_swarm.cluster.agent import step
from inference_swarm.cluster.agent_events import Hold, SetPartition
from inference_swarm.cluster.agent_state import Agent, AgentConfig, RunStage
from inference_swarm.cluster.master_clock import MasterClock
from inference_swarm.cluster.protocol import Envelope, HoldRows, Message, Partition, SetUsers

FIRST = Partition((0,), 2, 0)
SECOND = Partition((0, 3), 4, 2_000_000_000)
THIRD = Partition((), 0, 4_000_000_000)
ORDER = SetUsers("run", 3, {"A": 1}, 0, 0, "boot", THIRD, (), (FIRST, SECOND))


def sending(**changes: Any) -> Agent:
    state = Agent(AgentConfig("w"), MasterClock("boot"))
    state.stage, state.run_id, state.rows_generation, state.users_generation = RunStage.SENDING, "run", 1, 1
    state.is_joined, state.lease_until_s, state.users, state.partition = True, 100.0, {"A": 2}, FIRST
    state.report_due_s = state.beat_due_s = 100.0
    for name, value in changes.items():
        setattr(state, name, value)
    return state


def actions_of(state: Agent, message: Message, kind: type) -> list[Any]:
    return [action for action in step(state, Envelope(state.session, message), 1.0) if isinstance(action, kind)]


def test_a_worker_that_leaves_an_open_load_keeps_its_rows_until_others_send_its_arrivals() -> None:
    gives_up = HoldRows("run", 2, (), (), None)
    state = sending(is_leaving=True, lower_at_s=2.0)
    assert actions_of(state, gives_up, Hold) == []
    assert state.rows_generation == 2
    assert actions_of(sending(), gives_up, Hold) == [Hold(gives_up)]


def test_an_order_that_was_missed_is_made_up_for() -> None:
    assert actions_of(sending(), ORDER, SetPartition) == [SetPartition(SECOND), SetPartition(THIRD)]
    assert actions_of(sending(partition=SECOND), ORDER, SetPartition) == [SetPartition(THIRD)]
    assert actions_of(sending(), replace(ORDER, earlier=()), SetPartition) == [SetPartition(THIRD)]


def test_a_worker_that_leaves_takes_up_which_arrivals_are_its_own_and_no_other_users() -> None:
    state = sending(is_leaving=True, lower_at_s=6.0)
    order = replace(ORDER, partition=SECOND, earlier=())
    assert actions_of(state, order, SetPartition) == [SetPartition(SECOND)]
    assert (state.users, state.lower_at_s) == ({"A": 2}, 6.0)


def test_the_master_is_told_at_once_that_a_worker_knows_whose_its_arrivals_will_be() -> None:
    """Else what it sends until then might, for all that the master knows, be sent twice."""
    state = sending()
    actions_of(state, ORDER, SetPartition)
    assert state.beat_due_s == 1.0
    assert state.lower_at_s is not None
