"""The schedule of a trace: its recorded instants in, the same arrivals as those of any open load out. Pure."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from inference_swarm.data.trace import Trace
from inference_swarm.load.arrivals import NS_PER_S, Arrivals, Offsets, Schedule
from inference_swarm.load.stages import Stages

# The recorded rate of a moment is the mean of a second around it.
HALF_WINDOW_S = 0.5


class TraceSchedule(Schedule):
    """Arrival i is the i-th instant of the trace; of one that is repeated, numbers go on."""

    def __init__(
        self, trace: Trace, *, is_repeated: bool = False, length_s: float | None = None, limit: int | None = None
    ) -> None:
        """It ends with the trace, after `length_s`, or with `limit` arrivals, whichever comes first."""
        self.trace = trace
        self.limit = limit
        self.seed = 0
        self.burstiness = 1.0
        self.is_repeated = is_repeated
        self._period_ns = trace.period_ns if is_repeated else None
        ends_ns = [] if is_repeated else [int(trace.offsets_ns[-1]) + 1]
        if length_s is not None:
            ends_ns.append(round(length_s * NS_PER_S))
        if limit is not None and (is_repeated or limit <= len(trace)):
            ends_ns.append(int(self._offsets_of(np.array([limit - 1]))[0]) + 1)
        self.end_ns = min(ends_ns, default=None)
        self.rate = TraceRate(self)

    def with_rate(self, rate: Stages) -> Schedule:
        raise AssertionError("the rate of a trace is what was recorded")

    def between(self, from_ns: int, to_ns: int) -> Arrivals:
        numbers = np.arange(self.count_until(from_ns), self.count_until(to_ns))
        return Arrivals(self._offsets_of(numbers), numbers)

    def count_until(self, to_ns: int) -> int:
        to_ns = max(0, to_ns if self.end_ns is None else min(to_ns, self.end_ns))
        copies, rest_ns = (0, to_ns) if self._period_ns is None else divmod(to_ns, self._period_ns)
        count = copies * len(self.trace) + int(np.searchsorted(self.trace.offsets_ns, rest_ns))
        return count if self.limit is None else min(count, self.limit)

    def number_at(self, offset_ns: int) -> int:
        """Return the number of the arrival that is intended at this instant."""
        return self.count_until(offset_ns)

    def _offsets_of(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        copies, places = np.divmod(numbers, len(self.trace))
        offsets_ns: Offsets = self.trace.offsets_ns[places] + copies * (self._period_ns or 0)
        return offsets_ns


class TraceRate(Stages):
    """The recorded rate over time: counts of arrivals."""

    def __init__(self, schedule: TraceSchedule) -> None:
        self._schedule = schedule

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"TraceRate({self._schedule.trace.describe()})"

    @property
    def duration_s(self) -> float:
        end_ns = self._schedule.end_ns
        return math.inf if end_ns is None else end_ns / NS_PER_S

    @property
    def amount(self) -> float:
        end_ns = self._schedule.end_ns
        return math.inf if end_ns is None else float(self._schedule.count_until(end_ns))

    def amount_until(self, time_s: float) -> float:
        return float(self._schedule.count_until(round(min(time_s, self.duration_s) * NS_PER_S)))

    def value_at(self, time_s: float) -> float | None:
        if not 0 <= time_s < self.duration_s:
            return None
        from_s, to_s = max(0.0, time_s - HALF_WINDOW_S), min(self.duration_s, time_s + HALF_WINDOW_S)
        return (self.amount_until(to_s) - self.amount_until(from_s)) / (to_s - from_s)
