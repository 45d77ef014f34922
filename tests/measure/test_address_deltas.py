from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.measure.address_deltas import AddressDeltas
from inference_swarm.transport.address_counters import AddressCounters, merge_by_address

MS = 1_000_000
looks = st.lists(
    st.tuples(st.sampled_from("ab"), st.lists(st.integers(1, 10**9), max_size=4), st.integers(0, 3)), max_size=12
)


@settings(deadline=None)
@given(looks)
def test_what_is_new_at_each_look_adds_up_to_everything(given_looks: list[tuple[str, list[int], int]]) -> None:
    counted: dict[str, AddressCounters] = {}
    deltas, parts = AddressDeltas(), []
    for address, latencies_ns, failures in given_looks:
        one = counted.setdefault(address, AddressCounters())
        one.add_latencies(np.array(latencies_ns, dtype=np.int64))
        one.failures += failures
        parts.append(deltas.take(counted))
    assert deltas.take(counted) == {}
    merged = merge_by_address(parts)
    for address, one in counted.items():
        found = merged.get(address, AddressCounters())
        assert (found.requests, found.latency_sum_ns, found.buckets) == (one.requests, one.latency_sum_ns, one.buckets)
        assert found.latency_max_ns == one.latency_max_ns


def test_the_slowest_response_before_is_not_the_slowest_since() -> None:
    counted = {"a": AddressCounters()}
    deltas = AddressDeltas()
    counted["a"].add_latencies(np.array([900 * MS]))
    deltas.take(counted)
    counted["a"].add_latencies(np.array([5 * MS]))
    assert 5 * MS <= deltas.take(counted)["a"].latency_max_ns < 5.3 * MS
