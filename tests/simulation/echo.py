"""Some things are reported twice, the second time late: by a thread that was overtaken, when the run may be another."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.simulation.clock import Clock

CHANCE = 0.05
LATEST_S = 25.0


class Echo:
    """Repeats some events of these types to `feed`, while `is_on()`."""

    def __init__(
        self, clock: Clock, seed: str, types: tuple[type, ...], feed: Callable[[Any], None], is_on: Callable[[], bool]
    ) -> None:
        self._clock = clock
        self._rng = random.Random(seed)
        self._types = types
        self._feed = feed
        self._is_on = is_on

    def hear(self, event: Any) -> None:
        """The event has happened, and may happen once more."""
        if isinstance(event, self._types) and self._is_on() and self._rng.random() < CHANCE:
            self._clock.after(LATEST_S * self._rng.random(), lambda: self._feed(event))
