"""Locust builds our runners in the place of its own. Here: those that need little, and the replacing itself."""

from __future__ import annotations

import logging
from typing import Any

import locust.env
from locust.runners import STATE_RUNNING, STATE_SPAWNING, LocalRunner

from inference_swarm.errors import SwarmError
from inference_swarm.load.keepers import RunKeeper
from inference_swarm.load.master_runner import SwarmMasterRunner
from inference_swarm.load.worker_runner import SwarmWorkerRunner

logger = logging.getLogger(__name__)

ACTIVE_STATES = (STATE_SPAWNING, STATE_RUNNING)


class SwarmLocalRunner(LocalRunner):
    """Master and worker in one process."""

    keeper: RunKeeper
    _is_preparing = False
    _is_cancelled = False

    def start(self, user_count: int, spawn_rate: float, wait: bool = False, user_classes: Any = None) -> None:
        if self.state not in ACTIVE_STATES and not self._prepare():
            return
        super().start(user_count, spawn_rate, wait, user_classes)

    def stop(self) -> None:
        self._is_cancelled = True
        if self.state not in ACTIVE_STATES:
            super().stop()
            return
        self.keeper.end_load()
        super().stop()
        self.keeper.finish_run()

    def _prepare(self) -> bool:
        """Whether the run may begin now."""
        if self._is_preparing:
            logger.info("The run is being prepared already")
            return False
        self._is_preparing, self._is_cancelled = True, False
        try:
            self.keeper.prepare_run()
        except SwarmError as error:
            self.keeper.refuse_run(error)
            return False
        finally:
            self._is_preparing = False
        if self._is_cancelled:
            logger.info("The run was stopped while it was being prepared")
            return False
        self.keeper.begin_run()
        return True


def install_runners() -> None:
    """Locust builds our runners from now on."""
    for name, runner in (
        ("MasterRunner", SwarmMasterRunner),
        ("WorkerRunner", SwarmWorkerRunner),
        ("LocalRunner", SwarmLocalRunner),
    ):
        setattr(locust.env, name, runner)


__all__ = ["SwarmLocalRunner", "SwarmMasterRunner", "SwarmWorkerRunner", "install_runners"]
