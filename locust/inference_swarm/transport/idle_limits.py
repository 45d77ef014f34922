"""How long the server lets connections idle, learned from what it closes. Pure: durations in, a risk out.

A request that is sent just when the server closes its connection is lost, and it is unknown whether it was read.
Users who wait as long as the server's limit run into that again and again. So what is known of limits is used to
replace a connection in time; it is only a suspicion, and dropped as soon as a connection outlives it.
"""

from __future__ import annotations

from typing import Final

_NS_PER_S: Final = 1_000_000_000
MIN_IDLE_NS: Final = 900_000_000
"""What is closed sooner is not closed for being idle."""
LATE_NS: Final = 300_000_000
"""So much later than its limit a server may still be closing."""
LINGER_S: Final = 0.5
"""How long a replaced connection is watched: longer than `LATE_NS`."""
MAX_LIMITS: Final = 16
# gunicorn; uvicorn, hypercorn, Node.js and Apache; load balancers of clouds; nginx
COMMON_LIMITS_S: Final = (2, 5, 60, 75)


class IdleLimits:
    """The limits of one server that are suspected: common ones, and those at which it closed a connection."""

    def __init__(self, suspected_s: tuple[int, ...] = COMMON_LIMITS_S) -> None:
        self._limits_ns = [limit_s * _NS_PER_S for limit_s in suspected_s]

    def note_close(self, idle_ns: int) -> None:
        """Note that the server closed a connection after this idle time."""
        if idle_ns < MIN_IDLE_NS or self.find_risk(idle_ns) is not None:
            return
        del self._limits_ns[: len(self._limits_ns) - MAX_LIMITS + 1]
        self._limits_ns.append(idle_ns)

    def note_survival(self, limit_ns: int) -> None:
        """Note that a connection was idle for longer than this limit, and is open."""
        if limit_ns in self._limits_ns:
            self._limits_ns.remove(limit_ns)

    def find_risk(self, idle_ns: int) -> int | None:
        """Return the limit that a connection may just have reached after this idle time."""
        for limit_ns in self._limits_ns:
            early_ns = 20_000_000 + limit_ns // 100
            if limit_ns - early_ns <= idle_ns <= limit_ns + LATE_NS:
                return limit_ns
        return None
