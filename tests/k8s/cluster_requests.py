"""Questions to pods, as a browser or a script asks them; waiting for what pods come to."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from running_pod import RunningPod


def wait_until(condition: Callable[[], bool], within_s: float, what: str) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {within_s} s: {what}"
        time.sleep(0.2)


def ask(pod: RunningPod, path: str, form: Mapping[str, Any] | None = None, port: int = 8089) -> dict[str, Any]:
    """JSON from a pod."""
    data = urllib.parse.urlencode(form).encode() if form is not None else None
    with urllib.request.urlopen(f"http://{pod.address}:{port}{path}", data, timeout=30) as response:
        document: dict[str, Any] = json.loads(response.read())
    return document


def try_to_ask(pod: RunningPod, path: str) -> dict[str, Any] | None:
    """The same, or nothing from a pod that does not answer yet."""
    try:
        return ask(pod, path)
    except OSError:
        return None
