"""Master and worker in one process: a coordinator and an agent on an in-memory channel, the same code as everywhere."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import gevent
from locust.env import Environment
from locust.runners import LocalRunner

from inference_swarm.cluster.agent_state import AgentConfig
from inference_swarm.cluster.aside import is_listener
from inference_swarm.cluster.boot import boot_id
from inference_swarm.cluster.ending import let_threads_end
from inference_swarm.cluster.events import ResetStatistics
from inference_swarm.cluster.file_limit import raise_file_limit
from inference_swarm.cluster.locust_test import LocustTest
from inference_swarm.cluster.master_adapter import MasterAdapter, RunServices
from inference_swarm.cluster.memory_channel import MemoryChannel
from inference_swarm.cluster.run_control import Planner, RunControl
from inference_swarm.cluster.state import CoordinatorConfig
from inference_swarm.cluster.worker_adapter import WorkerAdapter
from inference_swarm.cluster.worker_seams import WorkerSeams
from inference_swarm.errors import ExitCode
from locust import User

# A process cannot lose itself: if it stands still, so does everything that could blame it.
LEASE_S = SILENCE_S = 1e9
USAGE_PERIOD_S = 1.0


class SwarmLocalRunner(LocalRunner):
    """`attach` gives it the services of its runs."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.client_id = f"local_{uuid4().hex[:8]}"
        self.clients: dict[str, Any] = {}
        self.spawning_completed = False
        self._end: gevent.Greenlet | None = None

    def attach(self, services: RunServices, planner: Planner, allowed: str) -> MasterAdapter:
        """Make runs possible from now on."""
        options = self.environment.parsed_options
        channel = MemoryChannel(self.client_id)
        self.test = LocustTest(self.environment, self, lambda: self.adapter.feed(ResetStatistics()))
        config = CoordinatorConfig(
            ends_after_run=bool(options and options.headless), boot=boot_id(), silence_s=SILENCE_S, lease_s=LEASE_S
        )
        self.adapter = MasterAdapter(config, channel.send_to_worker, services, self.test)
        self.control = RunControl(self, self.adapter, planner, ends_workers=True)
        seams = WorkerSeams(channel.send_to_master, lambda: None, self._end_worker, notifies_listeners=False)
        agent = AgentConfig(self.client_id, LEASE_S, files_limit=raise_file_limit())
        self.worker = WorkerAdapter(self.environment, self, agent, allowed, seams)
        channel.to_master, channel.to_worker = self.adapter.receive, self.worker.feed
        self.greenlet.spawn(self._watch)
        # Locust asks for the exit code before it asks the runner to quit: by then the run must be closed.
        self.environment.events.quitting.add_listener(lambda **_: self.quit())  # type: ignore[no-untyped-call]
        self.adapter.begin()
        self.worker.begin()
        return self.adapter

    def start(
        self, user_count: int, spawn_rate: float, wait: bool = False, user_classes: list[type[User]] | None = None
    ) -> None:
        """Begin a run, or change the users of the one under way. Returns when they are spawned."""
        self.target_user_count = user_count
        self.control.start(user_count, spawn_rate, user_classes)

    def stop(self) -> None:
        """End the run: users stop, results are written."""
        self.control.stop()

    def quit(self) -> None:
        """Stop as `stop` does; then this process may end. A user that asks for it goes on until it is stopped."""
        if gevent.getcurrent() in self.user_greenlets:
            gevent.spawn(self.quit)
            return
        if self._end is None:
            self.control.quit()
        self.end_process()

    def end_process(self) -> None:
        """End the process, in which nothing is left to be done. Whoever asks while that is being done waits for it."""
        if is_listener():  # the end waits for it
            return
        if self._end is None:
            self._end = gevent.spawn(self._end_now)  # whoever asks may be killed meanwhile, as a load shape is
        self._end.join()

    def _end_now(self) -> None:
        self.adapter.wait_for_listeners()
        self.adapter.close()
        self.worker.close()
        let_threads_end()
        self.greenlet.kill(block=True)

    @property
    def draining_user_count(self) -> int:
        """None: a process does not leave itself."""
        return 0

    @property
    def reported_user_classes_count(self) -> dict[str, int]:
        """The users by class, as a master has them."""
        return self.user_classes_count

    def users_applied(self, count: int) -> None:
        """Do nothing: Locust's own state follows the run, not the users."""

    def notify_workers_complete(self, users: int) -> None:
        """Do nothing: there are no other workers."""

    def _end_worker(self, code: ExitCode) -> None:
        """Do nothing: the process ends when its coordinator says so."""

    def _watch(self) -> None:
        while True:
            state = self.worker.state
            state.cpu_percent, state.memory_bytes = max(0.0, self.current_cpu_usage), self.current_memory_usage
            gevent.sleep(USAGE_PERIOD_S)
