"""Our locustfile with measurements that are taken and thrown away, to see what recording costs."""

import locust  # first: it makes the standard library cooperative  # isort: skip

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "locust"))

from locustfile import ModelUser

from inference_swarm.measure.recording import Recording

__all__ = ["ModelUser", "locust"]


def throw_away(recording: Recording) -> None:
    recording._client.log.take_batch()
    recording._client.notified_log.take_batch()


Recording.fold = throw_away  # type: ignore[method-assign]
