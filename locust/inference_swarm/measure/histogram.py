"""Latencies in, percentiles out: HdrHistogram's layout with 3 significant digits from 1 µs to 10 min.

Buckets are 1 µs wide below 2,048 µs and at most 1/1,024 of their value above. Count, sum, minimum and maximum are kept
exactly, in ns, beside the buckets; adding histograms is exact and in any order gives the same histogram.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from inference_swarm.errors import ProtocolError
from inference_swarm.measure.counts_codec import Counts, Used, add_parts, encode_counts
from inference_swarm.measure.histogram_layout import (
    BUCKET_COUNT,
    HIGHEST_IN_BUCKET_US,
    HIGHEST_US,
    LOWEST_IN_BUCKET_US,
    LOWEST_US,
    MIDDLE_IN_BUCKET_US,
    SIGNIFICANT_DIGITS,
    TOP_BUCKET,
    bucket_of_ns,
    bucket_of_one_ns,
)
from inference_swarm.measure.histogram_wire import WIRE_VERSION, read_fields, unpack_counts

__all__ = [
    "BUCKET_COUNT", "HIGHEST_IN_BUCKET_US", "HIGHEST_US", "LOWEST_IN_BUCKET_US", "LOWEST_US", "SIGNIFICANT_DIGITS",
    "Histogram", "PercentilePoint", "bucket_of_ns", "join_parts",
]  # fmt: skip


# Reports are added up some at a time: to add each by itself costs three times as much.
MAX_PARTS = 32
_NO_COUNTS = zlib.compress(b"", 1)


@dataclass(frozen=True, slots=True)
class PercentilePoint:
    """One point of a latency-by-percentile plot: `percentile` of all samples took at most `value_us`."""

    percentile: float
    value_us: float
    count_at_or_below: int


class Histogram:
    """Latencies of one kind; percentiles, mean and the like are NaN while it is empty."""

    __slots__ = ("_counts", "_max_ns", "_min_ns", "_parts", "_sum_ns", "count", "saturated")

    def __init__(self) -> None:
        # Most histograms of a report are empty, the others are only added up: the array is made for who looks at it.
        self._counts: Counts | None = None
        self._parts: list[tuple[Used, Used]] = []  # used buckets and their counts that are not in the array yet
        self.count = 0
        self.saturated = 0
        self._sum_ns = 0
        self._min_ns = 0
        self._max_ns = 0

    @property
    def counts(self) -> Counts:
        """The samples in each bucket."""
        if self._counts is None:
            self._counts = np.zeros(BUCKET_COUNT, dtype=np.int64)
        if self._parts:
            parts = [self._parts.pop() for _ in range(len(self._parts))]
            add_parts(self._counts, parts)
        return self._counts

    def record_ns(self, values_ns: npt.NDArray[np.int64] | Sequence[int]) -> None:
        """Fold a batch of latencies in; measured 8 to 36 ns a sample in batches of 10,000 and 1,000."""
        values = np.asarray(values_ns, dtype=np.int64)
        if not values.size:
            return
        lowest, highest = max(0, int(values.min())), max(0, int(values.max()))
        if int(values.min()) < 0:
            values = np.maximum(values, 0)
        folded = np.bincount(bucket_of_ns(values))
        self.counts[: folded.size] += folded
        self.saturated += int(np.count_nonzero(values > HIGHEST_US * 1000)) if highest > HIGHEST_US * 1000 else 0
        fits_int64 = highest * values.size < 1 << 63
        total_ns = int(values.sum()) if fits_int64 else sum(values.tolist())
        self._add_exact(values.size, total_ns, lowest, highest)

    def record_us(self, value_us: float) -> None:
        """Record one latency; for single values, not for the hot path."""
        self.record_ns(np.array([round(value_us * 1000)], dtype=np.int64))

    def used(self) -> tuple[Used, Used]:
        """The buckets that hold samples, ascending, and their counts; to be read, not changed."""
        if self._counts is None and len(self._parts) == 1:
            return self._parts[0]
        buckets = np.flatnonzero(self.counts)
        return buckets, self.counts[buckets]

    def add(self, other: Histogram) -> None:
        """Merge another histogram into this one."""
        if other.count:
            if other._counts is None:
                self._parts += other._parts
                if len(self._parts) > MAX_PARTS:
                    _ = self.counts
            else:
                np.add(self.counts, other.counts, out=self.counts)
            self.saturated += other.saturated
            self._add_exact(other.count, other._sum_ns, other._min_ns, other._max_ns)

    def _add_exact(self, count: int, sum_ns: int, min_ns: int, max_ns: int) -> None:
        self._min_ns = min(self._min_ns, min_ns) if self.count else min_ns
        self._max_ns = max(self._max_ns, max_ns)
        self._sum_ns += sum_ns
        self.count += count

    def copy(self) -> Histogram:
        """An independent histogram of the same samples."""
        twin = Histogram()
        twin.add(self)
        return twin

    @property
    def min_us(self) -> float:
        return self._min_ns / 1000 if self.count else math.nan

    @property
    def max_us(self) -> float:
        return self._max_ns / 1000 if self.count else math.nan

    @property
    def mean_us(self) -> float:
        return self._sum_ns / self.count / 1000 if self.count else math.nan

    @property
    def sum_us(self) -> float:
        return self._sum_ns / 1000

    @property
    def stddev_us(self) -> float:
        """The deviation of the buckets' middles, as in HdrHistogram: it does not depend on how samples were split."""
        if not self.count:
            return math.nan
        used = np.flatnonzero(self.counts)
        weights, middles = self.counts[used], MIDDLE_IN_BUCKET_US[used]
        mean = float(weights @ middles) / self.count
        return math.sqrt(float(weights @ (middles - mean) ** 2) / self.count)

    def percentile_us(self, percentile: float) -> float:
        """The smallest latency that at least `percentile` per cent of the samples do not exceed (nearest rank)."""
        return self.percentiles_us([percentile])[0]

    def percentiles_us(self, percentiles: Sequence[float]) -> list[float]:
        """Several percentiles in one pass; each is the highest value of its bucket, kept within minimum and maximum."""
        wanted = np.asarray(percentiles, dtype=np.float64)
        if not np.all((wanted >= 0) & (wanted <= 100)):
            raise ValueError(f"percentiles lie between 0 and 100, got {list(percentiles)}")
        if not self.count:
            return [math.nan] * wanted.size
        # 99.9 % of 1,000 is rank 999, not the 1,000 that ceil(999.0000000000001) makes of it.
        ranks = np.clip(np.ceil(wanted / 100 * self.count * (1 - 1e-14)), 1, self.count)
        cumulative = np.cumsum(self.counts)
        values = HIGHEST_IN_BUCKET_US[np.searchsorted(cumulative, ranks)]
        clipped = np.clip(values.astype(np.float64), self.min_us, self.max_us)
        clipped[ranks == self.count] = self.max_us
        return [float(value) for value in clipped]

    def count_at_or_below_us(self, value_us: float) -> int:
        """Return how many samples lie in the buckets up to the one that holds `value_us`."""
        if value_us < 0:
            return 0
        bucket = int(bucket_of_ns(np.array([min(value_us, HIGHEST_US) * 1000], dtype=np.int64))[0])
        return int(self.counts[: bucket + 1].sum())

    def percentile_distribution(self, ticks_per_half_distance: int = 5) -> list[PercentilePoint]:
        """Return points for a plot over a log scale of 1/(1-p), a number each time the distance to 100 % halves."""
        if not self.count:
            return []
        halvings = max(1, math.ceil(math.log2(self.count)) + 1)
        steps = np.arange(halvings * ticks_per_half_distance)
        distance = 0.5 ** (steps // ticks_per_half_distance)
        wanted = 100 * (1 - distance * (1 - 0.5 * (steps % ticks_per_half_distance) / ticks_per_half_distance))
        wanted = np.append(wanted[wanted < 100 * (1 - 0.5 / self.count)], 100.0)
        below = np.clip(np.ceil(wanted / 100 * self.count * (1 - 1e-14)), 1, self.count)
        values = self.percentiles_us([float(percentile) for percentile in wanted])
        points = zip(wanted.tolist(), values, below.tolist(), strict=True)
        return [PercentilePoint(percentile, value, int(count)) for percentile, value, count in points]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return self.exact == other.exact and bool(np.array_equal(self.counts, other.counts))

    def __repr__(self) -> str:
        p50, p99 = self.percentiles_us([50, 99])
        return f"Histogram(count={self.count}, p50={p50:g} us, p99={p99:g} us, max={self.max_us:g} us)"

    @property
    def exact(self) -> tuple[int, int, int, int, int]:
        """Count, saturated samples, and sum, minimum and maximum in ns."""
        return (self.count, self.saturated, self._sum_ns, self._min_ns, self._max_ns)

    def to_wire(self) -> dict[str, object]:
        """A dict for msgpack, about 1 to 3 KB; `from_wire` reads it."""
        return {
            "version": WIRE_VERSION,
            "count": self.count,
            "saturated": self.saturated,
            "sum_ns": str(self._sum_ns),  # may outgrow the 64 bits that msgpack has
            "min_ns": self._min_ns,
            "max_ns": self._max_ns,
            "counts": zlib.compress(encode_counts(self.counts), 1) if self.count else _NO_COUNTS,
        }

    @classmethod
    def from_wire(cls, wire: object) -> Self:
        """Read what `to_wire` wrote; raises ProtocolError for anything that does not add up."""
        count, saturated, sum_ns, min_ns, max_ns, payload = read_fields(wire)
        if payload == _NO_COUNTS and not (count or saturated or sum_ns or min_ns or max_ns):
            return cls()
        buckets, counts = unpack_counts(payload)
        if count != int(counts.sum()):
            raise ProtocolError(f"histogram says {count} samples and holds {counts.sum()}", expected="the same")
        return cls.from_samples(buckets, counts, saturated, sum_ns, min_ns, max_ns)

    @classmethod
    def from_used(cls, buckets: Used, counts: Used, exact: tuple[int, int, int, int, int]) -> Self:
        """A histogram of used buckets, their counts and its `exact` values, all of which were checked."""
        histogram = cls()
        histogram._parts = [(buckets, counts)]
        histogram.count, histogram.saturated, histogram._sum_ns, histogram._min_ns, histogram._max_ns = exact
        return histogram

    @classmethod
    def from_samples(cls, buckets: Used, counts: Used, saturated: int, sum_ns: int, min_ns: int, max_ns: int) -> Self:
        """The same; raises ProtocolError when what is exact contradicts the buckets."""
        histogram = cls()
        histogram._parts = [(buckets, counts)]
        histogram._set_exact(histogram._parts[0], saturated, sum_ns, min_ns, max_ns)
        return histogram

    @classmethod
    def from_counts(cls, counts: Counts) -> Self:
        """A histogram of which only the buckets are known; its minimum, maximum and mean are those of the buckets."""
        used = np.flatnonzero(counts)
        if not used.size:
            return cls()
        low_ns, high_ns = int(LOWEST_IN_BUCKET_US[used[0]]) * 1000, int(HIGHEST_IN_BUCKET_US[used[-1]]) * 1000
        high_ns = min(high_ns, HIGHEST_US * 1000)
        middles_ns = np.clip(MIDDLE_IN_BUCKET_US[used] * 1000, low_ns, high_ns).tolist()
        sum_ns = sum(count * int(middle) for count, middle in zip(counts[used].tolist(), middles_ns, strict=True))
        return cls.from_parts(counts, 0, sum_ns, low_ns, high_ns)

    @classmethod
    def from_parts(cls, counts: Counts, saturated: int, sum_ns: int, min_ns: int, max_ns: int) -> Self:
        """Put a histogram together from its parts; raises ProtocolError when they contradict each other."""
        used = counts.nonzero()[0]
        return cls.from_samples(used, counts[used], saturated, sum_ns, min_ns, max_ns)

    def _set_exact(self, used: tuple[Used, Used], saturated: int, sum_ns: int, min_ns: int, max_ns: int) -> None:
        """Take over what is exact; raises ProtocolError when it contradicts the used buckets and their counts."""
        self.saturated, self._sum_ns, self._min_ns, self._max_ns = saturated, sum_ns, min_ns, max_ns
        buckets, counts = used
        self.count = int(counts.sum())
        is_sound = (
            (bucket_of_one_ns(min_ns), bucket_of_one_ns(max_ns)) == (buckets[0], buckets[-1])
            and min_ns * self.count <= sum_ns <= max_ns * self.count
            and saturated <= (counts[-1] if buckets[-1] == TOP_BUCKET else 0)
            and (saturated > 0) == (max_ns > HIGHEST_US * 1000)
            if buckets.size
            else not any((saturated, sum_ns, min_ns, max_ns))
        )
        if not is_sound:
            raise ProtocolError(
                f"histogram minimum {min_ns} ns, maximum {max_ns} ns, sum {sum_ns} ns and {saturated} saturated "
                "samples contradict its buckets",
                expected="values of the same samples",
            )


def join_parts(histograms: Iterable[Histogram]) -> None:
    """Make one part of those that were added to each, so that to add it to others costs less; equal ones once."""
    known: dict[tuple[int, ...], tuple[Used, Used]] = {}
    for one in histograms:
        if one._counts is None and len(one._parts) > 1:
            key = tuple(map(id, one._parts))
            if key not in known:
                counts = np.zeros(BUCKET_COUNT, dtype=np.int64)
                add_parts(counts, one._parts)
                buckets = np.flatnonzero(counts)
                known[key] = buckets, counts[buckets]
            one._parts = [known[key]]
