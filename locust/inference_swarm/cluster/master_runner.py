"""Locust's master with our order of events: rows before users, users kept as workers come and go, last reports before
results.
"""

from __future__ import annotations

import logging
import math
import time
from typing import Any

import gevent
from gevent.event import Event
from locust.rpc import Message
from locust.runners import STATE_SPAWNING, STATE_STOPPED, STATE_STOPPING

from inference_swarm.cluster.distribution import UserDistribution, UserKind
from inference_swarm.cluster.keepers import MasterKeeper
from inference_swarm.cluster.preparation import PreparesRuns
from inference_swarm.cluster.worker_listener import ACTIVE_STATES, WorkerListener

logger = logging.getLogger(__name__)

REPORTED_TIMEOUT_S = 1.0


class SwarmMasterRunner(WorkerListener, PreparesRuns[MasterKeeper]):
    """Begins and ends runs, and spreads their users over the workers that have rows."""

    def __init__(self, environment: Any, master_bind_host: str, master_bind_port: int) -> None:
        self._spread: UserDistribution | None = None
        self._ramp_wanted = Event()
        self._ramp_settled = Event()
        self._is_stopped = Event()
        self._is_stopped.set()
        super().__init__(environment, master_bind_host, master_bind_port)
        self.greenlet.spawn(self._ramp)

    # runs

    def start(self, user_count: int, spawn_rate: float, wait: bool = False, user_classes: Any = None) -> None:
        """Begins a run, or changes the users of the one under way. Returns when they are spawned."""
        if self.state not in ACTIVE_STATES and not self._begin():
            return
        assert self._spread is not None
        self.spawning_completed = False
        self.target_user_count = user_count
        self.spawn_rate = spawn_rate
        self.update_state(STATE_SPAWNING)
        self._spread.want(user_count, None if user_classes is None else _kinds(user_classes))
        logger.info("Ramping to %d users at %.4g a second on %d workers", user_count, spawn_rate, self.worker_count)
        self._ramp_settled.clear()
        self._ramp_wanted.set()
        self._ramp_settled.wait()
        if self.state != STATE_SPAWNING or self._spread is None:
            return
        with gevent.Timeout(REPORTED_TIMEOUT_S, False):
            while self.user_count != user_count:
                gevent.sleep(0.01)
        self.target_user_classes_count = self._user_classes()
        self._events.spawning_complete.fire(user_count=self.user_count)
        self.send_message("spawning_complete", data={"user_count": self.user_count})
        self.spawning_completed = True
        logger.info("All users spawned: %d", self.user_count)

    def stop(self, send_stop_to_client: bool = True) -> None:
        """Ends the run: users stop, every last report comes in, results are written. A second call waits for it."""
        self.cancel_preparing()
        if self.state not in ACTIVE_STATES:
            self._is_stopped.wait()
            return
        self._is_stopped.clear()
        try:
            self.keeper.end_load()
            self._events.test_stopping.fire(environment=self.environment)
            self.final_user_classes_count = {**self.reported_user_classes_count}
            self.update_state(STATE_STOPPING)
            self._end_shape()
            self._spread = None
            self._ramp_settled.set()
            # Always an ordered stop: without it the workers' last reports race with the end of this process.
            for client in self.clients.all:
                self.server.send_to_client(Message("stop", None, client.id))  # type: ignore[no-untyped-call]
            self._events.test_stop.fire(environment=self.environment)
            self.keeper.finish_run()
            for client in self.clients.all:
                client.user_classes_count = {}
        finally:
            self.update_state(STATE_STOPPED)
            self._is_stopped.set()

    def quit(self) -> None:
        super().quit()
        self.channel.dropped.log_counts()

    def check_stopped(self) -> None:
        """Locust guesses from its workers' states; here `stop` knows."""

    def rebalancing_enabled(self) -> bool:
        """Users are always kept; Locust's own way loses some."""
        return False

    def _begin(self) -> bool:
        """Whether the run has begun."""
        if not self.worker_count:
            logger.warning("No worker has joined yet: the run cannot begin")
            return False
        if not self.prepare_run():
            return False
        for user_class in self.user_classes:
            if self.environment.host:
                user_class.host = self.environment.host
        self.stats.clear_all()
        self.exceptions = {}
        self.environment._filter_tasks_by_tags()
        self._events.test_start.fire(environment=self.environment)
        if self.environment.shape_class:
            self.environment.shape_class.reset_time()  # type: ignore[no-untyped-call]
        self._spread = UserDistribution(_kinds(self.user_classes))
        self.serving_changed()
        return True

    def _end_shape(self) -> None:
        if self.shape_greenlet is not None and self.shape_greenlet is not gevent.getcurrent():
            self.shape_greenlet.kill(block=True)
            self.shape_greenlet = None
            self.shape_last_tick = None

    # users

    def serving_changed(self) -> None:
        """Other workers have rows now: users follow them, at the spawn rate."""
        if self._spread is None:
            return
        serving = self.keeper.serving_workers()
        for worker in set(self._spread.workers) - set(serving):
            self._spread.remove_worker(worker)
        for worker in serving:
            self._spread.add_worker(worker)
        self._ramp_wanted.set()

    def _ramp(self) -> None:
        while True:
            self._ramp_wanted.wait()
            self._ramp_wanted.clear()
            while (spread := self._spread) is not None and not spread.is_settled:
                at_once = max(1, math.floor(self.spawn_rate))
                for worker in spread.step(at_once):
                    self._send_spawn(spread, worker)
                if not spread.is_settled:
                    gevent.sleep(at_once / self.spawn_rate)
            self._ramp_settled.set()

    def _send_spawn(self, spread: UserDistribution, worker: str) -> None:
        self.keeper.spawned(worker)
        options = self.environment.parsed_options
        data = {
            "timestamp": time.time(),
            "user_classes_count": dict(spread.users_of(worker)),
            "host": self.environment.host,
            "stop_timeout": self.environment.stop_timeout,
            "parsed_options": vars(options) if options else {},
        }
        self.server.send_to_client(Message("spawn", data, worker))  # type: ignore[no-untyped-call]

    def _user_classes(self) -> dict[str, int]:
        return dict(self.reported_user_classes_count)


def _kinds(user_classes: list[Any]) -> list[UserKind]:
    return [UserKind(user.__name__, user.weight, user.fixed_count) for user in user_classes]
