"""One request outside of any load: on a connection of its own, in no log and no counter. An edge.

What asks a server about itself before a run: whether it is ready, what its model takes, whether it answers one row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from inference_swarm.errors import TargetError
from inference_swarm.transport.client import InferenceClient
from inference_swarm.transport.deadlines import Deadlines
from inference_swarm.transport.outcome import Outcome
from inference_swarm.transport.target import request_heads

_ANY_STATUS: Final = frozenset(range(100, 600))


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole response; `body` without its Content-Encoding."""

    status: int
    body: bytes


def fetch(
    client: InferenceClient,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> Fetched:
    """Return the response to one request, whatever its status. Blocks the calling greenlet.

    `path` is the whole request target; `client` names the server, its certificates and the deadlines, of which
    `timeout_s` is a shorter one for all. Raises TargetError when there is no whole response.
    """
    target = replace(client.target, path=path)
    request = request_heads(target, headers, method=method)(len(body)) + body
    outcome, received = send_once(client, request, timeout_s)
    if outcome.error is not None:
        raise TargetError(f"There is no response to {method} {target.public_url}: {outcome.error}.")
    return Fetched(outcome.status, received)


def send_once(client: InferenceClient, request: bytes, timeout_s: float | None = None) -> tuple[Outcome, bytes]:
    """Send a whole request; returns its outcome, in which no status is a failure, and the body, decompressed."""
    kept: list[bytes] = []

    def keep(body: bytes, _row_count: int) -> None:
        kept.append(body)

    rules = replace(client.rules, expected_status=_ANY_STATUS, response_check=keep, answers=None)
    if timeout_s is not None:
        connect_s = min(timeout_s, rules.deadlines.connect_s)
        request_s = min(timeout_s, rules.deadlines.request_s)
        rules = replace(rules, deadlines=Deadlines(connect_s, request_s, request_s))
    connection = InferenceClient(client.target, rules, tls_files=client.tls_files).connect()
    try:
        return connection.attempt(request), b"".join(kept)
    finally:
        connection.release()
