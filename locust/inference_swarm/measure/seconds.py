"""Second by second: how many requests succeeded, failed, or were not served at all. Pure.

For what must be exact in time where histograms of three seconds are not: the rate of a stage, and `--abort-when`.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable
from typing import Annotated, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from inference_swarm.errors import ProtocolError
from inference_swarm.measure.wire_types import Count

# Three days; what ends later is in the totals only.
MAX_SECONDS = 1 << 18
_COLUMNS = 4
_NS_PER_S = 1_000_000_000

Second = Annotated[int, Field(strict=True, ge=0, le=1 << 40)]


class SecondCounts(NamedTuple):
    """Requests that ended in second `second` of the run; `unserved` were abandoned or dropped in it."""

    second: Second
    succeeded: Count = 0
    failed: Count = 0
    unserved: Count = 0

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed

    @property
    def bad(self) -> int:
        """Requests that did not succeed."""
        return self.failed + self.unserved


SUCCEEDED, FAILED, UNSERVED = 1, 2, 3
"""Columns of SecondCounts."""


class SecondTally:
    """One worker's counts since its last report."""

    def __init__(self) -> None:
        self._rows: dict[int, list[int]] = {}

    def note(self, done_ns: npt.NDArray[np.int64], column: int) -> None:
        """Requests that ended at these instants, in ns since the run began, one at least."""
        first, last = (max(0, int(instant_ns)) // _NS_PER_S for instant_ns in (done_ns.min(), done_ns.max()))
        if first == last:
            self._row(first)[column] += len(done_ns)
            return
        seconds, counts = np.unique(np.maximum(done_ns, 0) // _NS_PER_S, return_counts=True)
        for second, count in zip(seconds.tolist(), counts.tolist(), strict=True):
            self._row(second)[column] += count

    def take(self) -> list[SecondCounts]:
        """All of them, which are forgotten here."""
        rows, self._rows = self._rows, {}
        return [SecondCounts(*row) for row in rows.values()]

    def _row(self, second: int) -> list[int]:
        return self._rows.setdefault(second, [second, 0, 0, 0])


class SecondSeries:
    """The counts of a run, all workers together."""

    def __init__(self) -> None:
        self._counts: dict[int, SecondCounts] = {}

    def __eq__(self, other: object) -> bool:
        return self._counts == other._counts if isinstance(other, SecondSeries) else NotImplemented

    def add(self, rows: Iterable[SecondCounts]) -> None:
        """Add what a worker reported."""
        for row in rows:
            if row.second < MAX_SECONDS:
                known = self._counts.get(row.second, SecondCounts(row.second))
                self._counts[row.second] = SecondCounts(
                    row.second,
                    known.succeeded + row.succeeded,
                    known.failed + row.failed,
                    known.unserved + row.unserved,
                )

    def at(self, second: int) -> SecondCounts:
        """The counts of one second, zeros if nothing ended in it."""
        return self._counts.get(second, SecondCounts(second))

    def rows(self) -> list[SecondCounts]:
        """Return the rows in order of time; empty seconds are left out."""
        return [self._counts[second] for second in sorted(self._counts)]

    def between(self, start_s: float, end_s: float) -> tuple[float, float]:
        """Return how many requests succeeded and ended between two instants; part of a second counts in part."""
        succeeded = ended = 0.0
        for second in range(math.floor(start_s), math.ceil(min(end_s, MAX_SECONDS))):
            share = min(end_s, second + 1) - max(start_s, second)
            succeeded += self.at(second).succeeded * share
            ended += self.at(second).ended * share
        return succeeded, ended

    def to_wire(self) -> bytes:
        """Return packed values, for the saved state of a run."""
        return zlib.compress(np.array(self.rows(), dtype=np.int64).reshape(-1, _COLUMNS).tobytes(), 1)

    @classmethod
    def from_wire(cls, wire: object) -> Self:
        """Read what `to_wire` wrote; raises ProtocolError."""
        series = cls()
        try:
            if not isinstance(wire, bytes):
                raise ValueError(f"they are a {type(wire).__name__}")
            unpacker = zlib.decompressobj()
            raw = unpacker.decompress(wire, MAX_SECONDS * _COLUMNS * 8)
            if not unpacker.eof:
                raise ValueError("they are cut off or too long")
            rows = np.frombuffer(raw, dtype=np.int64).reshape(-1, _COLUMNS)
            if np.any(rows < 0):
                raise ValueError("a count is negative")
        except (ValueError, zlib.error) as error:
            raise ProtocolError(
                f"counts by second that cannot be read: {error}", expected="what to_wire wrote"
            ) from error
        series.add(SecondCounts(*row) for row in rows.tolist())
        return series
