"""A sine between two values over time: its value, its integral, and the inverse of that. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
# The inverse is looked up in so many pieces of a period, and found within a piece by halving it so often.
PIECES = 512
HALVINGS = 34


@dataclass(frozen=True, slots=True)
class Wave:
    """Begins in the middle of `first` and `last`, which are not below 0, and goes to `last` first."""

    first: float
    last: float
    period_s: float
    _edges: Floats = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        edges = self._integral(np.arange(PIECES + 1) / PIECES)
        object.__setattr__(self, "_edges", np.maximum.accumulate(edges))

    @property
    def mean(self) -> float:
        return (self.first + self.last) / 2

    def value_at(self, time_s: float) -> float:
        """Return the value at a time."""
        turn = time_s / self.period_s % 1.0
        return max(0.0, self.mean + (self.last - self.first) / 2 * math.sin(2 * math.pi * turn))

    def amount_until(self, time_s: float) -> float:
        """Return the integral from 0 to a time."""
        turns, turn = divmod(time_s / self.period_s, 1.0)
        return turns * self.mean * self.period_s + float(self._integral(np.array(turn)))

    def time_of(self, amounts: Floats) -> Floats:
        """Return when the integral reaches each amount; ascending amounts have ascending times."""
        if not self.mean:
            return np.full(amounts.shape, np.inf)
        turns, rest = np.divmod(amounts, self.mean * self.period_s)
        piece = np.clip(np.searchsorted(self._edges, rest, side="right") - 1, 0, PIECES - 1)
        low, width = piece / PIECES, 1 / PIECES
        for _ in range(HALVINGS):
            width /= 2
            low = np.where(self._integral(low + width) <= rest, low + width, low)
        times: Floats = (turns + low) * self.period_s
        return times

    def _integral(self, turn: Floats) -> Floats:
        """Return the integral from the begin of a period to a part of it."""
        swing = (self.last - self.first) / 2 * (1 - np.cos(2 * np.pi * turn)) / (2 * np.pi)
        amounts: Floats = self.period_s * (self.mean * turn + swing)
        return amounts
