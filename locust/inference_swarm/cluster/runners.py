"""Locust builds our runners in the place of its own. Here: those that need little, and the replacing itself."""

from __future__ import annotations

from typing import Any

import locust.env
from locust.runners import STATE_RUNNING, STATE_SPAWNING, LocalRunner

from inference_swarm.cluster.keepers import RunKeeper
from inference_swarm.cluster.master_runner import SwarmMasterRunner
from inference_swarm.cluster.preparation import PreparesRuns
from inference_swarm.cluster.worker_runner import SwarmWorkerRunner

ACTIVE_STATES = (STATE_SPAWNING, STATE_RUNNING)


class SwarmLocalRunner(PreparesRuns[RunKeeper], LocalRunner):
    """Master and worker in one process."""

    def start(self, user_count: int, spawn_rate: float, wait: bool = False, user_classes: Any = None) -> None:
        if self.state in ACTIVE_STATES or self.prepare_run():
            super().start(user_count, spawn_rate, wait, user_classes)

    def stop(self) -> None:
        self.cancel_preparing()
        if self.state not in ACTIVE_STATES:
            super().stop()
            return
        self.keeper.end_load()
        super().stop()
        self.keeper.finish_run()


def install_runners() -> None:
    """Locust builds our runners from now on."""
    for name, runner in (
        ("MasterRunner", SwarmMasterRunner),
        ("WorkerRunner", SwarmWorkerRunner),
        ("LocalRunner", SwarmLocalRunner),
    ):
        setattr(locust.env, name, runner)


__all__ = ["SwarmLocalRunner", "SwarmMasterRunner", "SwarmWorkerRunner", "install_runners"]
