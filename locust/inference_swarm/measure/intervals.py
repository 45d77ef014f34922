"""The run over time: snapshots of all workers put into common intervals, for plots, `latency.hlog` and comparing.

A snapshot goes whole to the interval that holds its middle, so nothing is counted twice or split. Only the newest
intervals keep open histograms (172 KB each); older ones are packed to a few KB. A long run gets wider intervals.
"""

from __future__ import annotations

from typing import Any, Self

from inference_swarm.errors import ProtocolError
from inference_swarm.measure.snapshot import RequestTally, Snapshot, merge_tallies, read_tallies, write_tallies

DEFAULT_WIDTH_S = 3.0
MOST_INTERVALS = 1200
OPEN_INTERVALS = 4


class Interval:
    """What all workers reported for one stretch of the run."""

    __slots__ = ("_open", "_packed", "covered_s", "index", "users")

    def __init__(self, index: int) -> None:
        self.index = index
        self.covered_s: dict[str, float] = {}
        self.users: dict[str, int] = {}
        self._open: dict[str, RequestTally] | None = {}
        self._packed: dict[str, Any] = {}

    def names(self) -> dict[str, RequestTally]:
        """Tallies by request name; to be read, not changed."""
        return read_tallies(self._packed) if self._open is None else self._open

    def total(self) -> RequestTally:
        """All request names together."""
        return merge_tallies(self.names().values())

    def rate_rps(self, count: int) -> float:
        """`count` requests of this interval as a rate; right too where a worker's reports drift across its edges."""
        worker_seconds = sum(self.covered_s.values())
        return count * len(self.covered_s) / worker_seconds if worker_seconds else 0.0

    def add(self, tallies: dict[str, RequestTally], covered_s: dict[str, float], users: dict[str, int]) -> None:
        """Merge tallies, the seconds each worker spent on them, and the users each had."""
        self._open = self.names()
        for name, tally in tallies.items():
            self._open.setdefault(name, RequestTally()).add(tally)
        for worker, seconds in covered_s.items():
            self.covered_s[worker] = self.covered_s.get(worker, 0.0) + seconds
        self.users.update(users)

    def pack(self) -> None:
        """Trade open histograms for packed ones."""
        if self._open is not None:
            self._packed, self._open = write_tallies(self._open), None

    def to_wire(self) -> dict[str, Any]:
        names = self._packed if self._open is None else write_tallies(self._open)
        return {"index": self.index, "covered_s": self.covered_s, "users": self.users, "names": names}

    @classmethod
    def from_wire(cls, wire: Any) -> Self:
        """Read what `to_wire` wrote; raises ProtocolError."""
        try:
            interval = cls(int(wire["index"]))
            interval.covered_s = {str(worker): float(seconds) for worker, seconds in wire["covered_s"].items()}
            interval.users = {str(worker): int(users) for worker, users in wire["users"].items()}
            packed = dict(wire["names"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ProtocolError(f"interval that cannot be read: {error!r}", expected="what to_wire wrote") from error
        read_tallies(packed)
        interval._packed, interval._open = packed, None
        return interval


class IntervalSeries:
    """All intervals of a run, of one width that doubles when there are too many of them."""

    def __init__(self, width_s: float = DEFAULT_WIDTH_S, most_intervals: int = MOST_INTERVALS) -> None:
        if not width_s > 0:
            raise ValueError(f"an interval has a width above 0 s, got {width_s}")
        self.width_s = width_s
        self._most = most_intervals
        self._by_index: dict[int, Interval] = {}

    def __len__(self) -> int:
        return len(self._by_index)

    def intervals(self) -> list[Interval]:
        """In order of time; intervals of which no worker reported anything are left out."""
        return [self._by_index[index] for index in sorted(self._by_index)]

    def start_s(self, interval: Interval) -> float:
        """Where an interval of this series begins, in seconds since the run began."""
        return interval.index * self.width_s

    def add(self, snapshot: Snapshot) -> None:
        """Put a snapshot into its interval."""
        index = int((snapshot.start_s + snapshot.end_s) / 2 // self.width_s)
        is_new = index not in self._by_index
        interval = self._by_index.setdefault(index, Interval(index))
        seconds = snapshot.end_s - snapshot.start_s
        interval.add(snapshot.names, {snapshot.worker: seconds}, {snapshot.worker: snapshot.users})
        if is_new:
            for old in sorted(self._by_index)[:-OPEN_INTERVALS]:
                self._by_index[old].pack()
            while len(self._by_index) > self._most:
                self._widen()

    def _widen(self) -> None:
        narrow, self._by_index, self.width_s = self.intervals(), {}, self.width_s * 2
        for old in narrow:
            index = old.index // 2
            wide = self._by_index.setdefault(index, Interval(index))
            wide.add(old.names(), old.covered_s, old.users)
            wide.pack()

    def to_wire(self) -> dict[str, Any]:
        return {"width_s": self.width_s, "intervals": [interval.to_wire() for interval in self.intervals()]}

    @classmethod
    def from_wire(cls, wire: Any) -> Self:
        """Read what `to_wire` wrote; raises ProtocolError."""
        try:
            series = cls(float(wire["width_s"]))
            intervals = [Interval.from_wire(interval) for interval in wire["intervals"]]
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError(f"intervals that cannot be read: {error!r}", expected="what to_wire wrote") from error
        series._by_index = {interval.index: interval for interval in intervals}
        return series
