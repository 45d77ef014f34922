"""A rate or a number of users over time: a pure function of time, its integral and the inverse of that.

`stage_text.py` reads it from text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference_swarm.load.waves import Wave

Floats = npt.NDArray[np.float64]
POINTS_OF_PERIOD, MAX_POINTS = 24, 600


@dataclass(frozen=True, slots=True)
class Stage:
    """`duration_s` seconds in which the value goes in a straight line from `first` to `last`.

    With a period it goes to and fro between them instead, as a sine that begins in the middle and goes to `last` first.
    """

    duration_s: float
    first: float
    last: float
    period_s: float = 0.0

    @property
    def wave(self) -> Wave | None:
        return Wave(self.first, self.last, self.period_s) if self.period_s else None

    @property
    def begin_value(self) -> float:
        return (self.first + self.last) / 2 if self.period_s else self.first

    @property
    def end_value(self) -> float:
        wave = self.wave
        return self.last if wave is None else round(wave.value_at(self.duration_s), 9)


class Stages:
    """One stage after another: the value at a time, its integral, and the inverse of that."""

    def __init__(self, stages: tuple[Stage, ...]) -> None:
        if not stages:
            raise ValueError("no stages")
        self.stages = stages
        self._first = np.array([stage.first for stage in stages], dtype=np.float64)
        self._last = np.array([stage.last for stage in stages], dtype=np.float64)
        self._duration = np.array([stage.duration_s for stage in stages], dtype=np.float64)
        self._end = np.cumsum(self._duration)
        self._start = np.concatenate([[0.0], self._end[:-1]])
        with np.errstate(invalid="ignore"):
            amount = np.where(self._first + self._last == 0, 0.0, (self._first + self._last) / 2 * self._duration)
        self._waves = {number: wave for number, stage in enumerate(stages) if (wave := stage.wave)}
        for number, wave in self._waves.items():
            amount[number] = wave.amount_until(stages[number].duration_s)
        # 15,000.000000000002 arrivals would be 15,001: doubles are good for six decimals up to 10^9 arrivals.
        self._amount_end = np.round(np.cumsum(amount), 6)
        self._amount_start = np.concatenate([[0.0], self._amount_end[:-1]])
        self._slope = np.where(np.isinf(self._duration), 0.0, (self._last - self._first) / self._duration)

    @classmethod
    def constant(cls, value: float, duration_s: float = math.inf) -> Stages:
        """Make stages of one value, endless unless a duration is given."""
        return cls((Stage(duration_s, value, value),))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stages) and self.stages == other.stages

    def __hash__(self) -> int:
        return hash(self.stages)

    def __repr__(self) -> str:
        return f"Stages({format_stages(self)!r})"

    @property
    def duration_s(self) -> float:
        return float(self._end[-1])

    @property
    def amount(self) -> float:
        """The integral over all stages: with a rate, how many arrivals there are."""
        return float(self._amount_end[-1])

    @property
    def highest(self) -> float:
        return float(max(self._first.max(), self._last.max()))

    def value_at(self, time_s: float) -> float | None:
        """The value at a time; at a step the new one; None from the end on."""
        if not 0 <= time_s < self.duration_s:
            return None
        stage = int(np.searchsorted(self._end, time_s, side="right"))
        if (wave := self._waves.get(stage)) is not None:
            return wave.value_at(float(time_s - self._start[stage]))
        return float(self._first[stage] + self._slope[stage] * (time_s - self._start[stage]))

    def outline(self, until_s: float = math.inf) -> list[tuple[float, float]]:
        """Return points (time, value) to draw a line through: the ends of each stage, and a sine every now and then."""
        points: list[tuple[float, float]] = []
        begin_s = 0.0
        for stage in self.stages:
            length_s = min(stage.duration_s, until_s - begin_s)
            if length_s <= 0 or math.isinf(length_s):
                break
            wave = stage.wave
            if wave is None:
                last = stage.first + (stage.last - stage.first) * (length_s / stage.duration_s)
                points += [(begin_s, stage.first), (begin_s + length_s, last)]
            else:
                count = math.ceil(min(MAX_POINTS, max(2.0, POINTS_OF_PERIOD * length_s / stage.period_s)))
                times_s = [length_s * place / count for place in range(count + 1)]
                points += [(begin_s + time_s, wave.value_at(time_s)) for time_s in times_s]
            begin_s += length_s
        return points

    def amount_until(self, time_s: float) -> float:
        """The integral from 0 to a time: with a rate, the number of arrivals expected by then."""
        time_s = min(max(time_s, 0.0), self.duration_s)
        stage = min(int(np.searchsorted(self._end, time_s, side="right")), len(self.stages) - 1)
        passed = time_s - self._start[stage]
        if (wave := self._waves.get(stage)) is not None:
            return float(self._amount_start[stage]) + wave.amount_until(float(passed))
        return float(self._amount_start[stage] + passed * (self._first[stage] + self._slope[stage] * passed / 2))

    def time_of(self, amounts: Floats) -> Floats:
        """When the integral exceeds each amount, in s; infinite for amounts that are never exceeded."""
        stage = np.searchsorted(self._amount_end, amounts, side="right")
        is_reached = stage < len(self.stages)
        stage = np.minimum(stage, len(self.stages) - 1)
        rest = amounts - self._amount_start[stage]
        first, slope = self._first[stage], self._slope[stage]
        # rest = first t + slope t²/2, solved in the form that stays exact as the slope goes to 0.
        root = np.sqrt(np.maximum(first * first + 2 * slope * rest, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            passed = np.where(rest > 0, 2 * rest / (first + root), 0.0)
        for number, wave in self._waves.items():
            if (is_here := stage == number).any():
                passed[is_here] = np.minimum(wave.time_of(rest[is_here]), self._duration[number])
        times: Floats = np.where(is_reached, self._start[stage] + passed, np.inf)
        return times


def format_stages(stages: Stages) -> str:
    """Text that `parse_stages` reads as the same stages (an endless one has no such text and shows as `inf`)."""
    words = []
    for stage in stages.stages:
        value = f"{stage.first:g}" if stage.first == stage.last else f"{stage.first:g}..{stage.last:g}"
        if stage.period_s:
            value = f"sine({value if '..' in value else f'{value}..{value}'},{stage.period_s:g}s)"
        words.append(f"{stage.duration_s:g}s@{value}")
    return ",".join(words)


def users_at(stages: Stages, time_s: float) -> tuple[int, float] | None:
    """Users wanted at a time and the spawn rate that brings them within the second; None after the end."""
    value = stages.value_at(time_s)
    if value is None:
        return None
    return round(value), max(1.0, float(round(stages.highest)))
