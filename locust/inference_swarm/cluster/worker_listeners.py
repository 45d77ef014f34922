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
from inference_swarm.cluster.aside import Aside, split, tell_of_test
from inference_swarm.cluster.locust_report import sendable, with_additions
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
        self._ends = [Aside()]  # one for each run: the next one does not wait for what the last one has to save
        self._reports = Aside()

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
        self._ends = [*(ends for ends in self._ends if ends.is_busy), Aside()]
        self._is_preparing = True
        tell_of_test(self._prepare, then)

    def _prepare(self, then: Callable[[], None]) -> None:
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
        if self._are_there:
            self._ends[-1].do(self._reports.finish)
        self._tell_of_end(self._environment.events.test_stop)

    def _tell_of_end(self, event: EventHook) -> None:
        if self._are_there:
            self._ends[-1].do(lambda: event.fire(environment=self._environment))  # type: ignore[no-untyped-call]

    @property
    def is_reporting(self) -> bool:
        """True while a report waits for its listeners: what is counted meanwhile is for the next one."""
        return self._reports.is_busy

    def report(self, then: Callable[[Document], None]) -> None:
        """Call `then` with Locust's statistics since the last report and what listeners have added to them."""
        if not self._are_there:
            then({})
            return
        client, data = self._runner.client_id, Document()
        own, others = split(self._environment.events.report_to_master)
        own.fire(client_id=client, data=data)  # type: ignore[no-untyped-call]
        if others._handlers or self.is_reporting:
            self._reports.do(lambda: then(with_additions(others, client, data)))
        else:
            then(sendable(data))

    def finish(self) -> None:
        """Return when listeners have been told of the end of each run: they may have something to save."""
        gevent.joinall([gevent.spawn(ends.finish) for ends in self._ends])
