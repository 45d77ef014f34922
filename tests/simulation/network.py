"""The simulated network between one master and its workers: delays, drops, duplicates, cuts in either direction.

Messages of one direction of one link keep their order, as on a TCP connection. What is dropped never comes; what is
sent into a cut comes when it is healed, or never. Some second copies are stragglers of a former connection, which come
when there is another one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from inference_swarm.cluster.protocol import Envelope
from tests.simulation.clock import Clock

STRAGGLERS = 0.3
STRAGGLE_S = 25.0

Deliver = Callable[[str, Envelope], None]


@dataclass(slots=True)
class Direction:
    """One direction of one link."""

    is_cut: bool = False
    keeps: bool = False  # what is sent while it is cut
    kept: list[Callable[[], None]] = field(default_factory=list)
    last_s: float = 0.0
    session: int = -1


class Network:
    """`up` is from a worker to the master."""

    def __init__(self, clock: Clock, rng: random.Random, delay_s: float, drop: float, duplicate: float) -> None:
        self._clock = clock
        self._rng = rng
        self._delay_s = delay_s
        self._drop = drop
        self._duplicate = duplicate
        self._late = random.Random(rng.random())
        self.is_faulty = True
        self._links: dict[tuple[str, bool], Direction] = {}

    @property
    def is_lossy(self) -> bool:
        """Messages are dropped now and then, so that nothing is known to be calm."""
        return self.is_faulty and self._drop > 0

    @property
    def is_cut(self) -> bool:
        """Some direction of some link is cut."""
        return any(line.is_cut for line in self._links.values())

    def direction(self, worker: str, is_up: bool) -> Direction:
        """To be cut and healed."""
        key = (worker, is_up)
        found = self._links.get(key)
        if found is None:
            found = self._links[key] = Direction()
        return found

    def cut(self, worker: str, is_up: bool) -> None:
        """Nothing comes through from now on."""
        line = self.direction(worker, is_up)
        if not line.is_cut:
            line.is_cut, line.keeps = True, self._late.random() < 0.5

    def heal(self, worker: str) -> None:
        """Both directions work again, and what the system has kept arrives."""
        for is_up in (True, False):
            line = self.direction(worker, is_up)
            line.is_cut = False
            kept, line.kept = line.kept, []
            for send in kept:
                send()

    def send(self, worker: str, is_up: bool, envelope: Envelope, deliver: Deliver) -> None:
        """Delivers later, once, twice or never."""
        line, rng, now_s = self.direction(worker, is_up), self._rng, self._clock.now_s
        line.session = max(line.session, envelope.session)
        if line.is_cut:
            if line.keeps:
                line.kept.append(lambda: self.send(worker, is_up, envelope, deliver))
            return
        copies = 1
        if self.is_faulty:
            chance = rng.random()
            if chance < self._drop:
                return
            if chance > 1 - self._duplicate:
                copies = 2
                if rng.random() < STRAGGLERS:
                    copies = 1
                    late_s = now_s + STRAGGLE_S * rng.random()
                    self._clock.at(late_s, lambda: self._straggle(line, worker, envelope, deliver))
        for _ in range(copies):
            line.last_s = max(line.last_s, now_s + self._delay_s * rng.random())
            self._clock.at(line.last_s, lambda: self._arrive(line, worker, envelope, deliver))

    def _straggle(self, line: Direction, worker: str, envelope: Envelope, deliver: Deliver) -> None:
        if envelope.session < line.session:
            self._arrive(line, worker, envelope, deliver)

    @staticmethod
    def _arrive(line: Direction, worker: str, envelope: Envelope, deliver: Deliver) -> None:
        if not line.is_cut:
            deliver(worker, envelope)
