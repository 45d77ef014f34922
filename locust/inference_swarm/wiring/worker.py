"""A worker: loads the blocks that the master gives it, lets its users send them, reports what came of it."""

from __future__ import annotations

import logging
from typing import Any

from locust.env import Environment

from inference_swarm.config.settings import Settings
from inference_swarm.data.manifest import Manifest
from inference_swarm.data.row_store import StoreStatus
from inference_swarm.errors import SwarmError
from inference_swarm.load.runners import SwarmWorkerRunner
from inference_swarm.measure.snapshot import SNAPSHOT_KEY
from inference_swarm.wiring.recording import Recording
from inference_swarm.wiring.shard import Shard
from inference_swarm.wiring.users import assign_users

logger = logging.getLogger(__name__)


class WorkerSide:
    """WorkerKeeper of a worker process."""

    def __init__(self, environment: Environment, runner: SwarmWorkerRunner) -> None:
        self._environment = environment
        self._runner = runner
        self._run_id = ""
        self._generation = 0
        self._shard: Shard | None = None
        self._settings: Settings | None = None
        self._recording: Recording | None = None
        self._is_finishing = False
        runner.register_message("swarm_hold", self._on_hold, concurrent=True)
        environment.events.test_start.add_listener(self._on_test_start)  # type: ignore[no-untyped-call]
        # Before Locust's own listener, so that its statistics are up to date when it reads them.
        environment.events.report_to_master._handlers.insert(0, self._on_report)

    def finish_run(self) -> None:
        self._is_finishing = True

    def _on_hold(self, msg: Any, **_: Any) -> None:
        data = msg.data
        self._generation = data["generation"]
        if data["run_id"] == self._run_id and self._shard is not None:
            self._shard.hold(data["blocks"])
            return
        if self._shard is not None:
            self._shard.close()
        self._run_id = data["run_id"]
        try:
            self._settings = Settings(**data["settings"])
            manifest = Manifest.from_wire(data["manifest"])
            self._shard = Shard(
                self._settings, manifest, data["blocks"], on_ready=self._say_ready, on_failed=self._say_failed
            )
        except SwarmError as error:
            self._say_failed(error)

    def _say_ready(self, status: StoreStatus, seconds: float) -> None:
        logger.info("%d rows of %d blocks are ready after %.1f s", status.rows, status.blocks, seconds)
        self._runner.send_message(
            "swarm_ready",
            {"run_id": self._run_id, "generation": self._generation, "rows": status.rows, "seconds": seconds},
        )

    def _say_failed(self, error: SwarmError) -> None:
        self._runner.send_message("swarm_failed", {"run_id": self._run_id, "message": str(error)})

    def _on_test_start(self, **_: Any) -> None:
        if self._shard is None or self._settings is None:
            logger.error("The master began a run without giving rows to this worker")
            return
        self._is_finishing = False
        assign_users(self._settings, self._shard.assignment())
        self._recording = Recording(self._environment, self._shard.client, self._run_id, self._runner.client_id)

    def _on_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        recording = self._recording
        if recording is not None and not recording.is_closed:
            data[SNAPSHOT_KEY] = recording.take_snapshot(is_final=self._is_finishing).to_wire()
