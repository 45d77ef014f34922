"""The transport counts what each address of the server got since it was made; a report holds what is new. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from copy import deepcopy

from inference_swarm.transport.address_counters import BUCKETS_PER_DOUBLING, AddressCounters


class AddressDeltas:
    """What came of each address from one look to the next."""

    def __init__(self) -> None:
        self._known: dict[str, AddressCounters] = {}

    def take(self, counted: Mapping[str, AddressCounters]) -> dict[str, AddressCounters]:
        """`counted` since the transport was made; addresses that got nothing since the last look are left out."""
        found = {}
        for address, now in counted.items():
            new = _difference(now, self._known.get(address, AddressCounters()))
            if new.requests or new.connects or new.failed_connects:
                found[address] = new
        self._known = deepcopy(dict(counted))
        return found


def _difference(now: AddressCounters, before: AddressCounters) -> AddressCounters:
    buckets = Counter({bucket: count - before.buckets[bucket] for bucket, count in now.buckets.items()})
    buckets = +buckets
    # The slowest of all may have been before; the slowest since is within its bucket.
    highest_ns = math.ceil(2 ** ((max(buckets) + 1) / BUCKETS_PER_DOUBLING)) if buckets else 0
    return AddressCounters(
        successes=now.successes - before.successes,
        failures=now.failures - before.failures,
        abandoned=now.abandoned - before.abandoned,
        connects=now.connects - before.connects,
        failed_connects=now.failed_connects - before.failed_connects,
        latency_sum_ns=now.latency_sum_ns - before.latency_sum_ns,
        latency_max_ns=min(now.latency_max_ns, highest_ns),
        buckets=buckets,
    )
