"""More users than a worker may have connections: said before the run, not by a thousand errors."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from inference_swarm.cluster import agent, coordinator
from inference_swarm.cluster.agent_events import AgentTick, SendToMaster
from inference_swarm.cluster.agent_state import Agent, AgentConfig
from inference_swarm.cluster.distribution import UserClass
from inference_swarm.cluster.events import DataRead, Received, Refuse, Start
from inference_swarm.cluster.file_limit import reason_against_users
from inference_swarm.cluster.master_clock import MasterClock
from inference_swarm.cluster.protocol import PROTOCOL_VERSION, Hello, RunOffer
from inference_swarm.cluster.run_control import RunControl
from inference_swarm.cluster.state import Coordinator, Phase
from inference_swarm.errors import ExitCode
from inference_swarm.load.stage_text import parse_stages
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.run.course import LoadPlan

PACKAGE = Path(__file__).resolve().parents[2] / "locust"


def prepared(load: LoadPlan, *limits: int) -> tuple[Coordinator, list[Any]]:
    """A run up to the moment when its rows go to the workers, who may open so many files."""
    state = Coordinator()
    for index, limit in enumerate(limits):
        hello = Hello(PROTOCOL_VERSION, "test", 1, "", "host", 1, 1, limit)
        coordinator.step(state, Received(f"w{index}", 1, hello), 0.0)
    coordinator.step(state, Start("run", load, (UserClass("User", 1, 0),), SwarmTotals("run")), 0.0)
    return state, coordinator.step(state, DataRead("run", [1] * 8, RunOffer({}, {})), 0.1)


def test_a_run_of_more_users_than_files_is_refused_before_it_begins() -> None:
    state, actions = prepared(LoadPlan(30_000, 1000.0, connections_each=1), 20_000)
    (refusal,) = [action for action in actions if isinstance(action, Refuse)]
    assert refusal.code is ExitCode.BAD_CONFIGURATION
    assert "30,000 users on 1 workers need 30,000 connections on each, and worker w0 may have 20,000" in refusal.reason
    assert "at most 19,900 users" in refusal.reason
    assert "ulimit -Hn" in refusal.reason
    assert state.phase is Phase.IDLE


@pytest.mark.parametrize(
    ("load", "limits"),
    [
        (LoadPlan(30_000, 1000.0, connections_each=1), (20_000, 20_000)),  # half of them on each
        (LoadPlan(19_900, 1000.0, connections_each=1), (20_000,)),
        (LoadPlan(30_000, 1000.0, connections_each=1), (0,)),  # nobody knows
        (LoadPlan(30_000, 1000.0), (20_000,)),  # an open load: as many as are needed
    ],
)
def test_a_run_whose_users_can_be_connected_begins(load: LoadPlan, limits: tuple[int, ...]) -> None:
    state, actions = prepared(load, *limits)
    assert state.phase is Phase.PREPARING
    assert not [action for action in actions if isinstance(action, Refuse)]


@pytest.mark.parametrize(
    "load",
    [
        LoadPlan(10_000, 1000.0, connections_each=2),  # an A/B run: a connection to each variant
        LoadPlan(1, 1.0, stages=parse_stages("5s@10,5s@19901"), connections_each=1),  # not yet, but later
    ],
)
def test_what_a_user_has_later_or_twice_counts(load: LoadPlan) -> None:
    _, actions = prepared(load, 20_000)
    assert [action for action in actions if isinstance(action, Refuse)]


def test_the_worker_with_the_lowest_limit_is_named_with_the_number_of_the_others() -> None:
    reason = reason_against_users(4000, 1, {"a": 1024, "b": 20_000, "c": 900, "d": 1024})
    assert "worker c may have 900 files open (3 workers are short of files)" in reason
    assert "at most 3,200 users" in reason


def test_a_worker_says_how_many_files_it_may_open() -> None:
    state = Agent(AgentConfig("w", files_limit=777), MasterClock("boot"))
    (hello,) = [one.message for one in agent.step(state, AgentTick(), 1.0) if isinstance(one, SendToMaster)]
    assert isinstance(hello, Hello)
    assert hello.files_limit == 777


@pytest.mark.parametrize(("holds", "each"), [([True, True], 1), ([True, False], 0), ([None], 0)])
def test_of_users_that_need_no_connection_nobody_knows_how_many_there_can_be(holds: list[Any], each: int) -> None:
    classes: Any = [
        type(f"U{place}", (), {"weight": 1, "fixed_count": 0} | ({} if one is None else {"holds_connection": one}))
        for place, one in enumerate(holds)
    ]
    events: list[Any] = []
    adapter: Any = SimpleNamespace(feed=events.append, state=Coordinator(), outcomes={"run": ""})
    planner: Any = SimpleNamespace(plan=lambda: ("run", LoadPlan(1, 1.0, connections_each=1), SwarmTotals("run")))
    runner: Any = SimpleNamespace(shape_greenlet=None, user_classes=classes)
    RunControl(runner, adapter, planner, ends_workers=True).start(5, 1.0)
    (begun,) = events
    assert (begun.load.users, begun.load.connections_each) == (5, each)
    assert [one.name for one in begun.classes] == [one.__name__ for one in classes]


@pytest.mark.processes
def test_a_process_takes_the_files_that_it_may_have() -> None:
    program = (
        "import resource as r; from inference_swarm.cluster.file_limit import raise_file_limit;"
        "r.setrlimit(r.RLIMIT_NOFILE, (256, r.getrlimit(r.RLIMIT_NOFILE)[1]));"
        "print(raise_file_limit(), *r.getrlimit(r.RLIMIT_NOFILE))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True,
        check=True,
    ).stdout.split()  # fmt: skip
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if 0 < hard <= 1_048_576:
        assert said == [str(hard)] * 3
