from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_swarm.errors import ProtocolError
from inference_swarm.measure.histogram import HIGHEST_US, Histogram, join_parts
from inference_swarm.measure.histogram_batch import HistogramWriter, read_histograms

LATENCIES_NS = st.lists(st.integers(0, 2 * HIGHEST_US * 1000), max_size=30)


def histogram_of(values_ns: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.record_ns(values_ns)
    return histogram


def packed(*histograms: Histogram) -> tuple[list[int], Any]:
    """Their numbers, and the batch after its way through msgpack."""
    writer = HistogramWriter()
    numbers = [writer.number(one) for one in histograms]
    return numbers, msgpack.loads(msgpack.dumps(writer.to_wire()))


@given(st.lists(LATENCIES_NS, max_size=8))
def test_histograms_come_out_of_a_batch_as_they_went_in(latencies_ns: list[list[int]]) -> None:
    given_ones = [histogram_of(values_ns) for values_ns in latencies_ns]
    numbers, wire = packed(*given_ones)
    read = [Histogram(), *read_histograms(wire)]
    assert [read[number] for number in numbers] == given_ones


def test_a_histogram_that_was_read_is_packed_as_it_came() -> None:
    numbers, wire = packed(histogram_of([1000, 2000, 700_000_000]), histogram_of([5]))
    assert packed(*read_histograms(wire)) == (numbers, wire)


def test_equal_histograms_travel_once_and_empty_ones_not_at_all() -> None:
    one, same, other = histogram_of([1000, 5000]), histogram_of([5000, 1000]), histogram_of([2000, 4000])
    assert one.exact[0] == other.exact[0]
    numbers, wire = packed(Histogram(), one, same, other, Histogram(), one)
    assert numbers == [0, 1, 1, 2, 0, 1]
    assert len(read_histograms(wire)) == 2
    assert read_histograms(packed()[1]) == []


def test_what_differs_in_its_buckets_only_is_kept_apart() -> None:
    one, other = histogram_of([1000, 4000, 6000, 9000]), histogram_of([1000, 3000, 7000, 9000])
    assert one.exact == other.exact
    numbers, wire = packed(one, other)
    assert [read_histograms(wire)[number - 1] for number in numbers] == [one, other]


@pytest.mark.parametrize("count", [1, 255, 256, 65_535, 65_536, 1 << 32, (1 << 55) - 1])
def test_counts_of_every_width_travel(count: int) -> None:
    counts = np.zeros_like(Histogram().counts)
    counts[700] = count
    histogram = Histogram.from_counts(counts)
    _, wire = packed(histogram)
    assert read_histograms(wire) == [histogram]
    assert read_histograms(wire)[0].exact == histogram.exact


def with_exact(wire: Any, place: int, value: int) -> dict[str, Any]:
    rows = np.frombuffer(wire["exact"], dtype="<i8").copy()
    rows[place] = value
    return {"exact": rows.tobytes()}


def test_batches_that_do_not_add_up_are_refused() -> None:
    _, wire = packed(histogram_of([1000, 5_000_000]), histogram_of([7_000]))
    _, other = packed(histogram_of([1000, 5_000_000]), histogram_of([7_000, 9_000]))
    changes: list[tuple[dict[str, Any], str]] = [
        ({"width": 3}, "fields of other types"),
        ({"width": True}, "fields of other types"),
        ({"exact": "text"}, "fields of other types"),
        ({"surprise": 1}, "a dict of exact, used, width, packed"),
        ({"exact": wire["exact"][:-8]}, "cannot be unpacked"),
        ({"used": wire["used"][:-4]}, "cannot be unpacked"),
        ({"used": b"\xff" * 8}, "cannot be unpacked: 2 of 8589934590 buckets"),
        ({"used": np.array([3, 0], dtype="<u4").tobytes()}, "cannot be unpacked: 2 of 3 buckets"),
        ({"packed": b"text"}, "cannot be unpacked"),
        ({"packed": other["packed"]}, "cannot be unpacked"),
        (with_exact(wire, 0, 1), "contradict its buckets"),  # saturated
        (with_exact(wire, 0, -1), "contradict its buckets"),
        (with_exact(wire, 1, 2_000_000), "contradict its buckets"),  # minimum
        (with_exact(wire, 2, 1), "contradict its buckets"),  # maximum
        (with_exact(wire, 3, 1), "contradict its buckets"),  # sum
        (with_exact(wire, 9, 1 << 32), "contradict its buckets"),
    ]
    for change, message in changes:
        with pytest.raises(ProtocolError, match=message):
            read_histograms({**wire, **change})
    for end in range(len(wire["packed"])):
        with pytest.raises(ProtocolError):
            read_histograms({**wire, "packed": wire["packed"][:end]})


@pytest.mark.parametrize(
    ("gaps", "counts"),
    [([1, 0], [1, 1]), ([1, 4], [1, 0]), ([1, 21_503], [1, 1]), ([65_535, 2], [1, 1])],
    ids=["twice the same bucket", "an empty bucket", "beyond the last bucket", "round about"],
)
def test_buckets_that_cannot_be_are_refused(gaps: list[int], counts: list[int]) -> None:
    import pyarrow as pa

    plain = np.array(gaps, dtype="<u2").tobytes() + np.array(counts, dtype="<u1").tobytes()
    used = np.array([2], dtype="<u4").tobytes()
    exact = np.array([0, 1000, 1000, 0, 2000], dtype="<i8").tobytes()
    with pytest.raises(ProtocolError, match="beyond bucket 21504, or are none"):
        read_histograms({"exact": exact, "used": used, "width": 1, "packed": pa.compress(plain, "zstd", asbytes=True)})


@given(st.lists(LATENCIES_NS, min_size=1, max_size=80))
def test_a_sum_is_the_same_in_whatever_portions_it_is_added_up(latencies_ns: list[list[int]]) -> None:
    whole = histogram_of([value_ns for values_ns in latencies_ns for value_ns in values_ns])
    numbers, wire = packed(*map(histogram_of, latencies_ns))
    read = [Histogram(), *read_histograms(wire)]
    parts = [read[number] for number in numbers]
    at_once, twin, in_two = Histogram(), Histogram(), Histogram()
    for part in parts:
        at_once.add(part)
        twin.add(part)
    join_parts([at_once, twin])
    for some in (parts[::2], parts[1::2]):
        portion = Histogram()
        for part in some:
            portion.add(part)
        join_parts([portion])
        in_two.add(portion)
    assert at_once == twin == in_two == whole
    assert [read[number] for number in numbers] == list(map(histogram_of, latencies_ns))  # none was changed
