"""How a process ends that is asked to before its run began, and what a refused start leaves alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import gevent
import pytest

from inference_swarm.cluster.coordinator import step
from inference_swarm.cluster.distribution import UserClass
from inference_swarm.cluster.events import Action, EndProcess, Event, Quit, Received, Send, Start
from inference_swarm.cluster.master_adapter import MasterAdapter
from inference_swarm.cluster.protocol import PROTOCOL_VERSION, EndWorker, Envelope, Hello, RunOffer, Welcome, Wire
from inference_swarm.cluster.state import Coordinator, CoordinatorConfig, Phase
from inference_swarm.errors import ExitCode
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.run.course import CountedReport, LoadPlan, RunCourse

HELLO = Hello(PROTOCOL_VERSION, "test", 1, "", "host", 1, 1)


def wish(run_id: str) -> Start:
    return Start(run_id, LoadPlan(users=1, spawn_rate=1.0), (UserClass("User", 1, 0),), SwarmTotals(run_id))


def ends(actions: Sequence[Action]) -> list[ExitCode | None]:
    return [action.code for action in actions if isinstance(action, EndProcess)]


def after(config: CoordinatorConfig, *events: Event) -> list[Action]:
    """What the last of these events makes a coordinator do."""
    state, actions = Coordinator(config), list[Action]()
    for event in events:
        actions = step(state, event, 1.0)
    return actions


@pytest.mark.parametrize("has_one_run", [True, False])
@pytest.mark.parametrize("is_preparing", [True, False])
def test_a_process_of_one_run_that_ends_before_it_began_has_not_passed(has_one_run: bool, is_preparing: bool) -> None:
    config = CoordinatorConfig(ends_after_run=has_one_run)
    before: list[Event] = [Received("worker", 1, HELLO), wish("run")] if is_preparing else []
    actions = after(config, *before, Quit(ends_workers=True))
    assert ends(actions) == [ExitCode.INCOMPLETE if has_one_run else None]


@pytest.mark.parametrize("ends_workers", [True, False])
def test_a_worker_that_joins_while_its_master_ends_is_told_to_end(*, ends_workers: bool) -> None:
    """It would wait for another master, which nobody starts. Nor was it told that lost its connection just then."""
    state = Coordinator(CoordinatorConfig())
    for event in (Received("first", 1, HELLO), Quit(ends_workers=ends_workers)):
        step(state, event, 1.0)
    for session in (1, 1, 2):
        actions = step(state, Received("late", session, replace(HELLO, session=session)), 1.5)
        said = [action.message for action in actions if isinstance(action, Send)]
        assert [type(message) for message in said] == [Welcome, EndWorker][: 1 + ends_workers]
    actions = step(state, Received("first", 1, HELLO), 1.5)  # the welcome was lost
    assert any(isinstance(action, Send) and isinstance(action.message, EndWorker) for action in actions) is ends_workers


class Quiet:
    """Services and listeners of which only `closed` and `over` are of interest; data never come."""

    def __init__(self) -> None:
        self.closed_count = 0
        self.refusals: list[str] = []

    def read_data(self, course: RunCourse) -> tuple[Sequence[int], RunOffer]:
        gevent.sleep(60)
        raise AssertionError

    def open_results(self, course: RunCourse) -> None: ...
    def begin(self, course: RunCourse | None = None) -> None: ...
    def begin_epoch(self, at_s: float) -> None: ...
    def counted(self, worker: str, snapshot: CountedReport) -> bool:
        return False

    def end_load(self) -> None: ...
    def write_results(self, course: RunCourse) -> None: ...
    def over(self, run_id: str, why_not: str, code: ExitCode | None) -> None:
        self.refusals.append(run_id)

    def test_start(self) -> None: ...
    def users_complete(self, users: int) -> None: ...
    def report(self, worker: str, locust: Wire, *, is_left_out: bool) -> None: ...
    def end(self) -> None: ...
    def closed(self) -> None:
        self.closed_count += 1

    def worker_joined(self, worker: str, index: int) -> None: ...
    def worker_gone(self, worker: str, reason: str) -> None: ...
    def end_process(self) -> None: ...


def test_a_wish_that_is_refused_because_of_a_run_does_not_tell_listeners_that_this_run_is_over() -> None:
    quiet = Quiet()
    adapter = MasterAdapter(CoordinatorConfig(), lambda worker, envelope: None, quiet, quiet)
    adapter.receive("worker", Envelope(1, HELLO))
    adapter.feed(wish("first"))
    adapter.feed(wish("second"))
    gevent.sleep(0)
    assert quiet.refusals == ["second"]
    assert adapter.state.phase is Phase.PREPARING
    assert quiet.closed_count == 0
    adapter.close()
