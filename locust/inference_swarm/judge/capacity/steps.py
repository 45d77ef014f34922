"""One step of a search: a load held for a while, what was seen of it, and when it is decided. Values and pure rules."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from inference_swarm.judge.capacity.evidence import Batch, Evidence, Finding

# A step is not decided by fewer seconds than this, unless its queue grows.
MIN_JUDGED_S = 2.0
MIN_BATCHES = 2
# Above this share of its looks, what was measured was the load generator.
BOUND_SHARE = 0.4
# Up to this share, seconds in which a worker was late are left out; more of them would be a choice of seconds.
LEFT_OUT_SHARE = 0.2
# With fewer looks than this it is open whether the late ones will be more than that share.
LOOKS_FOR_SHARE = 10


class Part(StrEnum):
    """What a step is for."""

    RAISE = "raise"
    CLOSE = "close in"
    CONFIRM = "confirm"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class Look:
    """What has become known since the last look: of requests intended in the judged part of step `step`."""

    step: int
    now_s: float
    """Until when everything is known, in seconds since the run began."""
    asked: int = 0
    """Requests that have ended, were dropped or abandoned."""
    beyond: tuple[int, ...] = ()
    """How many of them are beyond the bound of each objective."""
    in_flight: int = 0
    """Requests that are under way or wait for a sender, of all steps."""
    mean_s: float = 0.0
    """How long those that succeeded took on average, 0 if there are none."""
    is_generator_bound: bool = False
    is_late: bool = False
    """A worker was out of CPU or late, so that nothing in it says anything of the server."""


@dataclass(slots=True)
class Step:
    """`load` has held since `start_s` and is judged from `settled_s` on."""

    number: int
    part: Part
    load: float
    start_s: float
    settled_s: float
    allowed: tuple[float, ...]
    """For each objective the share of requests that may be beyond its bound."""
    end_s: float | None = None
    finding: Finding | None = None
    in_flight: list[int] = field(default_factory=list)
    bound_looks: int = 0
    looks: int = 0
    seconds: float = 0.0
    timed: int = 0
    is_discarded: bool = False
    """A worker was lost or joined in it: it says nothing."""
    is_overloaded: bool = False
    """Its queue grew without bound."""
    _looked_s: float = 0.0
    _late_looks: int = 0
    _late_s: float = 0.0
    _batches: list[Batch] = field(default_factory=list)
    _late_batches: list[Batch] = field(default_factory=list)

    def take(self, look: Look) -> None:
        """Take in a look."""
        self.in_flight.append(look.in_flight)
        (self._late_batches if look.is_late else self._batches).append(Batch(look.asked, look.beyond))
        since_s, self._looked_s = max(self.settled_s, self._looked_s), look.now_s
        if look.is_late:
            self._late_s += max(0.0, look.now_s - since_s)
        if look.mean_s:
            self.seconds += look.mean_s * look.asked
            self.timed += look.asked
        if look.now_s > self.settled_s:
            self.looks += 1
            self.bound_looks += look.is_generator_bound
            self._late_looks += look.is_late

    @property
    def mean_s(self) -> float:
        """How long its requests took on average; 0 if none succeeded."""
        return self.seconds / self.timed if self.timed else 0.0

    @property
    def is_generator_bound(self) -> bool:
        return self.bound_looks > BOUND_SHARE * self.looks

    @property
    def leaves_out(self) -> bool:
        """Whether the seconds in which a worker was late are left out: they say nothing of the server."""
        return self._late_looks <= LEFT_OUT_SHARE * self.looks

    @property
    def may_leave_out(self) -> bool:
        """Whether seconds may still turn out to be left out that are not yet."""
        return not self.leaves_out and self.looks < LOOKS_FOR_SHARE

    @property
    def left_out_s(self) -> float:
        """How many seconds are left out."""
        return self._late_s if self.leaves_out else 0.0

    @property
    def evidence(self) -> Evidence:
        """What it has shown."""
        batches = self._batches if self.leaves_out else self._batches + self._late_batches
        return Evidence(self.allowed, [batch for batch in batches if batch.asked], self.is_overloaded)

    def judged_s(self, now_s: float) -> float:
        """Return how long it has been judged."""
        return max(0.0, now_s - self.settled_s - self.left_out_s)

    def is_growing(self, bound_s: float) -> bool:
        """Return whether its queue grows without bound: in flight is more than a bound allows, and rising on and on.

        By Little's law a queue of load × bound is one in which the newest request waits for as long as the bound.
        """
        if len(self.in_flight) < 3:
            return False
        usual = self.load * bound_s
        limit = usual + 4 * math.sqrt(usual) + 3
        first, second, third = self.in_flight[-3:]
        return first < second < third and second > limit and third > 2 * limit

    def unresolved(self, bound_s: float) -> int:
        """Return how many requests in flight are beyond the bound by now, at least."""
        usual = self.load * bound_s
        return max(0, round(self.in_flight[-1] - usual - 4 * math.sqrt(usual) - 3)) if self.in_flight else 0
