"""The product's own locustfile, which prints at its end what its users left behind."""

import locust  # first: it makes the standard library cooperative  # isort: skip

import gc
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "locust"))

from locustfile import ModelUser

from inference_swarm.load.user import InferenceUser
from inference_swarm.transport.stream import Stream

__all__ = ["ModelUser"]


@locust.events.quit.add_listener  # after the last user has been stopped
def print_leftovers(**_: Any) -> None:
    gc.collect()
    client = InferenceUser.assignment.client if InferenceUser.assignment else None
    objects = gc.get_objects()
    print("SOAK users", sum(isinstance(each, InferenceUser) for each in objects))
    print("SOAK streams", sum(isinstance(each, Stream) for each in objects))
    if client is not None:
        print("SOAK open_connections", client.counters.open)
        print("SOAK reconnects", client.counters.reconnects)
        print("SOAK failures", sum(client.log.failure_counts.values()))
