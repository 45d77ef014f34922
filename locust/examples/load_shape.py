"""A LoadTestShape: a staircase of users, then the run ends. (`--stages` does that without a locustfile.)"""

from inference_swarm import InferenceUser, attach
from locust import LoadTestShape

STEP_S = 2
STEPS = (2, 4, 6)


class ModelUser(InferenceUser):
    """Sends rows."""


class Staircase(LoadTestShape):
    """So many users in each step."""

    def tick(self) -> tuple[int, float] | None:
        step = int(self.get_run_time() // STEP_S)
        return (STEPS[step], 100.0) if step < len(STEPS) else None


attach()
