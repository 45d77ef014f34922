"""Which worker asks the server before a run, how often, and what follows from the reply."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from inference_swarm.cluster import agent, coordinator
from inference_swarm.cluster.agent_events import Probe, SendToMaster, TargetIsProbed
from inference_swarm.cluster.agent_state import Agent, AgentConfig, RunStage
from inference_swarm.cluster.distribution import UserClass
from inference_swarm.cluster.events import Action, DataRead, Note, OpenResults, Received, Refuse, Send, Start, Tick
from inference_swarm.cluster.master_clock import MasterClock
from inference_swarm.cluster.protocol import (
    PROTOCOL_VERSION,
    Envelope,
    Goodbye,
    Heartbeat,
    Hello,
    HoldRows,
    ProbeTarget,
    RowsReady,
    RunOffer,
    TargetProbed,
)
from inference_swarm.cluster.state import Coordinator, CoordinatorConfig, Phase
from inference_swarm.errors import ExitCode
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.run.course import LoadPlan

HELLO = Hello(PROTOCOL_VERSION, "test", 1, "", "host", 1, 1)
EVERYTHING = 1 << 30
READY = RowsReady("run", EVERYTHING, 1, 1, 1, 0.1, is_windowed=False)
ANSWERED = TargetProbed("run", 0, "The server answered", is_warning=False)


def prepared(*, asks_server: bool = True, load_timeout_s: float = 60.0) -> tuple[Coordinator, list[Action]]:
    """Two workers with their rows, and what followed from the last of these."""
    state = Coordinator(CoordinatorConfig(ends_after_run=True))
    load = LoadPlan(4, 10.0, 5.0, asks_server=asks_server, load_timeout_s=load_timeout_s)
    for worker in ("a", "b"):
        coordinator.step(state, Received(worker, 1, HELLO), 0.0)
    coordinator.step(state, Start("run", load, (UserClass("User"),), SwarmTotals("run")), 0.0)
    coordinator.step(state, DataRead("run", [5, 5], RunOffer({}, {})), 0.0)
    coordinator.step(state, Received("a", 1, READY), 0.0)
    return state, coordinator.step(state, Received("b", 1, READY), 0.0)


def asked(actions: Sequence[Action]) -> list[str]:
    return [action.worker for action in actions if isinstance(action, Send) and action.message == ProbeTarget("run")]


def refusals(actions: Sequence[Action]) -> list[tuple[str, ExitCode]]:
    return [(action.reason, action.code) for action in actions if isinstance(action, Refuse)]


def alive(state: Coordinator, now_s: float) -> list[Action]:
    """What follows when both workers are heard of, and then time has passed."""
    heard = [Received(worker, 1, Heartbeat(1, "ready", 0.0, 0, {})) for worker in ("a", "b")]
    return [action for event in (*heard, Tick()) for action in coordinator.step(state, event, now_s)]


def test_one_worker_is_asked_when_all_have_their_rows_and_the_run_begins_after_its_reply() -> None:
    state, actions = prepared()
    assert asked(actions) == ["a"]
    assert state.phase is Phase.PREPARING
    actions = coordinator.step(state, Received("a", 1, ANSWERED), 0.5)
    assert OpenResults("run") in actions
    assert Note("info", "The server answered") in actions
    assert state.phase is Phase.STARTING


def test_nobody_is_asked_unless_the_settings_want_it() -> None:
    _, actions = prepared(asks_server=False)
    assert asked(actions) == []
    assert OpenResults("run") in actions


def test_the_question_is_repeated_until_the_reply_is_there() -> None:
    state, _ = prepared()
    assert [asked(alive(state, now_s)) for now_s in (1.0, 2.0, 2.6, 3.0, 5.2)] == [[], [], ["a"], [], ["a"]]


@pytest.mark.parametrize(("code", "as_code"), [(2, ExitCode.BAD_CONFIGURATION), (5, ExitCode.TARGET_UNREACHABLE)])
def test_a_refusal_ends_the_run_before_it_began_with_its_reason(code: int, as_code: ExitCode) -> None:
    state, _ = prepared()
    actions = coordinator.step(state, Received("a", 1, TargetProbed("run", code, "404", is_warning=False)), 0.5)
    assert refusals(actions) == [("404", as_code)]
    assert state.job is None


def test_another_worker_is_asked_when_the_first_is_gone_and_what_is_not_its_own_reply_counts_for_nothing() -> None:
    state, _ = prepared()
    other = TargetProbed("another", 2, "no", is_warning=False)
    for worker, message in (("b", ANSWERED), ("a", other)):
        assert refusals(coordinator.step(state, Received(worker, 1, message), 0.1)) == []
    assert state.phase is Phase.PREPARING
    actions = coordinator.step(state, Received("a", 1, Goodbye()), 0.2)
    assert asked(actions) == []  # "b" loads what "a" had
    assert asked(coordinator.step(state, Received("b", 1, READY), 0.3)) == ["b"]
    coordinator.step(state, Received("b", 1, ANSWERED), 0.4)
    assert state.phase is Phase.STARTING


def test_the_time_to_load_does_not_run_while_the_server_is_asked() -> None:
    state, _ = prepared(load_timeout_s=3.0)
    for tenths in range(1, 200, 5):
        assert refusals(alive(state, tenths / 10)) == []
    assert state.phase is Phase.PREPARING


def holding() -> Agent:
    state = Agent(AgentConfig("w"), MasterClock("boot"))
    state.is_joined, state.session, state.lease_until_s, state.beat_due_s = True, 1, 100.0, 100.0
    agent.step(state, Envelope(1, HoldRows("run", 1, ((0, 1),), (), RunOffer({}, {}))), 0.0)
    assert state.stage is RunStage.HOLDING
    return state


def test_a_worker_asks_once_and_repeats_its_reply() -> None:
    state, question = holding(), Envelope(1, ProbeTarget("run"))
    assert agent.step(state, question, 1.0) == [Probe("run")]
    assert agent.step(state, question, 2.0) == []
    assert agent.step(state, Envelope(1, ProbeTarget("another")), 2.0) == []
    assert agent.step(state, TargetIsProbed(TargetProbed("another", 0, "", is_warning=False)), 2.5) == []
    assert agent.step(state, TargetIsProbed(ANSWERED), 3.0) == [SendToMaster(1, ANSWERED)]
    assert agent.step(state, question, 4.0) == [SendToMaster(1, ANSWERED)]
