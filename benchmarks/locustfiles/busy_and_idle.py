"""A few users who send all the time, and many more who are spawned beside them later, send once and stay connected."""

import locust  # noqa: F401 - first: it makes the standard library cooperative  # isort: skip

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "locust"))

from inference_swarm import InferenceUser, attach
from locust import LoadTestShape, constant

BUSY, ALL, SPAWN_RATE = (int(os.environ[name]) for name in ("BENCH_BUSY", "BENCH_USERS", "BENCH_SPAWN_RATE"))
BEFORE_S = float(os.environ["BENCH_BEFORE_S"])


class Busy(InferenceUser):
    """100 requests/s each."""

    fixed_count = BUSY
    wait_time = constant(0.01)


class Idle(InferenceUser):
    """One request, and then its connection only."""

    wait_time = constant(10_000)


class Begin(LoadTestShape):
    """The busy ones first; then the others, at the rate that is asked for."""

    use_common_options = True

    def tick(self):
        return (BUSY, BUSY) if self.get_run_time() < BEFORE_S else (ALL, SPAWN_RATE)


attach()
