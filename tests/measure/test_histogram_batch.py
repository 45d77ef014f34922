from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.errors import ProtocolError
from inference_swarm.measure import histogram_batch
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


def read_both_ways(wire: Any) -> list[Histogram] | str:
    """What is read of them at once, or why nothing is; one by one it is the same, if not in the same words."""
    found: list[list[Histogram] | str] = []
    for few in (0, 1000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(histogram_batch, "FEW", few)
            try:
                found.append(read_histograms(wire))
            except ProtocolError as error:
                found.append(str(error))
    at_once, one_by_one = found
    assert at_once == one_by_one or (isinstance(at_once, str) and isinstance(one_by_one, str))
    return at_once


@given(st.lists(LATENCIES_NS.filter(bool), max_size=8))
def test_few_histograms_are_read_as_many_are(latencies_ns: list[list[int]]) -> None:
    histograms = [histogram_of(values_ns) for values_ns in latencies_ns]
    numbers, wire = packed(*histograms)
    read = read_both_ways(wire)
    assert [read[number - 1] for number in numbers] == histograms


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_batch_that_was_tampered_with_is_refused_or_holds_what_adds_up(data: st.DataObject) -> None:
    _, wire = packed(*[histogram_of(values) for values in data.draw(st.lists(LATENCIES_NS.filter(bool), max_size=3))])
    size = int(np.frombuffer(wire["used"], dtype="<u4").sum())
    plain = pa.decompress(wire["packed"], size * (2 + wire["width"]), "zstd", asbytes=True)
    parts = {**wire, "packed": plain}
    for _ in range(data.draw(st.integers(1, 3))):
        field = data.draw(st.sampled_from(["exact", "used", "packed"]))
        octets = bytearray(parts[field])
        place = data.draw(st.integers(0, len(octets)))
        octets[place : place + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
        parts[field] = bytes(octets)
    parts["width"] = data.draw(st.sampled_from([wire["width"], 1, 2, 4, 8]))
    read = read_both_ways({**parts, "packed": pa.compress(parts["packed"], "zstd", asbytes=True)})
    for one in read if isinstance(read, list) else ():
        assert 0 < one.count == int(one.counts.sum())
        assert one.counts.min() == 0
        assert one.min_us * one.count <= one.sum_us * 1.000001
        assert one.sum_us <= one.max_us * one.count * 1.000001
        assert Histogram.from_wire(one.to_wire()) == one


def test_counts_that_together_are_beyond_all_numbers_are_refused() -> None:
    """2^64 samples, which are none in 64 bits."""
    counts = np.full(513, (1 << 55) - 1, dtype="<u8")
    counts[0] -= (int(counts[0]) * 513) % (1 << 55)
    gaps = np.ones(513, dtype="<u2")
    assert int(counts.sum()) % (1 << 64) == 0 < sum(map(int, counts))
    wire = {
        "exact": np.array([0, 1000, 513_000, 0, 0], dtype="<i8").tobytes(),
        "used": np.array([513], dtype="<u4").tobytes(),
        "width": 8,
        "packed": pa.compress(gaps.tobytes() + counts.tobytes(), "zstd", asbytes=True),
    }
    assert "histograms of more than 2^62 samples" in read_both_ways(wire)


def test_a_few_bytes_do_not_become_a_batch_that_fills_the_memory() -> None:
    size = histogram_batch.MAX_BYTES // 3 + 1
    wire = {
        "exact": np.array([0, 0, 0, 0, 0], dtype="<i8").tobytes(),
        "used": np.array([size], dtype="<u4").tobytes(),
        "width": 1,
        "packed": b"",
    }
    assert "cannot be unpacked: 1 of 22369622 buckets" in read_both_ways(wire)


def test_histograms_of_different_widths_that_were_read_are_packed_without_loss() -> None:
    counts = np.zeros_like(Histogram().counts)
    counts[700] = (1 << 55) - 1
    _, wide = packed(Histogram.from_counts(counts))
    _, narrow = packed(histogram_of([1000, 2000]))
    both = [*read_histograms(wide), *read_histograms(narrow)]
    _, wire = packed(*both)
    assert read_histograms(wire) == both
    assert read_histograms(wire)[0].count == (1 << 55) - 1
