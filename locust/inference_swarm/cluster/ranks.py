"""Who has the fewest users, who the most, while they change: heaps, so that not every worker is looked at. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping

Key = tuple[int, int]
Heap = list[tuple[Key, int]]


class Ranks:
    """Workers by their users. `placed`: users by class of each worker, in the order that settles ties."""

    def __init__(self, placed: Mapping[str, Mapping[str, int]]) -> None:
        self._placed = placed
        self._workers = list(placed)
        self._places = {worker: place for place, worker in enumerate(self._workers)}
        self._sizes = {worker: sum(users.values()) for worker, users in placed.items()}
        self._heaps: dict[tuple[bool, str], tuple[Heap, Callable[[str], Key]]] = {}

    def size(self, worker: str) -> int:
        """Return how many users the worker has."""
        return self._sizes[worker]

    def emptiest(self, name: str = "") -> str:
        """Return the worker with the fewest users, of several the one with the fewest of this class."""
        return self._first(False, name)

    def fullest(self, name: str = "") -> str:
        """Return the worker with the most users; with a class, of those that have some of it."""
        return self._first(True, name)

    def note(self, worker: str, by: int) -> None:
        """The worker has so many users more, as `placed` says already."""
        self._sizes[worker] += by
        for heap, key in self._heaps.values():
            heapq.heappush(heap, (key(worker), self._places[worker]))

    def _first(self, is_fullest: bool, name: str) -> str:
        if (is_fullest, name) not in self._heaps:
            make = self._key_of_full if is_fullest else self._key_of_empty
            key = make(name)
            heap = [(key(worker), place) for worker, place in self._places.items()]
            heapq.heapify(heap)
            self._heaps[is_fullest, name] = heap, key
        heap, key = self._heaps[is_fullest, name]
        while heap[0][0] != key(worker := self._workers[heap[0][1]]):
            heapq.heappop(heap)  # it has changed since
        return worker

    def _key_of_empty(self, name: str) -> Callable[[str], Key]:
        if not name:
            return lambda worker: (self._sizes[worker], 0)
        return lambda worker: (self._sizes[worker], self._placed[worker][name])

    def _key_of_full(self, name: str) -> Callable[[str], Key]:
        if not name:
            return lambda worker: (-self._sizes[worker], 0)
        return lambda worker: (-self._sizes[worker], 0) if self._placed[worker][name] else (1, 0)
