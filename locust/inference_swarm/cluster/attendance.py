"""How long users were wanted and no worker could run any: a part of the load that was not there. Pure.

Either no worker has rows, or none of those that have has said within a lease that it runs what it was told to run. A
worker whose lease is over has stopped its users, whether it is lost or not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(slots=True)
class Attendance:
    """Instants are seconds of the master's clock; before the run begins they lie in no time."""

    watched_s: float = math.inf
    """Up to this instant it is known."""
    leased_until_s: float = math.inf
    """The end of the last lease among the workers that run users."""

    def pass_time(self, now_s: float, *, has_hosts: bool) -> float:
        """Return for how long no worker could run users since the last call; `has_hosts`: some have rows."""
        since_s = max(self.watched_s, self.leased_until_s) if has_hosts else self.watched_s
        self.watched_s = max(self.watched_s, now_s)
        return max(0.0, now_s - since_s)
