"""What the end of a shape, and an end that is asked for twice, mean for a run."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.event import Event as Flag

from inference_swarm.cluster.events import Event, Quit, StopAsked
from inference_swarm.cluster.run_control import RunControl
from inference_swarm.cluster.state import Coordinator
from inference_swarm.run.course import StopCause


def asked_for(call: Callable[[RunControl], None], *, by_shape: bool, has_ended: bool = False) -> list[Event]:
    """The events that a call makes, from the shape's greenlet or from another one."""
    events: list[Event] = []
    adapter: Any = SimpleNamespace(state=Coordinator(), has_ended=has_ended, changed=Flag())

    def feed(event: Event) -> None:
        events.append(event)
        adapter.has_ended = True

    adapter.feed = feed
    planner: Any = SimpleNamespace()
    runner: Any = SimpleNamespace(shape_greenlet=None, user_greenlets=[])
    control = RunControl(runner, adapter, planner, ends_workers=True)
    caller = gevent.spawn(call, control)
    runner.shape_greenlet = caller if by_shape else gevent.spawn(lambda: None)
    caller.join()
    return events


@pytest.mark.parametrize(
    ("by_shape", "before"), [(True, [StopAsked(StopCause.FINISHED)]), (False, [])], ids=["shape", "somebody else"]
)
def test_a_run_whose_shape_has_come_to_its_end_has_finished(by_shape: bool, before: list[Event]) -> None:
    assert asked_for(RunControl.quit, by_shape=by_shape) == [*before, Quit(ends_workers=True)]
    cause = StopCause.FINISHED if by_shape else StopCause.ASKED
    assert asked_for(RunControl.stop, by_shape=by_shape) == [StopAsked(cause)]


@pytest.mark.parametrize("by_shape", [True, False])
def test_a_process_that_ends_already_is_not_told_again_as_if_it_had_had_no_run(by_shape: bool) -> None:
    assert asked_for(RunControl.quit, by_shape=by_shape, has_ended=True) == []
