"""Counters of addresses: merged in any order, percentiles close to the truth, and strictly read from the wire."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_swarm.errors import ProtocolError
from inference_swarm.transport.address_counters import (
    AddressCounters,
    merge_by_address,
    read_by_address,
    write_by_address,
)

latencies = st.lists(st.integers(1, 10**12), min_size=1, max_size=50)


def counters_of(values: list[int], **counts: int) -> AddressCounters:
    counters = AddressCounters(**counts)
    counters.add_latencies(np.array(values, dtype=np.int64))
    return counters


@given(latencies, st.floats(0, 100))
def test_a_percentile_is_at_most_five_percent_above_the_latency_it_stands_for(
    values: list[int], percent: float
) -> None:
    exact = int(np.percentile(values, percent, method="inverted_cdf"))
    assert exact <= counters_of(values).latency_percentile_ns(percent) <= exact * 1.045 + 1


def test_sums_and_means_are_exact() -> None:
    counters = counters_of([1000, 2000, 6000], failures=4, abandoned=2)
    assert (counters.requests, counters.successes) == (9, 3)
    assert (counters.latency_mean_ns, counters.latency_max_ns) == (3000.0, 6000)
    assert AddressCounters().latency_mean_ns == AddressCounters().latency_percentile_ns(50) == 0
    empty = counters_of([])
    assert empty == AddressCounters()


@given(st.lists(st.tuples(st.sampled_from("abc"), latencies, st.integers(0, 9)), max_size=8))
def test_merging_gives_what_counting_together_gives(parts: list[tuple[str, list[int], int]]) -> None:
    merged = merge_by_address([{name: counters_of(values, failures=count)} for name, values, count in parts])
    for name in {name for name, _, _ in parts}:
        together = counters_of(
            [value for other, values, _ in parts if other == name for value in values],
            failures=sum(count for other, _, count in parts if other == name),
        )
        assert merged[name] == together
    assert list(merged) == sorted(merged)
    assert read_by_address(json.loads(json.dumps(write_by_address(merged)))) == merged


def broken(**changes: Any) -> dict[str, Any]:
    return counters_of([5, 6]).to_wire() | changes


@pytest.mark.parametrize(
    "wire",
    [
        None,
        [],
        {"a": None},
        {"a": {}},
        {"a": broken(more=1)},
        {"a": broken(successes=-1)},
        {"a": broken(successes=True)},
        {"a": broken(failures=1.5)},
        {"a": broken(failures=1 << 63)},
        {"a": broken(buckets=7)},
        {"a": broken(buckets=[[1]])},
        {"a": broken(buckets=[[1, 2], [1, 2]])},
        {"a": broken(buckets=[[99999, 2]])},
        {"": broken()},
        {"x" * 101: broken()},
        {7: broken()},
        {str(number): broken() for number in range(1001)},
    ],
)
def test_what_cannot_have_been_written_is_refused(wire: object) -> None:
    with pytest.raises(ProtocolError):
        read_by_address(wire)
