"""A listener as those of locust-plugins: each request goes to a file of its own, one JSON object a line.

Listening costs: every request is reported one by one (docs/benchmarks.md), so listen where it is needed.
"""

import json
import os
from typing import Any

from inference_swarm import InferenceUser, attach
from locust import events


class ModelUser(InferenceUser):
    """Sends rows."""


class RequestLog:
    """Writes `REQUEST_LOG`.<process id>."""

    def __init__(self, environment: Any) -> None:
        path = os.environ.get("REQUEST_LOG", "requests.jsonl")
        self._file = open(f"{path}.{os.getpid()}", "w", encoding="utf-8")  # noqa: SIM115 - open as long as the process
        environment.events.request.add_listener(self.on_request)
        environment.events.quitting.add_listener(self.on_quitting)

    def on_request(self, name: str, response_time: float, exception: Exception | None, **_: Any) -> None:
        line = {"name": name, "ms": round(response_time, 3), "error": str(exception) if exception else None}
        self._file.write(json.dumps(line) + "\n")

    def on_quitting(self, **_: Any) -> None:
        self._file.close()


@events.init.add_listener
def on_init(environment: Any, **_: Any) -> None:
    RequestLog(environment)


attach()
