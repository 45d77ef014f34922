"""Waits for `--wait-ready` until the server says that it is ready, as its API has it. An edge: the network, a clock."""

from __future__ import annotations

import time
from typing import Final

import gevent

from inference_swarm.apis.table import api_of, ready_path
from inference_swarm.config.settings import Settings
from inference_swarm.errors import TargetError
from inference_swarm.transport.attempt import describe_status
from inference_swarm.transport.body import first_words
from inference_swarm.transport.client import InferenceClient
from inference_swarm.transport.fetch import fetch
from inference_swarm.transport.target import beside_requests, parse_headers

READY_PERIOD_S: Final = 0.5
READY_TRY_S: Final = 5.0


def wait_ready(settings: Settings, client: InferenceClient) -> float:
    """Return after how many seconds the server said that it is ready. Raises TargetError when it does not in time."""
    assert settings.wait_ready_s is not None
    path, contains = ready_path(settings), api_of(settings).ready.contains.encode()
    path = path and beside_requests(settings, path)
    headers = parse_headers(settings.headers)
    began_s = time.monotonic()
    while True:
        left_s = settings.wait_ready_s - (time.monotonic() - began_s)
        try:
            got = fetch(client, "GET", path or client.target.path, headers=headers, timeout_s=min(READY_TRY_S, left_s))
        except TargetError as error:
            last = error.found
        else:
            # Where the API has no such path, any answer but an error of the server or its proxy is a sign of life.
            if (got.status == 200 and contains in got.body) if path else got.status < 500:
                return time.monotonic() - began_s
            last = f"{describe_status(got.status)}: {first_words(got.body) or '(no text)'}"
        left_s = settings.wait_ready_s - (time.monotonic() - began_s)
        if left_s <= READY_PERIOD_S:
            raise TargetError(
                f"the server was not ready within {settings.wait_ready_s:g} s (--wait-ready): {last}",
                expected=f"200 to GET {path.partition('?')[0]}" if path else "a response",
                action="look into the server's log, or raise --wait-ready",
            )
        gevent.sleep(READY_PERIOD_S)
