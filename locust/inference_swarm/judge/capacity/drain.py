"""After a step that was missed: when the server has got over it, by requests in flight and by how long they take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from inference_swarm.judge.capacity.steps import Look, Step

# Load while the server recovers: enough to see its latency by. It is lowered when that does not let it recover.
SHARE = 0.05
FLOOR = 1.0
PATIENCE_S = 8.0
LOWER_FACTOR = 0.2
MAX_S = 120.0
# So many looks in a row must be as before.
CALM_LOOKS = 2
# Requests take no longer than this many times what they took at loads that were met, at least, when it has recovered.
RECOVERED_FACTOR = 3.0
# Nor is a server still in trouble that answers within this part of the bound.
RECOVERED_SHARE = 0.25
STUCK_LOOKS = 8


class State(Enum):
    """What is to be done."""

    WAIT = "wait"
    LOWER = "lower the load"
    RECOVERED = "go on"
    GIVEN_UP = "go on all the same"


@dataclass(slots=True)
class Drain:
    """What is usual at loads that are met, and the wait under way."""

    bound_s: float
    usual_s: float = 0.0
    """How long requests take at loads that are met, at least on average."""
    usual_in_flight: float = 5.0
    since_s: float = 0.0
    _calm_looks: int = 0

    def learn(self, step: Step) -> None:
        """Take in a step that was met."""
        self.usual_in_flight = max(5.0, 2.0 * max(step.in_flight[-3:]))
        if step.mean_s:
            self.usual_s = min(self.usual_s or math.inf, step.mean_s)

    def is_needed(self, step: Step, *, is_missed: bool) -> bool:
        """Return whether the next step must wait after this one."""
        return is_missed or (bool(step.in_flight) and step.in_flight[-1] > self.usual_in_flight)

    def begin(self, now_s: float, low: float | None, following: float) -> float:
        """Begin to wait; returns the load for it. `low`: the highest load that is met, `following`: the next one."""
        self.since_s, self._calm_looks = now_s, 0
        lowest = following if low is None else min(low, following)
        return max(min(FLOOR, lowest / 4), SHARE * lowest)

    def look(self, step: Step, look: Look) -> State:
        """Return what is to be done by what has become known."""
        if look.asked or look.in_flight > self.usual_in_flight:  # at a low load a second may say nothing
            self._calm_looks = self._calm_looks + 1 if self._is_calm(step, look) else 0
        if self._calm_looks >= CALM_LOOKS:
            return State.RECOVERED
        if look.now_s - self.since_s >= MAX_S:
            return State.GIVEN_UP
        is_long = look.now_s - step.start_s > PATIENCE_S
        return State.LOWER if is_long and step.load > FLOOR and self._is_stuck(step) else State.WAIT

    def _is_calm(self, step: Step, look: Look) -> bool:
        if look.now_s <= step.settled_s or look.in_flight > self.usual_in_flight:
            return False
        if any(found == look.asked for found in look.beyond):
            return False
        limit_s = max(RECOVERED_FACTOR * self.usual_s, RECOVERED_SHARE * self.bound_s)
        return not self.usual_s or look.mean_s <= limit_s

    def _is_stuck(self, step: Step) -> bool:
        seen = step.in_flight[-STUCK_LOOKS:]
        return seen[-1] > self.usual_in_flight and seen[-1] >= 0.9 * seen[0]
