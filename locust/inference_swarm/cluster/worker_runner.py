"""Locust's worker with our order of events: it sends its last report before it says that it has stopped, delivers
everything before it leaves, and stops its users by itself when the master is gone.
"""

from __future__ import annotations

import logging
from typing import Any

import gevent
from gevent.pool import Group
from locust.argument_parser import default_args_dict
from locust.runners import STATE_CLEANUP, STATE_INIT, STATE_RUNNING, STATE_SPAWNING

from inference_swarm.cluster.join_messages import Leaving
from inference_swarm.cluster.master_link import MasterLink
from inference_swarm.errors import ExitCode

logger = logging.getLogger(__name__)

ACTIVE_STATES = (STATE_SPAWNING, STATE_RUNNING)
DELIVERY_TIMEOUT_S = 10.0


class SwarmWorkerRunner(MasterLink):
    """Takes part in a swarm from `join` on, until it is told to quit or its process is."""

    def __init__(self, environment: Any, master_host: str, master_port: int) -> None:
        # Of Locust's own options a worker takes these from the master, and all that are not Locust's.
        self._locusts_options = set(default_args_dict()) - {"expect_workers", "tags", "exclude_tags"}
        self._leaving_users: Group = Group()
        self._stopper: gevent.Greenlet | None = None
        super().__init__(environment, master_host, master_port)

    def join(self) -> None:
        super().join()
        self._events.quitting.add_listener(self._on_quitting)

    # users

    def take_spawn(self, job: Any) -> None:
        """As Locust's, which builds a parser for each of a hundred options: a second of work for every message."""
        if self._is_leaving or (self._stopper is not None and not self._stopper.ready()):
            return
        if job["timestamp"] <= self.last_received_spawn_timestamp:
            return
        self.last_received_spawn_timestamp = job["timestamp"]
        self.send_message("spawning")
        self.environment.host = job["host"]
        self.environment.stop_timeout = job["stop_timeout"] or 0.0
        if self.worker_state not in ACTIVE_STATES:
            own = {name: value for name, value in job["parsed_options"].items() if name not in self._locusts_options}
            vars(self.environment.parsed_options).update(own)
            self.stats.clear_all()
            self.exceptions = {}
            self.cpu_warning_emitted = self.worker_cpu_warning_emitted = False
            self.environment._filter_tasks_by_tags()
            self._events.test_start.fire(environment=self.environment)
        self.worker_state = STATE_SPAWNING
        self.start_worker(job["user_classes_count"])

    def start_worker(self, user_classes_count: dict[str, int], **_: Any) -> None:
        """Starts and stops users until there are these, not counting those that are on their way out already."""
        self.target_user_classes_count = user_classes_count
        self.target_user_count = sum(user_classes_count.values())
        for user_class in self.user_classes:
            if self.environment.host:
                user_class.host = self.environment.host
        staying: dict[str, list[Any]] = {name: [] for name in user_classes_count}
        for greenlet in list(self.user_greenlets):
            if not greenlet.dead and greenlet.args and greenlet not in self._leaving_users:
                staying.setdefault(type(greenlet.args[0]).__name__, []).append(greenlet.args[0])
        lacking = {
            name: count - len(staying[name]) for name, count in user_classes_count.items() if count > len(staying[name])
        }
        self.spawn_users(lacking)
        for name, count in user_classes_count.items():
            for user in staying[name][count:]:
                self._leaving_users.add(user.greenlet)
                gevent.spawn(self._stop_user, user)
        self.update_state(STATE_RUNNING)
        self.worker_state = STATE_RUNNING
        self.send_message(
            "spawning_complete", {"user_classes_count": user_classes_count, "user_count": self.target_user_count}
        )

    def _stop_user(self, user: Any) -> None:
        """As Locust: a request under way may take the stop timeout."""
        if not self.environment.stop_timeout:
            user.stop(force=True)
            return
        user.stop()
        user.greenlet.join(self.environment.stop_timeout)
        user.greenlet.kill(block=False)

    # the end of a run, and of the worker

    def stop(self) -> None:
        was_active = self.state in ACTIVE_STATES
        super().stop()
        if was_active:
            self.keeper.finish_run()
            self.report()

    def begin_stopping(self) -> None:
        # In its own greenlet: users may take the whole stop timeout, heartbeats must go on meanwhile.
        self._stopper = self.greenlet.spawn(self._stop_run)

    def stop_for_want_of_master(self) -> None:
        if self._stopper is not None:
            self._stopper.join()
        if self.state in ACTIVE_STATES:
            super().stop()  # without a last report: the run may go on when there is a master again

    def _stop_run(self) -> None:
        if self.state != STATE_CLEANUP:
            self.stop()
        self.worker_state = STATE_INIT
        self.send_message("client_stopped")

    def quit_in_order(self) -> None:
        if self._stopper is not None:
            self._stopper.join()
        self._leave("the master said so")
        self.greenlet.kill(block=True)

    def _on_quitting(self, **_: Any) -> None:
        """SIGTERM, SIGINT or the master's word; before Locust says `quit` to the master."""
        self._leave("its process was told to end")

    def _leave(self, reason: str) -> None:
        """Stops in good order; the exit code says whether everything was delivered."""
        if self._is_leaving:
            return
        self._is_leaving = True
        if self._is_joined.is_set():
            self.send_ours(Leaving(reason=reason))
        if self.state in ACTIVE_STATES:
            self.stop()
        if not self.keeper.wait_delivered(DELIVERY_TIMEOUT_S if self._is_joined.is_set() else 0.0):
            logger.error("Not all reports of this worker were delivered to the master")
            self.environment.process_exit_code = ExitCode.INCOMPLETE
