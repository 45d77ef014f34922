"""Makes Locust build our runners instead of its own."""

from __future__ import annotations

import locust.env

from inference_swarm.cluster.local_runner import SwarmLocalRunner
from inference_swarm.cluster.master_runner import SwarmMasterRunner
from inference_swarm.cluster.worker_runner import SwarmWorkerRunner


def install_runners() -> None:
    """Install our runners in Locust."""
    for name, runner in (
        ("MasterRunner", SwarmMasterRunner),
        ("WorkerRunner", SwarmWorkerRunner),
        ("LocalRunner", SwarmLocalRunner),
    ):
        setattr(locust.env, name, runner)


__all__ = ["SwarmLocalRunner", "SwarmMasterRunner", "SwarmWorkerRunner", "install_runners"]
