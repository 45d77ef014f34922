"""One attempt of an A/B run: the next request of a pair, over the connection of its side. An edge: the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from inference_swarm.load.assignment import Assignment
from inference_swarm.load.pairs import Pairs
from inference_swarm.transport.connection import Connection
from inference_swarm.transport.outcome import Outcome


@dataclass(frozen=True, slots=True)
class PairAttempt:
    """What was done, over which connection, and when it began (time of day)."""

    outcome: Outcome
    connection: Connection
    start_s: float


def attempt_of_pair(
    assignment: Assignment,
    pairs: Pairs,
    connections: list[Connection],
    wait: Callable[[Assignment], None],
    intended_ns: int,
) -> PairAttempt:
    """Make the attempt. `connections` are the user's, one for each side, made here; `wait` waits for a row."""
    take = pairs.take if assignment.allowance is None else assignment.allowance.counted(pairs.take)
    while (turn := take()) is None:
        wait(assignment)
    if not connections:
        connections.extend(client.connect() for client in pairs.clients)
    connection = connections[turn.side]
    start_s = time.time()
    outcome = connection.attempt(turn.request, intended_ns, turn.row_count)
    outcome.rows = turn.rows
    if outcome.error is not None and not turn.rows:
        assignment.example_rows.note(outcome, turn.request)
    return PairAttempt(outcome, connection, start_s)
