"""Notifies Locust and its listeners of the life of a run: events, states, statistics. An edge: Locust.

Coordinator and agents never wait for a listener, except at the start of a test, which listeners may prepare.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gevent
from gevent.lock import RLock
from locust.runners import STATE_CLEANUP, STATE_INIT, STATE_RUNNING, STATE_SPAWNING, STATE_STOPPED, WorkerNode
from locust.stats import RequestStats, StatsEntry

from inference_swarm.cluster.aside import Aside
from inference_swarm.cluster.control_messages import check_locust_report
from inference_swarm.cluster.protocol import Wire
from inference_swarm.config.documents import Document

logger = logging.getLogger(__name__)
# Long before nobody waits any longer for those of `test_stop`, which come after them.
ASIDE_S = 12.0


def _no_statistics(stats: RequestStats) -> Document:
    """What a report holds in which nothing was counted."""
    return {"stats": [], "errors": {}, "stats_total": StatsEntry(stats, "Aggregated", "").serialize()}


class LocustTest:
    """Implements `TestListeners` for a master's or a single process's runner."""

    def __init__(self, environment: Any, runner: Any, on_reset: Callable[[], None]) -> None:
        """`on_reset` is called when a reset of the statistics is requested."""
        self._environment = environment
        self._events = environment.events
        self._runner = runner
        self._on_reset = on_reset
        self._turn = RLock()  # events of a test come one after the other
        self._is_started = False
        self.aside = Aside()
        """Listeners that may take long: all it tells are told before those of the end of a test."""
        environment.events.reset_stats.add_listener(lambda **_: on_reset())  # by the web UI

    def test_start(self) -> None:
        with self._turn:
            self._is_started = True
            self._events.test_start.fire(environment=self._environment)

    def begin(self) -> None:
        runner = self._runner
        for user_class in runner.user_classes:
            if self._environment.host:
                user_class.host = self._environment.host
        runner.stats.clear_all()
        runner.exceptions = {}
        self._environment._filter_tasks_by_tags()
        if self._environment.shape_class:
            self._environment.shape_class.reset_time()
        runner.spawning_completed = False
        runner.update_state(STATE_SPAWNING)

    def users_complete(self, users: int) -> None:
        runner = self._runner
        runner.target_user_classes_count = dict(runner.reported_user_classes_count)
        runner.spawning_completed = True
        wants_reset, self._environment.reset_stats = self._environment.reset_stats, False
        try:
            self.aside.tell(self._events.spawning_complete, user_count=users)
        finally:
            self._environment.reset_stats = wants_reset
        runner.update_state(STATE_RUNNING)
        runner.notify_workers_complete(users)
        logger.info("All users spawned: %d", users)
        if wants_reset:
            self._on_reset()

    def report(self, worker: str, locust: Wire, *, is_left_out: bool) -> None:
        check_locust_report(locust)
        if is_left_out:
            locust = {**locust, **_no_statistics(self._runner.stats)}
        self.aside.tell(self._events.worker_report, client_id=worker, data=locust)

    def end(self) -> None:
        runner = self._runner
        runner.final_user_classes_count = dict(runner.reported_user_classes_count)
        runner.update_state(STATE_CLEANUP)
        with self._turn:
            self._finish_aside()
            self._events.test_stopping.fire(environment=self._environment)

    def closed(self) -> None:
        runner = self._runner
        if runner.shape_greenlet is not None and runner.shape_greenlet is not gevent.getcurrent():
            runner.shape_greenlet.kill(block=False)
        runner.shape_greenlet = runner.shape_last_tick = None
        runner.update_state(STATE_STOPPED if self._is_started else STATE_INIT)
        with self._turn:
            self._finish_aside()
            was_started, self._is_started = self._is_started, False
            if was_started:
                self._events.test_stop.fire(environment=self._environment)

    def worker_joined(self, worker: str, index: int) -> None:
        self._runner.clients[worker] = WorkerNode(worker)
        self.aside.tell(self._events.worker_connect, client_id=worker)
        logger.info("Worker %s (index %d) has joined; %d workers connected.", worker, index, len(self._runner.clients))

    def worker_gone(self, worker: str, reason: str) -> None:
        self._runner.clients.pop(worker, None)
        if reason:
            logger.error("Worker %s is lost: %s", worker, reason)
        else:
            logger.debug("Worker %s has left; %d are here", worker, len(self._runner.clients))

    def _finish_aside(self) -> None:
        if not self.aside.finish(ASIDE_S):
            self.aside = Aside()

    def end_process(self) -> None:
        gevent.spawn(self._runner.end_process)
