"""What Locust runs: `locust -f locust/locustfile.py`. README.md has the commands, docs/architecture.md the picture.

Subclass InferenceUser, or write any other User, in a locustfile of your own to change the scenario.
"""

import locust  # first: it makes the standard library cooperative  # isort: skip

import gc
import sys
from pathlib import Path

gc.disable()  # until `attach`: what is imported is no garbage, and to look for some takes a tenth of the time
sys.path.insert(0, str(Path(__file__).resolve().parent))

from inference_swarm import wiring  # noqa: E402
from inference_swarm.load.user import InferenceUser  # noqa: E402


class ModelUser(InferenceUser):
    """Sends one row after the other of this worker's shard to `POST /invocation`."""


__all__ = ["ModelUser"]

wiring.attach(locust.events, config_file=Path(__file__).resolve().parent / "config.json")
