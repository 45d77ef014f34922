from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_swarm.measure.buckets import bucket_counts_ns, bucket_response_time


@pytest.mark.parametrize(
    ("response_time_ms", "key"),
    [
        (0, 0),
        (0.0004, 0),
        (0.0412, 0.041),
        (0.412, 0.412),
        (0.99951, 1),
        (1.2345, 1.23),
        (12.34, 12.3),
        (99.96, 100),
        (123.4, 123),
        (1234, 1230),
        (1236, 1240),
        (58_760, 58_800),
        (600_000, 600_000),
        (9_999_999_999, 10_000_000_000),
    ],
)
def test_a_response_time_keeps_three_digits(response_time_ms: float, key: float) -> None:
    assert bucket_response_time(response_time_ms) == key


@given(st.lists(st.integers(0, 10**12), max_size=100))
def test_a_batch_gets_the_same_keys_as_its_values_one_by_one(values_ns: list[int]) -> None:
    one_by_one = Counter(bucket_response_time(value / 1e6) for value in values_ns)
    assert bucket_counts_ns(np.array(values_ns, dtype=np.int64)) == one_by_one


@given(st.floats(0.1, 1e9))
def test_a_key_is_within_half_a_unit_of_the_third_digit(response_time_ms: float) -> None:
    assert bucket_response_time(response_time_ms) == pytest.approx(response_time_ms, rel=0.0051)
