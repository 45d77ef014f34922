"""What each address of the server under test got: counts and latencies, small enough to travel with every report.

Pure: nanoseconds in, counters out. Latencies are kept in logarithmic buckets, sixteen to each doubling, so that a
percentile is at most 4.5 % above the latency that it stands for.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference_swarm.errors import ProtocolError

BUCKETS_PER_DOUBLING: Final = 16
MAX_BUCKET: Final = 64 * BUCKETS_PER_DOUBLING
MAX_COUNT: Final = 1 << 62
MAX_ADDRESSES: Final = 1000
MAX_ADDRESS_CHARACTERS: Final = 100
_COUNTS: Final = (
    "successes",
    "failures",
    "abandoned",
    "connects",
    "failed_connects",
    "latency_sum_ns",
    "latency_max_ns",
)


@dataclass(slots=True)
class AddressCounters:
    """Counters of one address. Latencies are those of successes, from the intended instant."""

    successes: int = 0
    failures: int = 0
    abandoned: int = 0
    connects: int = 0
    failed_connects: int = 0
    latency_sum_ns: int = 0
    latency_max_ns: int = 0
    buckets: Counter[int] = field(default_factory=Counter)
    """Successes by latency bucket."""

    @property
    def requests(self) -> int:
        """Attempts that were sent to this address."""
        return self.successes + self.failures + self.abandoned

    @property
    def latency_mean_ns(self) -> float:
        return self.latency_sum_ns / self.successes if self.successes else 0.0

    def latency_percentile_ns(self, percent: float) -> int:
        """The upper bound of the bucket that the percentile is in, but not more than the maximum; 0 without any."""
        rank = math.ceil(percent / 100 * self.successes)
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= max(rank, 1):
                return min(self.latency_max_ns, math.ceil(2 ** ((bucket + 1) / BUCKETS_PER_DOUBLING)))
        return 0

    def add_latencies(self, latency_ns: NDArray[np.int64]) -> None:
        """Counts successes."""
        if not len(latency_ns):
            return
        self.successes += len(latency_ns)
        self.latency_sum_ns += int(latency_ns.sum())
        self.latency_max_ns = max(self.latency_max_ns, int(latency_ns.max()))
        numbers = (np.log2(np.maximum(latency_ns, 1)) * BUCKETS_PER_DOUBLING).astype(np.int64)
        counts = np.bincount(numbers)
        for bucket in np.flatnonzero(counts).tolist():
            self.buckets[bucket] += int(counts[bucket])

    def add(self, other: AddressCounters) -> None:
        """Merges another counter into this one; exact in any order."""
        self.successes += other.successes
        self.failures += other.failures
        self.abandoned += other.abandoned
        self.connects += other.connects
        self.failed_connects += other.failed_connects
        self.latency_sum_ns += other.latency_sum_ns
        self.latency_max_ns = max(self.latency_max_ns, other.latency_max_ns)
        self.buckets.update(other.buckets)

    def to_wire(self) -> dict[str, object]:
        """A dict that msgpack and JSON can carry."""
        counts: dict[str, object] = {name: getattr(self, name) for name in _COUNTS}
        return counts | {"buckets": [list(pair) for pair in sorted(self.buckets.items())]}

    @classmethod
    def from_wire(cls, wire: object) -> AddressCounters:
        """Raises ProtocolError for what `to_wire` cannot have made."""
        if not isinstance(wire, dict) or set(wire) != {*_COUNTS, "buckets"}:
            raise _problem("other fields than expected")
        read = cls()
        for name in _COUNTS:
            setattr(read, name, _read_count(wire[name], name))
        pairs = wire["buckets"]
        if not isinstance(pairs, (list, tuple)) or len(pairs) > MAX_BUCKET:
            raise _problem("buckets")
        for pair in pairs:
            if not isinstance(pair, (list, tuple)) or len(pair) != 2:
                raise _problem("buckets")
            bucket = _read_count(pair[0], "bucket")
            if bucket >= MAX_BUCKET or bucket in read.buckets:
                raise _problem("bucket")
            read.buckets[bucket] = _read_count(pair[1], "count of a bucket")
        return read


def merge_by_address(parts: Iterable[Mapping[str, AddressCounters]]) -> dict[str, AddressCounters]:
    """All of them as one new map, in the order of the addresses."""
    merged: dict[str, AddressCounters] = {}
    for part in parts:
        for address, counters in part.items():
            merged.setdefault(address, AddressCounters()).add(counters)
    return dict(sorted(merged.items()))


def write_by_address(counters: Mapping[str, AddressCounters]) -> dict[str, object]:
    """A map of addresses as a dict that msgpack and JSON can carry."""
    return {address: each.to_wire() for address, each in counters.items()}


def read_by_address(wire: object) -> dict[str, AddressCounters]:
    """Reads what `write_by_address` wrote; raises ProtocolError."""
    if not isinstance(wire, dict) or len(wire) > MAX_ADDRESSES:
        raise _problem("no map of addresses, or too many")
    for address in wire:
        if not isinstance(address, str) or not 0 < len(address) <= MAX_ADDRESS_CHARACTERS:
            raise _problem("an address")
    return {address: AddressCounters.from_wire(each) for address, each in wire.items()}


def _read_count(value: object, name: str) -> int:
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise _problem(name)
    return value


def _problem(what: str) -> ProtocolError:
    return ProtocolError(
        f"counters of an address that cannot be used: {what}", expected="a dict made by AddressCounters.to_wire"
    )
