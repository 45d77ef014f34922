"""What one load level has shown: batches of requests in, what share of them was beyond a bound, and how sure that is.

An objective like p99<50ms is a share: at most 1 % of all that was asked for takes 50 ms or more. Requests near each
other share their fate (a queue), so a batch of a second counts as a whole: the spread between batches says how many
independent samples the requests are worth (the design effect), and that effective number goes into an exact test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from inference_swarm.judge.capacity.binomial import chance_of_at_least, chance_of_at_most, share_interval

# Before its own batches say so, this many requests of a level are taken for one independent sample: half a second of a
# single-server queue with 500 requests/s at 0.8 of what it can.
PRIOR_EFFECT = 8.0
# As much as this many batches of evidence; with fewer batches the spread between them is mostly chance.
PRIOR_BATCHES = 5.0
# The chance of a wrong early end at one look. A step has many looks, so that of one in a step is higher.
DOUBT = 0.005


class Finding(StrEnum):
    """What the evidence says of an objective or of a load level; LIKELY ones may be wrong."""

    MET = "met"
    LIKELY_MET = "likely met"
    LIKELY_MISSED = "likely missed"
    MISSED = "missed"

    @property
    def is_met(self) -> bool:
        return self in (Finding.MET, Finding.LIKELY_MET)

    @property
    def is_beyond_doubt(self) -> bool:
        return self in (Finding.MET, Finding.MISSED)


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests of about a second: how many were asked for, and how many were beyond the bound of each objective."""

    asked: int
    beyond: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """The share of requests beyond one objective's bound; `samples` are effective ones."""

    allowed: float
    measured: float
    samples: float

    @property
    def finding(self) -> Finding:
        found = self.measured * self.samples
        if chance_of_at_least(found, self.samples, self.allowed) < DOUBT:
            return Finding.MISSED
        if chance_of_at_most(found, self.samples, self.allowed) < DOUBT:
            return Finding.MET
        return Finding.LIKELY_MET if self.measured <= self.allowed else Finding.LIKELY_MISSED

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the interval of Clopper and Pearson for the true share."""
        return share_interval(self.measured * self.samples, self.samples, confidence)


@dataclass(slots=True)
class Evidence:
    """All batches of one load level. `allowed`: for each objective the share that may be beyond its bound."""

    allowed: tuple[float, ...]
    batches: list[Batch] = field(default_factory=list)
    is_overloaded: bool = False
    """The queue grew without bound: no share of what ended says anything."""

    def add(self, batch: Batch) -> None:
        """Take in a batch; one without requests says nothing."""
        if batch.asked:
            self.batches.append(batch)

    def merge(self, other: Evidence) -> None:
        """Take in what another step at the same load has shown; the newer one decides whether it was overloaded."""
        self.batches.extend(other.batches)
        self.is_overloaded = other.is_overloaded

    @property
    def asked(self) -> int:
        return sum(batch.asked for batch in self.batches)

    def shares(self, unresolved: int = 0) -> list[Share]:
        """Return the share of each objective; `unresolved` requests have not ended and are beyond every bound."""
        asked = self.asked
        found = []
        for place, allowed in enumerate(self.allowed):
            beyond = sum(batch.beyond[place] for batch in self.batches)
            total = asked + unresolved
            measured = (beyond + unresolved) / total if total else 0.0
            effect = design_effect([(batch.asked, batch.beyond[place]) for batch in self.batches])
            found.append(Share(allowed, measured, total / effect))
        return found

    def finding(self, unresolved: int = 0) -> Finding:
        """Return the finding on the load: the worst of its objectives."""
        if self.is_overloaded:
            return Finding.MISSED
        order = list(Finding)
        return max((share.finding for share in self.shares(unresolved)), key=order.index)


def design_effect(batches: Sequence[tuple[int, int]]) -> float:
    """Return how many requests are worth one independent sample, from (asked, beyond) of each batch."""
    count, asked = len(batches), sum(one for one, _ in batches)
    beyond = sum(one for _, one in batches)
    prior = max(1.0, min(PRIOR_EFFECT, asked / max(1, count)))  # a second is a sample at least
    if count < 2 or not 0 < beyond < asked:
        return prior
    share = beyond / asked
    residuals = [found - share * one for one, found in batches]
    squares = sum(one * one for one in residuals)
    spread = squares * count / (count - 1)
    effect = spread / (asked * share * (1 - share)) * _of_neighbours(residuals, squares)
    weight = (count - 1) / (count - 1 + PRIOR_BATCHES)
    return max(1.0, weight * effect + (1 - weight) * prior)


def _of_neighbours(residuals: Sequence[float], squares: float) -> float:
    """Return the factor by which neighbours that are alike make the spread of a sum larger (AR(1), Kendall 1954)."""
    if len(residuals) < 8 or not squares:
        return 1.0
    found = sum(one * other for one, other in pairwise(residuals)) / squares
    likeness = min(0.9, max(0.0, found + (1 + 3 * found) / len(residuals)))
    return (1 + likeness) / (1 - likeness)
