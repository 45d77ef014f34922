"""A rate or a number of users over time: `--stages` text in, a pure function of time out.

Grammar, stages separated by commas or lines, `#` starts a comment:
  30s@500          hold 500 for 30 s
  1m@500..2000     ramp in a straight line from 500 to 2000 within 1 min
  1m->2000         ramp from where the stage before ended (0 at the start) to 2000
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference_swarm.errors import SettingProblem

Floats = npt.NDArray[np.float64]

EXPECTED = "stages like 30s@500 (hold), 1m@500..2000 or 1m->2000 (ramp), separated by commas or lines"
_NUMBER = r"\d+(?:\.\d+)?"
_STAGE = re.compile(
    rf"(?P<time>[\w.]+?)\s*(?:@\s*(?P<first>{_NUMBER})(?:\s*\.\.\s*(?P<last>{_NUMBER}))?|->\s*(?P<to>{_NUMBER}))"
)
_DURATION = re.compile(
    rf"(?:(?P<h>{_NUMBER})h)?(?:(?P<m>{_NUMBER})m(?!s))?(?:(?P<s>{_NUMBER})s)?(?:(?P<ms>{_NUMBER})ms)?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Stage:
    """`duration_s` seconds in which the value goes in a straight line from `first` to `last`."""

    duration_s: float
    first: float
    last: float


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
        return float(self._first[stage] + self._slope[stage] * (time_s - self._start[stage]))

    def amount_until(self, time_s: float) -> float:
        """The integral from 0 to a time: with a rate, the number of arrivals expected by then."""
        time_s = min(max(time_s, 0.0), self.duration_s)
        stage = min(int(np.searchsorted(self._end, time_s, side="right")), len(self.stages) - 1)
        passed = time_s - self._start[stage]
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
        times: Floats = np.where(is_reached, self._start[stage] + passed, np.inf)
        return times


def is_stages_text(given: str) -> bool:
    """Return whether the text is stages and not the name of a file with them."""
    return "@" in given or "->" in given


def parse_stages(text: str, *, source: str = "--stages") -> Stages:
    """Read the grammar above; `source` says where the text is from. Raises SettingProblem for the first bad stage."""
    lines = [line.split("#", 1)[0] for line in text.splitlines()]
    parts = [part.strip() for line in lines for part in line.split(",")]
    stages: list[Stage] = []
    for part in filter(None, parts):
        found = _STAGE.fullmatch(part)
        if found is None:
            raise SettingProblem(f"{source}: stage {part!r} cannot be read", expected=EXPECTED)
        try:
            duration_s = parse_duration_s(found["time"])
        except ValueError:
            raise SettingProblem(
                f"{source}: stage {part!r} has the duration {found['time']!r}",
                expected="a time above 0 like 30s, 1m30s, 500ms, 2h or 45 (seconds)",
            ) from None
        before = stages[-1].last if stages else 0.0
        first = float(found["first"]) if found["first"] else before
        last = float(found["to"] or found["last"] or first)
        stages.append(Stage(duration_s, first, last))
    if not stages:
        raise SettingProblem(f"{source}: there is no stage in {text[:60]!r}", expected=EXPECTED)
    if all(stage.first == stage.last == 0 for stage in stages):
        raise SettingProblem(
            f"{source}: every stage of {text[:60]!r} has the value 0", expected="a value above 0 in one stage at least"
        )
    return Stages(tuple(stages))


def parse_duration_s(text: str) -> float:
    """Return the seconds of 30s, 1m30s, 500ms, 2h or 45; raises ValueError for anything else and for 0."""
    found = _DURATION.fullmatch(f"{text}s" if re.fullmatch(_NUMBER, text) else text)
    if not found:
        raise ValueError(f"no duration: {text!r}")
    parts = {unit: float(number) for unit, number in found.groupdict().items() if number}
    seconds = parts.get("h", 0) * 3600 + parts.get("m", 0) * 60 + parts.get("s", 0) + parts.get("ms", 0) / 1000
    if not seconds > 0:
        raise ValueError(f"a duration above 0 is needed, not {text!r}")
    return seconds


def format_stages(stages: Stages) -> str:
    """Text that `parse_stages` reads as the same stages (an endless one has no such text and shows as `inf`)."""
    words = []
    for stage in stages.stages:
        value = f"{stage.first:g}" if stage.first == stage.last else f"{stage.first:g}..{stage.last:g}"
        words.append(f"{stage.duration_s:g}s@{value}")
    return ",".join(words)


def users_at(stages: Stages, time_s: float) -> tuple[int, float] | None:
    """Users wanted at a time and the spawn rate that brings them within the second; None after the end."""
    value = stages.value_at(time_s)
    if value is None:
        return None
    return round(value), max(1.0, float(round(stages.highest)))
