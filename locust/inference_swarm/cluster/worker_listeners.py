"""Tells Locust's listeners on a worker of the life of a test. An edge: greenlets, Locust.

However long a listener takes, messages go on: a worker that is silent for some seconds is given up by its master.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import gevent
from locust.event import EventHook

from inference_swarm.cluster.agent_events import AgentAction, AgentNote, EndWorkerProcess, OpenChannel, SendToMaster
from inference_swarm.cluster.aside import LISTENERS_S, Aside, say_unfinished, split
from inference_swarm.cluster.locust_report import sendable
from inference_swarm.config.documents import Document

logger = logging.getLogger(__name__)
AT_ONCE = (SendToMaster, OpenChannel, AgentNote, EndWorkerProcess)


class WorkerListeners:
    """`carry_out` does an action now, `on_failure` is told why this worker cannot take part.

    Without `are_there` nobody is told: in a single process its master does.
    """

    def __init__(
        self,
        environment: Any,
        runner: Any,
        carry_out: Callable[[AgentAction], None],
        on_failure: Callable[[str], None],
        *,
        are_there: bool,
    ) -> None:
        self._environment = environment
        self._runner = runner
        self._carry_out = carry_out
        self._on_failure = on_failure
        self._are_there = are_there
        self._is_preparing = False
        self._postponed: deque[AgentAction] = deque()
        self._ends, self._reports = Aside(), Aside()

    def execute(self, action: AgentAction) -> None:
        """Carry out an action; while listeners prepare a test, all that is about the run waits for them."""
        if self._is_preparing and not isinstance(action, AT_ONCE):
            self._postponed.append(action)
        else:
            self._carry_out(action)

    def prepare(self, then: Callable[[], None]) -> None:
        """The test starts: calls `then` when all listeners have been told, and carries out what came meanwhile."""
        if not self._are_there:
            self._begin(then)
            return
        self._runner.stats.clear_all()
        self._runner.exceptions = {}
        self._environment._filter_tasks_by_tags()
        self._is_preparing = True
        gevent.spawn(self._prepare, then)

    def _prepare(self, then: Callable[[], None]) -> None:
        self._ends.finish(LISTENERS_S)  # those of the run before
        try:
            self._environment.events.test_start.fire(environment=self._environment)
        except (Exception, gevent.Timeout):  # StopTest, say, which Locust lets pass
            logger.exception("A listener of test_start failed")
        try:
            self._begin(then)
            while self._postponed:
                self._do_postponed(self._postponed.popleft())
        finally:
            self._is_preparing = False
            self._postponed.clear()

    def _do_postponed(self, action: AgentAction) -> None:
        try:
            self._carry_out(action)
        except Exception:
            logger.exception("An action failed: %r", str(action)[:500])

    def _begin(self, then: Callable[[], None]) -> None:
        try:
            then()
        except Exception as error:
            logger.exception("The run cannot begin here")
            self._on_failure(f"it cannot begin the run: {error!r}")

    def begin_stop(self) -> None:
        """The load ends, and users are told to stop."""
        self._tell_of_end(self._environment.events.test_stopping)

    def end_stop(self) -> None:
        """All users have stopped."""
        self._tell_of_end(self._environment.events.test_stop)

    def _tell_of_end(self, event: EventHook) -> None:
        if self._are_there:
            self._ends.do(lambda: event.fire(environment=self._environment))  # type: ignore[no-untyped-call]

    def report(self, then: Callable[[Document], None]) -> None:
        """Call `then` with Locust's statistics since the last report and what listeners have added to them."""
        if not self._are_there:
            then({})
            return
        own, others = split(self._environment.events.report_to_master)
        about: Document = {"client_id": self._runner.client_id, "data": {}}
        own.fire(**about)  # type: ignore[no-untyped-call]
        if others._handlers:
            self._reports.do(lambda: self._report(others, about, then))
        else:
            then(sendable(about["data"]))

    def _report(self, others: EventHook, about: Document, then: Callable[[Document], None]) -> None:
        try:
            others.fire(**about)  # type: ignore[no-untyped-call]
        finally:
            then(sendable(about["data"]))

    def finish(self) -> None:
        """Return when listeners have been told of the end of the last run: they may have something to save."""
        if not self._ends.finish(LISTENERS_S):
            say_unfinished()
