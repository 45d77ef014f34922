from __future__ import annotations

import math

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_swarm.errors import ProtocolError
from inference_swarm.measure.counts_codec import decode_counts, encode_counts
from inference_swarm.measure.histogram import (
    BUCKET_COUNT,
    HIGHEST_IN_BUCKET_US,
    HIGHEST_US,
    LOWEST_IN_BUCKET_US,
    TOP_BUCKET,
    Histogram,
    bucket_of_ns,
)

HIGHEST_NS = HIGHEST_US * 1000
latencies_ns = st.one_of(
    st.integers(0, 5_000_000), st.integers(0, HIGHEST_NS), st.integers(HIGHEST_NS - 2000, HIGHEST_NS * 3)
)


def histogram_of(values_ns: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.record_ns(values_ns)
    return histogram


@given(st.lists(st.tuples(latencies_ns, st.integers(0, 5)), max_size=200), st.randoms())
def test_any_split_of_the_samples_over_workers_merges_to_the_same_histogram(
    samples: list[tuple[int, int]], random: object
) -> None:
    whole = histogram_of([value for value, _ in samples])
    workers = [histogram_of([value for value, owner in samples if owner == worker]) for worker in range(6)]
    random.shuffle(workers)  # type: ignore[attr-defined]
    merged = Histogram()
    for worker in workers:
        merged.add(Histogram.from_wire(msgpack.loads(msgpack.dumps(worker.to_wire()))))
    assert merged == whole
    assert merged.stddev_us == whole.stddev_us or not samples


@given(st.lists(st.integers(0, HIGHEST_NS), min_size=1, max_size=300), st.floats(0, 100))
def test_every_percentile_is_within_three_digits_of_the_nearest_rank(values: list[int], percentile: float) -> None:
    truth_us = float(np.percentile(values, percentile, method="inverted_cdf")) / 1000
    assert histogram_of(values).percentile_us(percentile) == pytest.approx(truth_us, rel=1 / 1024, abs=0.5)


@given(st.lists(st.integers(0, HIGHEST_NS * 2), min_size=1, max_size=100))
def test_count_minimum_maximum_and_mean_are_exact(values: list[int]) -> None:
    histogram = histogram_of(values)
    assert (histogram.count, histogram.min_us, histogram.max_us) == (
        len(values),
        min(values) / 1000,
        max(values) / 1000,
    )
    assert histogram.mean_us == sum(values) / len(values) / 1000


@given(st.integers(0, HIGHEST_NS))
def test_a_value_lies_in_its_bucket(value_ns: int) -> None:
    (bucket,) = bucket_of_ns(np.array([value_ns])).tolist()
    rounded_us = (value_ns + 500) // 1000
    assert LOWEST_IN_BUCKET_US[bucket] <= rounded_us <= HIGHEST_IN_BUCKET_US[bucket]


def test_buckets_touch_and_hold_three_digits() -> None:
    assert np.array_equal(LOWEST_IN_BUCKET_US[1:], HIGHEST_IN_BUCKET_US[:-1] + 1)
    width = HIGHEST_IN_BUCKET_US - LOWEST_IN_BUCKET_US + 1
    assert width[:2048].max() == 1
    assert (width[2048:] / LOWEST_IN_BUCKET_US[2048:]).max() <= 1 / 1000


@pytest.mark.parametrize(
    ("value_ns", "min_us", "bucket", "saturated"),
    [
        (0, 0, 0, 0),
        (499, 0.499, 0, 0),
        (500, 0.5, 1, 0),
        (-7, 0, 0, 0),
        (HIGHEST_NS, HIGHEST_US, TOP_BUCKET, 0),
        (HIGHEST_NS + 1, (HIGHEST_NS + 1) / 1000, TOP_BUCKET, 1),
        (10**17, 10**14, TOP_BUCKET, 1),
    ],
)
def test_values_at_and_beyond_the_ends_are_kept_and_counted(
    value_ns: int, min_us: float, bucket: int, saturated: int
) -> None:
    histogram = histogram_of([value_ns])
    assert histogram.counts[bucket] == 1
    assert histogram.min_us == histogram.max_us == histogram.percentile_us(100) == min_us
    assert histogram.saturated == saturated


def test_sums_beyond_64_bits_stay_exact() -> None:
    histogram = histogram_of([10**17] * 200)
    assert histogram.sum_us == 2e16
    assert Histogram.from_wire(histogram.to_wire()) == histogram


def test_values_of_known_samples() -> None:
    histogram = histogram_of([value * 1000 for value in range(1, 1001)])
    assert histogram.percentiles_us([0, 50, 99, 99.9, 99.99, 100]) == [1, 500, 990, 999, 1000, 1000]
    assert histogram.mean_us == 500.5
    assert histogram.stddev_us == pytest.approx(np.std(np.arange(1, 1001)))
    assert histogram.count_at_or_below_us(250) == 250
    histogram.record_us(412.6)
    assert histogram.count == 1001


def test_an_empty_histogram_has_no_values() -> None:
    empty = Histogram()
    assert math.isnan(empty.percentile_us(99))
    assert math.isnan(empty.min_us)
    assert math.isnan(empty.max_us)
    assert math.isnan(empty.mean_us)
    assert math.isnan(empty.stddev_us)
    assert empty.percentile_distribution() == []


def test_a_percentile_outside_0_to_100_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 100"):
        histogram_of([1]).percentile_us(101)


def test_a_copy_does_not_follow_the_original() -> None:
    histogram = histogram_of([1000])
    twin = histogram.copy()
    histogram.record_us(5)
    assert (twin.count, histogram.count) == (1, 2)


def test_percentile_distribution_climbs_to_the_maximum_and_halves_the_distance() -> None:
    points = histogram_of([value * 1000 for value in range(1, 1001)]).percentile_distribution(ticks_per_half_distance=2)
    assert [point.percentile for point in points[:5]] == [0, 25, 50, 62.5, 75]
    assert [point.value_us for point in points[:5]] == [1, 250, 500, 625, 750]
    assert (points[-1].percentile, points[-1].value_us, points[-1].count_at_or_below) == (100, 1000, 1000)
    assert points == sorted(points, key=lambda point: point.percentile)


@given(st.dictionaries(st.integers(0, BUCKET_COUNT - 1), st.integers(0, 1 << 54), max_size=50))
def test_counts_survive_their_encoding(filled: dict[int, int]) -> None:
    counts = np.zeros(BUCKET_COUNT, dtype=np.int64)
    counts[list(filled)] = list(filled.values())
    assert np.array_equal(decode_counts(encode_counts(counts), BUCKET_COUNT), counts)


@given(st.binary(max_size=60))
def test_bytes_that_are_no_counts_give_counts_or_a_protocol_error(payload: bytes) -> None:
    try:
        counts = decode_counts(payload, 100)
    except ProtocolError:
        return
    assert counts.shape == (100,)
    assert counts.min() >= 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "histogram of version 2"),
        ({"count": 3}, "says 3 samples and holds 2"),
        ({"count": -1}, "a histogram value is -1"),
        ({"count": True}, "a histogram value is True"),
        ({"sum_ns": 5}, "histogram sum is 5"),
        ({"sum_ns": "1"}, "contradict its buckets"),
        ({"max_ns": 1}, "contradict its buckets"),
        ({"saturated": 1}, "contradict its buckets"),
        ({"counts": "text"}, "counts are a str"),
        ({"counts": b"text"}, "cannot be unpacked"),
        ({"counts": Histogram().to_wire()["counts"]}, "says 2 samples and holds 0"),
    ],
)
def test_a_wire_dict_that_does_not_add_up_is_refused(change: dict[str, object], message: str) -> None:
    wire = histogram_of([1000, 5_000_000]).to_wire() | change
    with pytest.raises(ProtocolError, match=message):
        Histogram.from_wire(wire)


def test_a_cut_off_wire_dict_is_refused() -> None:
    wire = histogram_of([1000, 5_000_000]).to_wire()
    for end in range(len(bytes(wire["counts"]))):  # type: ignore[call-overload]
        with pytest.raises(ProtocolError):
            Histogram.from_wire(wire | {"counts": wire["counts"][:end]})  # type: ignore[index]
    with pytest.raises(ProtocolError, match="a histogram is a list"):
        Histogram.from_wire([])
