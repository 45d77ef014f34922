"""This process's attempts, folded ten times a second out of the transport's log into Locust's numbers and ours."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import gevent
from locust.env import Environment

from inference_swarm.load.player import ArrivalPlayer
from inference_swarm.load.user import METHOD
from inference_swarm.measure.locust_stats import fold_into_locust, wall_offset_ns
from inference_swarm.measure.recorder import RunRecorder
from inference_swarm.measure.snapshot import Snapshot, WorkerHealth
from inference_swarm.transport.client import InferenceClient
from inference_swarm.wiring.health import HealthMonitor

FOLD_PERIOD_S = 0.1  # at 1 s a fold holds the loop up for 5 ms at 100,000 requests/s, which shows in p99.9
NS_PER_S = 1_000_000_000


class Recording:
    """One run in one process, from its first user to its final snapshot."""

    def __init__(
        self,
        environment: Environment,
        client: InferenceClient,
        run_id: str,
        worker: str,
        *,
        began_ns: int | None = None,
        player: ArrivalPlayer | None = None,
        late_after_s: float = 0.0,
    ) -> None:
        """`began_ns` is when the run began on this process's clock, if not now; `player` is that of an open load."""
        self._environment = environment
        self._client = client
        self._player = player
        now_ns = time.monotonic_ns()
        late_after_ns = None if player is None else round(late_after_s * NS_PER_S)
        self._recorder = RunRecorder(run_id, worker, began_ns or now_ns, start_ns=now_ns, late_after_ns=late_after_ns)
        self._ended_ns: int | None = None
        environment.events.test_stopping.add_listener(self._end_load)  # type: ignore[no-untyped-call]
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
        pending = self._client.log.take_batch()
        fold_into_locust(self._environment.stats, pending, method=METHOD, name=name, offset_ns=self._offset_ns)
        self._recorder.add(name, pending)
        # Locust's own listener has counted these already.
        self._recorder.add(name, self._client.notified_log.take_batch())
        self._recorder.add_connects(name, self._client.counters.opened - self._connects_seen)
        self._connects_seen = self._client.counters.opened
        if self._player is not None:
            self._recorder.add_dropped(name, self._player.take_dropped())

    def take_snapshot(self, *, is_final: bool = False) -> Snapshot:
        """All since the last one; the final one ends the recording."""
        if is_final:
            self._folder.kill(block=False)
            self._end_load()
        self.fold()
        runner = self._environment.runner
        users = 0 if runner is None else runner.user_count
        # What is answered after the end of the load is counted, but users who stop make no rate.
        now_ns = self._ended_ns or time.monotonic_ns()
        snapshot = self._recorder.take_snapshot(now_ns, users, self._take_health(), is_final=is_final)
        if is_final:
            self._health.close()
        return snapshot

    def _end_load(self, **_: Any) -> None:
        if self._ended_ns is not None:
            return
        self._ended_ns = time.monotonic_ns()
        if self._player is not None:
            self._player.end()
            self._ended_ns = min(self._ended_ns, self._player.end_ns or self._ended_ns)
        handlers = self._environment.events.test_stopping._handlers
        if self._end_load in handlers:
            handlers.remove(self._end_load)

    def _take_health(self) -> WorkerHealth:
        lags_ns = None if self._player is None else self._player.take_lags_ns()
        return replace(
            self._health.take(lags_ns),
            ports_exhausted=self._recorder.ports_exhausted,
            files_exhausted=self._recorder.files_exhausted,
        )

    def _fold_on_and_on(self) -> None:
        while True:
            gevent.sleep(FOLD_PERIOD_S)
            self.fold()
