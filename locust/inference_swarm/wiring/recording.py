"""This process's attempts, folded once a second from the transport's log into Locust's statistics and our snapshots."""

from __future__ import annotations

import time

import gevent
from locust.env import Environment

from inference_swarm.load.user import METHOD
from inference_swarm.measure.locust_stats import fold_into_locust, wall_offset_ns
from inference_swarm.measure.recorder import RunRecorder
from inference_swarm.measure.snapshot import Snapshot
from inference_swarm.transport.client import InferenceClient
from inference_swarm.wiring.health import HealthMonitor

FOLD_PERIOD_S = 1.0


class Recording:
    """One run in one process, from its first user to its final snapshot."""

    def __init__(self, environment: Environment, client: InferenceClient, run_id: str, worker: str) -> None:
        self._environment = environment
        self._client = client
        self._recorder = RunRecorder(run_id, worker, time.monotonic_ns())
        self._offset_ns = wall_offset_ns()
        self._connects_seen = 0
        self._health = HealthMonitor()
        self._folder = gevent.spawn(self._fold_on_and_on)

    @property
    def is_closed(self) -> bool:
        """The final snapshot has been taken."""
        return self._recorder.is_closed

    def fold(self) -> None:
        """Brings Locust's statistics and ours up to date."""
        name = self._client.target.name
        untold = self._client.log.take_batch()
        fold_into_locust(self._environment.stats, untold, method=METHOD, name=name, offset_ns=self._offset_ns)
        self._recorder.add(name, untold)
        # Locust's own listener has counted these already.
        self._recorder.add(name, self._client.heard_log.take_batch())
        self._recorder.add_connects(name, self._client.opened_count - self._connects_seen)
        self._connects_seen = self._client.opened_count

    def take_snapshot(self, *, is_final: bool = False) -> Snapshot:
        """All since the last one; the final one ends the recording."""
        self.fold()
        if is_final:
            self._folder.kill(block=False)
        runner = self._environment.runner
        users = 0 if runner is None else runner.user_count
        snapshot = self._recorder.take_snapshot(time.monotonic_ns(), users, self._health.take(), is_final=is_final)
        if is_final:
            self._health.close()
        return snapshot

    def _fold_on_and_on(self) -> None:
        while True:
            gevent.sleep(FOLD_PERIOD_S)
            self.fold()
