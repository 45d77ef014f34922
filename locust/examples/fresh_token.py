"""A token that is fetched before the first request and again before it expires; one for all users of a process.

Run it with `--no-probe`: the row that is sent before a run has no token.
"""

import json
import os
import time
import urllib.request

from gevent.lock import Semaphore

from inference_swarm import InferenceUser, attach
from locust import task

TOKEN_URL = os.environ["TOKEN_URL"]
REFRESH_BEFORE_S = 1.0


class Token:
    """Asks `TOKEN_URL` for {"access_token": …, "expires_in": seconds}; one greenlet asks, the others wait for it."""

    def __init__(self) -> None:
        self._lock = Semaphore()
        self._text = ""
        self._due_s = 0.0

    def header(self) -> str:
        with self._lock:
            if time.monotonic() >= self._due_s:
                with urllib.request.urlopen(TOKEN_URL, data=b"", timeout=10) as response:
                    answer = json.load(response)
                self._text = answer["access_token"]
                self._due_s = time.monotonic() + answer["expires_in"] - REFRESH_BEFORE_S
        return f"Bearer {self._text}"


token = Token()


class Authorized(InferenceUser):
    """Rows with a token that is valid when they are sent."""

    @task
    def predict(self) -> None:
        self.send(self.next_body(), headers={"Authorization": token.header()})


attach()
