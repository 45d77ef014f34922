"""The run over time: slices of all workers put into common intervals, for plots, `latency.hlog` and comparing.

A slice goes whole to the interval that holds its middle, so nothing is counted twice or split. Only the newest
intervals keep open histograms (172 KB each); older ones are packed to a few KB. In a long run the oldest are joined in
pairs, one pair for each new interval, so that neither memory nor a report ever takes long.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Any, Self

from inference_swarm.config.documents import Document
from inference_swarm.errors import ProtocolError
from inference_swarm.measure.counters import (
    RequestCounters,
    add_counters,
    merge_counters,
    read_counters,
    write_counters,
)
from inference_swarm.measure.coverage import Coverage
from inference_swarm.measure.snapshot import Slice

DEFAULT_WIDTH_S = 3.0
MAX_INTERVALS = 1200
OPEN_INTERVALS = 4


class Interval:
    """What all workers reported for one stretch of the run: `span` slots of `width_s` from slot `first` on."""

    __slots__ = ("_open", "_packed", "coverage", "first", "span", "width_s")

    def __init__(self, first: int, span: int, width_s: float) -> None:
        self.first = first
        self.span = span
        self.width_s = width_s
        self.coverage = Coverage()
        self._open: dict[str, RequestCounters] | None = {}
        self._packed: Document | None = {}
        """None: to be packed anew."""

    @property
    def start_s(self) -> float:
        """Seconds since the run began."""
        return self.first * self.width_s

    @property
    def length_s(self) -> float:
        return self.span * self.width_s

    def names(self) -> dict[str, RequestCounters]:
        """Counters by request name; to be read, not changed."""
        return read_counters(self._packed) if self._open is None else self._open

    def total(self) -> RequestCounters:
        """All request names together."""
        return merge_counters(self.names().values())

    def per_s(self, count: int) -> float:
        """`count` requests, or rows, of this interval per second; right too where reports drift across its edges."""
        worker_seconds = self.coverage.seconds
        return count * self.coverage.worker_count / worker_seconds if worker_seconds else 0.0

    def add(self, names: dict[str, RequestCounters]) -> None:
        """Merge counters."""
        self._open, self._packed = self.names(), None
        add_counters(self._open, names)

    def pack(self) -> None:
        """Trade open histograms for packed ones."""
        self._packed, self._open = self._write(), None
        self.coverage.pack()

    def to_wire(self) -> Document:
        return {"first": self.first, "span": self.span, "names": self._write(), **self.coverage.to_wire()}

    def _write(self) -> Document:
        if self._packed is None:
            self._packed = write_counters(self._open or {})
        return self._packed

    @classmethod
    def from_wire(cls, wire: Any, width_s: float) -> Self:
        """Read what `to_wire` wrote; raises ProtocolError."""
        try:
            interval = cls(int(wire["first"]), int(wire["span"]), width_s)
            interval.coverage = Coverage.from_wire(wire)
            packed = dict(wire["names"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ProtocolError(f"interval that cannot be read: {error!r}", expected="what to_wire wrote") from error
        read_counters(packed)
        interval._packed, interval._open = packed, None
        return interval


class IntervalSeries:
    """All intervals of a run in order of time; those of which no worker reported anything are left out."""

    def __init__(self, width_s: float = DEFAULT_WIDTH_S, max_intervals: int = MAX_INTERVALS) -> None:
        if not width_s > 0:
            raise ValueError(f"an interval has a width above 0 s, got {width_s}")
        self.width_s = width_s
        self._max = max_intervals
        self._intervals: list[Interval] = []

    def __len__(self) -> int:
        return len(self._intervals)

    def intervals(self) -> list[Interval]:
        """Oldest first."""
        return list(self._intervals)

    def add(self, worker: str, users: int, part: Slice) -> None:
        """Put what a worker counted in one stretch of time into its interval."""
        self.add_sum(self.slot_of(part), part.names, [(worker, part.end_s - part.start_s, users)])

    def slot_of(self, part: Slice) -> int:
        """The slot of `width_s` that holds the middle of a stretch of time."""
        return int((part.start_s + part.end_s) / 2 // self.width_s)

    def add_sum(self, slot: int, names: dict[str, RequestCounters], reports: Iterable[tuple[str, float, int]]) -> None:
        """Put the sum of what workers counted into its interval; `reports` are worker, seconds and users of each."""
        place = bisect_right(self._intervals, slot, key=lambda interval: interval.first)
        is_new = not place or slot >= self._intervals[place - 1].first + self._intervals[place - 1].span
        if is_new:
            self._intervals.insert(place, Interval(slot, 1, self.width_s))
        interval = self._intervals[place if is_new else place - 1]
        interval.add(names)
        for worker, seconds, users in reports:
            interval.coverage.add(worker, seconds, users)
        if is_new:
            for old in self._intervals[:-OPEN_INTERVALS]:
                old.pack()
            while len(self._intervals) > self._max:
                self._widen_oldest()

    def _widen_oldest(self) -> None:
        """Double the oldest of the shortest intervals, taking in the one beside it if there is one."""
        place = min(range(len(self._intervals)), key=lambda place: self._intervals[place].span)
        chosen = self._intervals[place]
        wide = Interval(chosen.first // (2 * chosen.span) * 2 * chosen.span, 2 * chosen.span, self.width_s)
        low = bisect_left(self._intervals, wide.first, key=lambda interval: interval.first)
        high = bisect_left(self._intervals, wide.first + wide.span, key=lambda interval: interval.first)
        for narrow in self._intervals[low:high]:
            wide.add(narrow.names())
            wide.coverage.follow_with(narrow.coverage)
        wide.pack()
        self._intervals[low:high] = [wide]

    def to_wire(self) -> Document:
        return {"width_s": self.width_s, "intervals": [interval.to_wire() for interval in self._intervals]}

    @classmethod
    def from_wire(cls, wire: Any) -> Self:
        """Read what `to_wire` wrote; raises ProtocolError."""
        try:
            series = cls(float(wire["width_s"]))
            intervals = [Interval.from_wire(interval, series.width_s) for interval in wire["intervals"]]
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError(f"intervals that cannot be read: {error!r}", expected="what to_wire wrote") from error
        series._intervals = sorted(intervals, key=lambda interval: interval.first)
        return series
