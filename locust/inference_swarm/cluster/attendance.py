"""How long users were wanted and no worker ran any: a part of the load that was not there. Pure.

Either no worker has rows, or none of those that have has said within a lease that it runs the users it was given. A
worker whose lease is over has stopped its users, whether it is lost or not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Users that move to another worker are nowhere for a moment, which is no gap in a load.
HANDOVER_S = 1.0


@dataclass(slots=True)
class Attendance:
    """Instants are seconds of the master's clock; before the run begins they lie in no time."""

    watched_s: float = math.inf
    """Up to this instant it is known."""
    leased_until_s: float = math.inf
    """The end of the last lease among the workers that run users."""
    former_s: float = 0.0
    """All gaps but the last one."""
    gap_s: float = 0.0
    """The last gap, which may go on."""

    @property
    def unattended_s(self) -> float:
        """All gaps together, at least: users were there for some part of a lease at most."""
        return self.former_s + (self.gap_s if self.gap_s >= HANDOVER_S else 0.0)

    def pass_time(self, now_s: float, *, is_there: bool, is_wanted: bool) -> None:
        """Take in what was between the last call and this; `is_there`: some worker has rows, or users still."""
        if now_s <= self.watched_s:
            return
        if not is_there:
            self.leased_until_s = -math.inf
        attended_until_s = min(now_s, self.leased_until_s) if is_wanted else now_s
        if attended_until_s > self.watched_s:
            self.former_s, self.gap_s = self.unattended_s, 0.0
        self.gap_s += now_s - max(self.watched_s, attended_until_s)
        self.watched_s = now_s
