"""Start, stop and quit, as Locust and its web UI call them, as events for the coordinator. An edge: it waits.

For the runner of a master and of a single process.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import gevent

from inference_swarm.cluster.aside import is_listener, waiting_for_run
from inference_swarm.cluster.distribution import UserClass
from inference_swarm.cluster.events import Edit, Quit, Start, StopAsked
from inference_swarm.cluster.master_adapter import MasterAdapter
from inference_swarm.cluster.state import Phase
from inference_swarm.errors import ExitCode, SwarmError
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.run.course import LoadPlan, StopCause

if TYPE_CHECKING:
    from locust import User  # importing Locust patches the process

logger = logging.getLogger(__name__)


class Planner(Protocol):
    """Makes runs out of the settings as they are now."""

    def plan(self) -> tuple[str, LoadPlan, SwarmTotals]:
        """Return id, load and empty totals of a new run. Raises SwarmError with every problem at once."""

    def over(self, run_id: str, why_not: str, code: ExitCode | None) -> None:
        """The run is over or does not begin."""


class RunControl:
    """`runner` is Locust's, for its users and its shape."""

    def __init__(self, runner: Any, adapter: MasterAdapter, planner: Planner, *, ends_workers: bool) -> None:
        self._runner = runner
        self._adapter = adapter
        self._planner = planner
        self._ends_workers = ends_workers
        self._shape: gevent.Greenlet | None = None  # the last that began a run
        self._shape_run = ""

    @property
    def phase(self) -> Phase:
        """The phase of the run under way."""
        return self._adapter.state.phase

    @property
    def _is_shape(self) -> bool:
        """True when the caller is the user's LoadTestShape."""
        return self._runner.shape_greenlet is not None and gevent.getcurrent() is self._runner.shape_greenlet

    def start(self, user_count: int, spawn_rate: float, user_classes: list[type[User]] | None = None) -> None:
        """Begin a run, or change the users of the one under way; returns when they run or it is clear why not."""
        if self._is_shape:
            self._follow_shape(*_of_shape(user_count, spawn_rate), user_classes)
        elif self.phase is Phase.RUNNING:
            self._adapter.edit_refused = ""
            self._adapter.feed(Edit(user_count, spawn_rate, _named(user_classes or ()) or None))
            self._wait(lambda: bool(self._adapter.edit_refused) or self._are_users_complete())
        else:
            self._begin(user_count, spawn_rate, user_classes or self._runner.user_classes)

    def _follow_shape(self, user_count: int, spawn_rate: float, user_classes: list[type[User]] | None) -> None:
        """A shape begins one run, changes no other, and ends with it."""
        if self._shape is not self._runner.shape_greenlet:
            self._shape, self._shape_run = self._runner.shape_greenlet, ""
            self._shape_run = self._begin(user_count, spawn_rate, user_classes or self._runner.user_classes)
        else:
            self._adapter.feed(Edit(user_count, spawn_rate, _named(user_classes or ()) or None, self._shape_run))
        job = self._adapter.state.job
        if job is None or job.run_id != self._shape_run:
            raise gevent.GreenletExit

    def _begin(self, user_count: int, spawn_rate: float, user_classes: list[type[User]]) -> str:
        try:
            run_id, load, totals = self._planner.plan()
        except SwarmError as error:
            self._planner.over("", str(error), error.exit_code)
            if self._adapter.state.config.ends_after_run:
                self._adapter.feed(Quit(ends_workers=self._ends_workers))
            return ""
        if load.first_step is None:  # else the run itself decides its load
            load = replace(load, users=user_count, spawn_rate=spawn_rate, is_shape=self._is_shape)
        if not all(getattr(one, "holds_connection", False) for one in user_classes):
            load = replace(load, connections_each=0)  # nobody knows how many they need
        self._adapter.feed(Start(run_id, load, _named(user_classes), totals))
        self._wait(lambda: run_id in self._adapter.outcomes or self._are_users_complete())
        return run_id

    def _are_users_complete(self) -> bool:
        job = self._adapter.state.job
        return self.phase is not Phase.RUNNING if job is None else job.is_complete_notified

    def stop(self, cause: StopCause = StopCause.ASKED, text: str = "") -> None:
        """End the run under way, whatever it is doing; returns when its results are written."""
        self._adapter.feed(StopAsked(StopCause.FINISHED if self._is_shape else cause, text))
        if gevent.getcurrent() not in self._runner.user_greenlets:
            self._wait(lambda: self.phase is Phase.IDLE)

    def quit(self) -> None:
        """End the run under way and then the process; returns when nothing is left to be done."""
        if self._adapter.has_ended:  # asked again, it would be the end of a process without a run
            return
        if self._is_shape:  # it has come to its end, and so has its run
            self._adapter.feed(StopAsked(StopCause.FINISHED))
        self._adapter.feed(Quit(ends_workers=self._ends_workers))
        if not is_listener() and gevent.getcurrent() not in self._runner.user_greenlets:
            self._wait(lambda: self._adapter.has_ended)

    def _wait(self, condition: Callable[[], bool]) -> None:
        with waiting_for_run() as may_wait:
            while may_wait and not condition():
                self._adapter.changed.clear()
                self._adapter.changed.wait(timeout=1.0)


def _of_shape(user_count: float, spawn_rate: float) -> tuple[int, float]:
    """Return what Locust makes of them: it spawns until there are as many users, and takes any rate above 0."""
    if spawn_rate <= 0:
        raise ValueError(f"The load shape asks for a spawn rate of {spawn_rate:g}. Fix: one above 0.")
    return max(0, math.ceil(user_count)), spawn_rate


def _named(user_classes: Iterable[type[User]]) -> tuple[UserClass, ...]:
    return tuple(UserClass(user.__name__, user.weight, user.fixed_count) for user in user_classes)
