"""Stages of users as a Locust load shape: a step takes effect in one tick, a ramp is a step each second."""

from __future__ import annotations

from inference_swarm.load.stages import Stages, users_at
from locust import LoadTestShape


class UserStages(LoadTestShape):
    """Follows the stages from `reset_time` on; ends with them. Also for custom locustfiles."""

    abstract = True  # not to be picked up by Locust where it is imported

    def __init__(self, stages: Stages) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.stages = stages

    def tick(self) -> tuple[int, float] | None:
        return users_at(self.stages, self.get_run_time())  # type: ignore[no-untyped-call]
