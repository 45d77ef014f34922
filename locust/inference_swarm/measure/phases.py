"""Assigns an attempt to a part of the run by its intended instant: an epoch of what counts, and a stage of the load.

The first epoch is the warm-up if there is one; a reset of the statistics begins another. Only the newest epoch is in
the metrics of a run, so a reset is the same thing as a warm-up that ends at the reset. Instants are in ns since the run
began; an epoch begins at its instant, a stage ends before its instant. Pure.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import numpy.typing as npt

NS_PER_S = 1_000_000_000
Instants = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Phase:
    """The numbers of epoch and stage, from 0."""

    epoch: int = 0
    stage: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time within one phase."""

    phase: Phase
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Phases:
    """`epoch_starts_ns` of all epochs but the first, `stage_ends_ns` of all stages but the last; both ascending."""

    epoch_starts_ns: tuple[int, ...] = ()
    stage_ends_ns: tuple[int, ...] = ()

    @classmethod
    def from_seconds(cls, epoch_starts_s: Sequence[float] = (), stage_ends_s: Sequence[float] = ()) -> Self:
        """Make phases from seconds since the run began."""
        starts = tuple(sorted(round(start_s * NS_PER_S) for start_s in epoch_starts_s))
        return cls(starts, tuple(sorted(round(end_s * NS_PER_S) for end_s in stage_ends_s)))

    def with_epochs(self, epochs_ns: Sequence[int]) -> Phases:
        """Further epochs, each of which begins with a reset of the statistics."""
        return Phases(tuple(sorted({*self.epoch_starts_ns, *epochs_ns})), self.stage_ends_ns)

    def with_stages(self, ends_ns: Sequence[int]) -> Phases:
        """Other stages."""
        return Phases(self.epoch_starts_ns, tuple(ends_ns))

    @property
    def is_whole(self) -> bool:
        """True when the run has only one phase."""
        return not self.epoch_starts_ns and not self.stage_ends_ns

    @property
    def count(self) -> int:
        """How many phases there may be; `codes_of` gives numbers below it."""
        return (len(self.epoch_starts_ns) + 1) * (len(self.stage_ends_ns) + 1)

    def at(self, instant_ns: int) -> Phase:
        """The phase of an instant."""
        return Phase(bisect_right(self.epoch_starts_ns, instant_ns), bisect_right(self.stage_ends_ns, instant_ns))

    def codes_of(self, instants_ns: Instants) -> Instants:
        """The phase of each instant as one number, which `decode` takes apart."""
        epochs = np.searchsorted(np.array(self.epoch_starts_ns, dtype=np.int64), instants_ns, side="right")
        stages = np.searchsorted(np.array(self.stage_ends_ns, dtype=np.int64), instants_ns, side="right")
        codes: Instants = (epochs * (len(self.stage_ends_ns) + 1) + stages).astype(np.int64)
        return codes

    def decode(self, code: int) -> Phase:
        """The phase of a number that `codes_of` gave."""
        return Phase(*divmod(code, len(self.stage_ends_ns) + 1))

    def segments(self, start_ns: int, end_ns: int) -> list[Segment]:
        """A stretch of time cut where a phase ends; one segment at least, even if it has no length."""
        cuts = sorted({cut for cut in (*self.epoch_starts_ns, *self.stage_ends_ns) if start_ns < cut < end_ns})
        edges = [start_ns, *cuts, max(start_ns, end_ns)]
        return [Segment(self.at(low), low, high) for low, high in pairwise(edges)]


def phases_of_run(stage_lengths_s: Sequence[float], warm_up_s: float = 0.0) -> Phases:
    """The phases of a run that warms up for some seconds and has stages of these lengths."""
    ends_s = np.cumsum(np.array(stage_lengths_s[:-1], dtype=np.float64)).tolist() if stage_lengths_s else []
    return Phases.from_seconds([warm_up_s] if warm_up_s > 0 else [], ends_s)
