"""Packed bodies come out as they went in, each behind the head for its length."""

from __future__ import annotations

from collections.abc import Sequence

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from inference_swarm.data.packed import WIDEST_RANGE, Heads, PackedBodies, Requests


def packed(bodies: Sequence[bytes], kind: pa.DataType | None = None) -> PackedBodies:
    return PackedBodies.pack([pa.array(bodies, kind or pa.binary())])


def head_of(body_bytes: int) -> bytes:
    return b"<%d>" % body_bytes


def composed(requests: Requests, *indices: int) -> list[bytes]:
    return list(requests.compose(np.array(indices, np.intp)))


@settings(deadline=None)
@given(
    blocks=st.lists(st.lists(st.lists(st.binary(max_size=60), max_size=6), max_size=4), max_size=4),
    is_large=st.booleans(),
    data=st.data(),
)
def test_any_rows_of_any_blocks_are_composed_with_their_heads_and_numbers(
    blocks: list[list[list[bytes]]], is_large: bool, data: st.DataObject
) -> None:
    kind = pa.large_binary() if is_large else pa.binary()
    joined = []
    expected = []
    for number, parts in enumerate(blocks):
        arrays = [pa.array([b"before", *part, b"behind"], kind).slice(1, len(part)) for part in parts]
        joined.append((1000 * number, PackedBodies.pack(iter(arrays))))
        bodies = [body for part in parts for body in part]
        expected += [(1000 * number + row, b"<%d>%b" % (len(body), body)) for row, body in enumerate(bodies)]
    requests = Requests(joined, Heads(head_of))
    assert len(requests) == len(expected)
    if expected:
        indices = data.draw(st.lists(st.integers(0, len(expected) - 1)))
        assert composed(requests, *indices) == [expected[index][1] for index in indices]
        assert requests.row_numbers(np.array(indices, np.intp)) == [expected[index][0] for index in indices]


@given(st.lists(st.lists(st.sampled_from([b"a", b"b", b"aa", b"", b"a\r\n\r\nb"]), max_size=5), max_size=4), st.data())
def test_a_request_is_found_among_the_rows_that_were_taken_and_no_others(
    blocks: list[list[bytes]], data: st.DataObject
) -> None:
    rows = {1000 * number + row: body for number, bodies in enumerate(blocks) for row, body in enumerate(bodies)}
    requests = Requests(
        [(1000 * number, packed(bodies)) for number, bodies in enumerate(blocks)], Heads(lambda _: b"POST /\r\n\r\n")
    )
    taken = data.draw(st.lists(st.integers(0, len(rows) - 1))) if rows else []
    indices = np.array(taken, np.intp)
    numbers = requests.row_numbers(indices) if taken else []
    for request, number in zip(composed(requests, *taken), numbers, strict=True):
        (found,) = requests.find_row(request, indices)
        assert found in numbers
        assert rows[found] == rows[number]
    assert requests.find_row(b"POST /\r\n\r\nanother", indices) == ()


def test_nothing_is_left_of_the_arrow_arrays_and_one_buffer_holds_all() -> None:
    bodies = PackedBodies.pack(pa.array([b"ab", b"c"], pa.binary()) for _ in range(2))
    assert bodies.data == b"abcabc"
    assert bodies.offsets.tolist() == [0, 2, 3, 5, 6]
    assert bodies.offsets.dtype == np.int32
    assert bodies.cost_bytes == 6 + 4 * 2 * 4


def test_no_bodies_are_packed_too() -> None:
    assert len(PackedBodies.pack([])) == len(packed([])) == 0
    assert composed(Requests([(0, packed([]))], Heads(head_of))) == []


def test_a_null_body_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="1 bodies are null"):
        PackedBodies.pack([pa.array([b"x", None], pa.binary())])


def test_a_head_is_made_once_for_each_length() -> None:
    made: list[int] = []

    def note(body_bytes: int) -> bytes:
        made.append(body_bytes)
        return head_of(body_bytes)

    heads = Heads(note)
    assert heads.of(np.array([7, 5, 7])) == [b"<7>", b"<5>", b"<7>"]
    assert heads.of(np.array([5, 6])) == [b"<5>", b"<6>"]
    assert sorted(made) == [5, 6, 7]


def test_lengths_that_differ_much_get_their_heads_without_one_for_all_between() -> None:
    made: list[int] = []
    heads = Heads(lambda body_bytes: made.append(body_bytes) or head_of(body_bytes))  # type: ignore[func-returns-value]
    assert heads.of(np.array([3, 10 * WIDEST_RANGE, 3])) == [b"<3>", head_of(10 * WIDEST_RANGE), b"<3>"]
    assert sorted(made) == [3, 10 * WIDEST_RANGE]
    assert heads.of(np.array([4])) == [b"<4>"]
    assert heads.of(np.array([10 * WIDEST_RANGE])) == [head_of(10 * WIDEST_RANGE)]
    assert heads.of(np.array([5, 3])) == [b"<5>", b"<3>"]


def test_rows_are_told_by_block() -> None:
    requests = Requests([(0, packed([b"a"])), (5, packed([])), (9, packed([b"b", b"c"]))], Heads(head_of))
    assert requests.is_of([True, True, False]).tolist() == [True, False, False]
    assert requests.is_of([False, True, True]).tolist() == [False, True, True]
