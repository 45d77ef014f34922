"""Parts of reports that are counted and wait to be added up: some at a time, which costs a fraction of one by one.

Whoever reads a sum has them added first (`SwarmTotals.settle`), so nobody sees that they waited. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from inference_swarm.measure.counters import RequestCounters, add_counters
from inference_swarm.measure.histogram import join_parts
from inference_swarm.measure.snapshot import Slice

# Counters of request names, addresses and error texts in all: they take memory, and while so many are added up (30 ms,
# if they are of names) no heartbeat is answered.
MAX_WAITING: Final = 3000


class Part(NamedTuple):
    """What a worker with so many users counted in one stretch of time."""

    worker: str
    users: int
    counted: Slice


class Place(NamedTuple):
    """Where a part belongs: to what counts or not, to a slot of the intervals, to a stage."""

    is_left_out: bool
    slot: int
    stage: int


@dataclass(slots=True)
class Waiting:
    """In the order in which they came."""

    parts: list[Part] = field(default_factory=list)
    size: int = 0

    def add(self, part: Part) -> bool:
        """Take a part in; returns whether it is time to add them up."""
        self.parts.append(part)
        self.size += 1 + sum(map(_size_of, part.counted.names.values()))
        return self.size >= MAX_WAITING

    def take(self, place_of: Callable[[Slice], Place]) -> dict[Place, list[Part]]:
        """Return all of them by place; none waits afterwards."""
        parts, self.parts, self.size = self.parts, [], 0
        found: dict[Place, list[Part]] = {}
        for part in parts:
            found.setdefault(place_of(part.counted), []).append(part)
        return found


def _size_of(counters: RequestCounters) -> int:
    # The histogram of a single address is mostly that of its name.
    return 1 + len(counters.failed) + max(0, len(counters.addresses) - 1)


def sum_of(parts: list[Part]) -> dict[str, RequestCounters]:
    """Return the counters of all parts together by request name; to be read, not changed."""
    if len(parts) == 1:
        return parts[0].counted.names
    total: dict[str, RequestCounters] = {}
    for part in parts:
        add_counters(total, part.counted.names)
    for counters in total.values():
        join_parts(counters.histograms())
    return total
