"""When workers ask to join, whom the master answers, and when it calls one lost."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise

import pytest

from inference_swarm.cluster import agent, coordinator, presence
from inference_swarm.cluster.agent_events import AgentTick
from inference_swarm.cluster.agent_state import Agent, AgentConfig
from inference_swarm.cluster.events import Received, Tick, WorkerGone, WorkerJoined
from inference_swarm.cluster.master_clock import MasterClock
from inference_swarm.cluster.protocol import (
    PROTOCOL_VERSION,
    ClockAnswer,
    Envelope,
    Heartbeat,
    HeartbeatAck,
    Hello,
    Welcome,
)
from inference_swarm.cluster.state import Coordinator, CoordinatorConfig

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


@pytest.mark.parametrize(
    ("now_s", "read_until_s", "is_lost"),
    [(7.0, math.inf, True), (7.0, 2.0, False), (7.0, 6.5, True), (29.0, 2.0, False), (38.0, 2.0, True)],
    ids=["silent", "behind", "has read enough", "still behind", "behind for too long"],
)
def test_a_worker_is_lost_when_all_that_came_in_time_was_read(now_s: float, read_until_s: float, is_lost: bool) -> None:
    state = Coordinator()
    coordinator.step(state, hello(1), 1.0)
    state.ticked_s = now_s - 0.2  # the process itself was not suspended
    gone = [action for action in coordinator.step(state, Tick(read_until_s), now_s) if isinstance(action, WorkerGone)]
    assert [action.worker for action in gone] == ["w"] * is_lost
    assert state.members["w"].is_here is not is_lost


@pytest.mark.parametrize(("pauses_s", "is_lost"), [((100.0,), False), ((1.2,) * 25, False), ((1.2,) * 31, True)])
def test_a_master_whose_ticks_stay_late_loses_who_is_gone_all_the_same(
    pauses_s: tuple[float, ...], is_lost: bool
) -> None:
    state = Coordinator()
    coordinator.step(state, Tick(), 1.0)
    coordinator.step(state, hello(1), 1.0)
    now_s = 1.0
    for pause_s in pauses_s:
        now_s += pause_s
        coordinator.step(state, Tick(), now_s)
    assert state.members["w"].is_here is not is_lost


def test_a_process_that_is_its_own_worker_does_not_lose_itself() -> None:
    state = Coordinator(CoordinatorConfig(silence_s=1e9))
    coordinator.step(state, hello(1), 1.0)
    state.ticked_s = 999.8
    coordinator.step(state, Tick(), 1000.0)
    assert state.members["w"].is_here


def test_a_master_that_is_behind_answers_no_hello_and_everything_else() -> None:
    assert [presence.may_wait(hello(1).message, read_s, 10.0) for read_s in (8.9, 9.1, math.inf)] == [
        True,
        False,
        False,
    ]
    assert not presence.may_wait(BEAT, 1.0, 10.0)


def hellos_at(state: Agent, from_s: float, until_s: float) -> list[float]:
    """When the worker says hello, if nobody answers."""
    found, now_s = [], from_s
    while now_s < until_s:
        actions = agent.step(state, AgentTick(), now_s)
        found += [now_s for action in actions if isinstance(getattr(action, "message", None), Hello)]
        now_s = agent.wake_s(state, now_s)
    return found


def test_hellos_come_fast_at_the_start_and_spread_over_time_after_a_loss() -> None:
    state = Agent(AgentConfig("w0"), MasterClock(""))
    at_s = hellos_at(state, 100.0, 110.0)
    pauses_s = [later - earlier for earlier, later in pairwise(at_s)]
    assert pauses_s[:3] == pytest.approx([0.1, 0.15, 0.225])
    assert pauses_s[-3:] == pytest.approx([1.0, 1.0, 1.0])

    firsts_s, seconds_s = [], []
    for number in range(200):
        state = Agent(AgentConfig(f"w{number}"), MasterClock(""))
        hellos_at(state, 100.0, 100.01)
        agent.step(state, Envelope(state.session, Welcome(0, "", "")), 100.01)
        agent.step(state, AgentTick(), 100.01)
        agent.step(state, Envelope(state.session, HeartbeatAck(1, 1.0)), 100.01)
        assert hellos_at(state, 100.01, 103.9) == []
        first_s, second_s, *others_s = hellos_at(state, 103.9, 120.0)  # its lease is over after four seconds
        assert 9 <= len(others_s) <= 32
        firsts_s.append(first_s - 104.0)
        seconds_s.append(second_s - first_s)
    for found_s, low_s, high_s in ((firsts_s, 0.0, 0.52), (seconds_s, 0.5, 1.5)):
        assert low_s <= min(found_s) < low_s + 0.1 * (high_s - low_s)
        assert high_s - 0.1 * (high_s - low_s) < max(found_s) <= high_s
        assert statistics.mean(found_s) == pytest.approx((low_s + high_s) / 2, rel=0.15)


@pytest.mark.parametrize(("boot", "round_trip_ms", "left"), [("mine", 50, 0), ("another", 1.9, 0), ("another", 2.1, 4)])
def test_a_worker_that_knows_the_clock_of_its_master_asks_no_more(boot: str, round_trip_ms: float, left: int) -> None:
    state = Agent(AgentConfig("w"), MasterClock("mine"), is_joined=True, lease_until_s=200.0, questions_left=4)
    sent_ns = 100_000_000_000 - int(round_trip_ms * 1e6)
    agent.step(state, Envelope(0, ClockAnswer(sent_ns, 2, boot)), 100.0)
    assert state.questions_left == left


def test_heartbeats_come_as_the_master_asks_and_sooner_when_one_is_not_answered() -> None:
    state = Agent(AgentConfig("w"), MasterClock("mine"), is_joined=True, lease_until_s=103.0, beat_due_s=100.0)
    sent_s, now_s = [], 100.0
    while now_s < 108.5:
        for action in agent.step(state, AgentTick(), now_s):
            if isinstance(getattr(action, "message", None), Heartbeat):
                sent_s.append(now_s)
                if len(sent_s) != 3:  # the third one is lost
                    agent.step(state, Envelope(0, HeartbeatAck(state.beat, 2.0)), now_s)
        now_s = agent.wake_s(state, now_s)
    assert sent_s == pytest.approx([100.0, 102.0, 104.0, 105.0, 107.0], abs=0.01)
    assert state.is_joined
