"""Requests of several rows: every order counts rows, and a request is made of the rows that it says it is."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from inference_swarm.data.batches import Batching, ChunkBatches, RandomBatches
from inference_swarm.data.orders import DRAW, REMEMBERED_DRAWS, Chunk
from inference_swarm.data.packed import Heads, PackedBodies, Requests


def head_of(body_bytes: int) -> bytes:
    return b"%d:" % body_bytes


def requests_of(*rows: int) -> Requests:
    """Rows whose text is their number; one block for each run of numbers."""
    blocks: list[list[int]] = []
    for row in rows:
        if blocks and blocks[-1][-1] + 1 == row:
            blocks[-1].append(row)
        else:
            blocks.append([row])
    packed = [PackedBodies.pack([pa.array([b"%d" % row for row in block], pa.binary())]) for block in blocks]
    return Requests(zip([block[0] for block in blocks], packed, strict=True), Heads(head_of))


def rows_in(request: bytes) -> list[int]:
    length, body = request.split(b":")
    assert int(length) == len(body)
    return [int(text) for text in body.split(b",")]


def random_batches(requests: Requests, size: int, drawn: Callable[[int], None] = lambda _: None) -> RandomBatches:
    return RandomBatches(lambda: requests, [1], drawn, Batching(size, b",".join), head_of)


@pytest.mark.parametrize("size", [2, 7, 1000, 3 * DRAW])
def test_random_batches_are_whole_uniform_and_counted_in_rows(size: int) -> None:
    drawn: list[int] = []
    feed = random_batches(requests_of(*range(50, 60)), size, drawn.append)
    requests = [feed.take() or b"" for _ in range(max(2, 30_000 // size))]
    counts: Counter[int] = Counter()
    for request in requests:
        assert len(rows_in(request)) == size
        counts.update(rows_in(request))
    mean = sum(counts.values()) / 10
    assert sum((count - mean) ** 2 / mean for count in counts.values()) < 33.7  # chi-square, 9 degrees, p = 0.0001
    assert set(counts) == set(range(50, 60))
    assert len(requests) * size <= sum(drawn) < len(requests) * size + max(DRAW, size)


def test_the_rows_of_a_random_batch_are_known_as_long_as_it_may_be_under_way_and_in_its_order() -> None:
    size = 100
    feed = random_batches(requests_of(*range(1000)), size)
    first = feed.take() or b""
    kept = [feed.take() or b"" for _ in range(REMEMBERED_DRAWS * DRAW // size - 1)]
    assert feed.find_rows(first) == rows_in(first)
    assert feed.find_rows(kept[-1]) == rows_in(kept[-1])
    kept.append(feed.take() or b"")
    assert feed.find_rows(first) == ()
    assert feed.find_rows(b"".join([first])) == ()


def test_random_batches_take_nothing_of_what_its_owner_removed_once_told() -> None:
    rows = [requests_of(1, 2)]
    feed = RandomBatches(lambda: rows[0], [1], lambda _: None, Batching(4, b",".join), head_of)
    feed.take()
    rows[0] = requests_of(7)
    feed.forget_drawn()
    assert feed.take() == b"7:7,7,7,7"
    rows[0] = requests_of()
    feed.forget_drawn()
    assert (feed.take(), feed.take_rows()) == (None, None)


class Owner:
    """Hands chunks to a feed; None: there is none now."""

    def __init__(self, size: int, *chunks: tuple[int, Sequence[int]] | None) -> None:
        self.waiting = deque(chunks)
        self.is_over = False
        self.gathered = 0
        self.feed = ChunkBatches(
            self.next_chunk,
            Batching(size, b",".join),
            head_of,
            is_over=lambda: self.is_over,
            on_gather=self.note,
        )

    def next_chunk(self) -> Chunk | None:
        found = self.waiting.popleft() if self.waiting else None
        if found is None:
            return None
        epoch, rows = found
        return Chunk(requests_of(*rows), np.arange(len(rows)), epoch)

    def note(self, count: int) -> None:
        self.gathered += count

    def take(self) -> list[int] | None:
        """As the fast path does, and then what comes if it gets nothing."""
        request = self.feed.take()
        if request is not None:
            rows = list(self.feed.find_rows(request))
            assert rows == rows_in(request)
            return rows
        taken = self.feed.take_rows()
        if taken is None:
            return None
        assert list(taken[0]) == rows_in(taken[1])
        return list(taken[0])


def test_a_batch_goes_on_in_the_next_chunk_and_ends_with_its_epoch() -> None:
    owner = Owner(3, (0, [0, 1]), (0, [10, 11, 12]), (1, [0, 1]), (1, []), (1, [10]), (2, [0]))
    assert [owner.take() for _ in range(5)] == [[0, 1, 10], [11, 12], [0, 1, 10], None, None]
    assert owner.gathered == 9


def test_a_whole_batch_is_not_taken_for_the_small_one_that_waits_for_its_rest() -> None:
    owner = Owner(4, (0, [0, 1]), None, (0, [2, 3, 4]), (1, [5, 6, 7, 8]))
    assert owner.feed.take() is None
    assert owner.gathered == 2
    assert owner.take() == [0, 1, 2, 3]
    assert owner.feed.take() is None
    assert owner.feed.take() is None
    assert owner.take() == [4]
    assert owner.take() == [5, 6, 7, 8]


def test_what_has_no_rest_is_taken_when_all_is_over() -> None:
    owner = Owner(4, (0, [0, 1]))
    assert owner.take() is None
    owner.is_over = True
    assert owner.take() == [0, 1]
    assert owner.take() is None


def test_rows_of_a_block_that_is_given_away_leave_the_batch_that_has_begun() -> None:
    owner = Owner(8, (0, [0, 1, 2]), (0, [100, 101]), None, None, None, (0, [200, 201, 202, 203, 204]))
    assert owner.take() is None
    assert owner.feed.drop(0, 3) == [0, 1, 2]
    assert owner.feed.drop(0, 3) == []
    assert owner.feed.take() is None
    owner.is_over = True
    assert owner.take() == [100, 101, 200, 201, 202, 203, 204]


@pytest.mark.parametrize("taken_first", [1, 3, 6, 7])
def test_rows_of_a_flagged_block_are_gathered_no_more(taken_first: int) -> None:
    rows = [*range(2 * DRAW), *range(10_000, 10_000 + DRAW)]
    owner = Owner(300, (0, rows))
    assert [owner.take() for _ in range(taken_first)] == [rows[at * 300 : at * 300 + 300] for at in range(taken_first)]
    owner.feed.skip([True, False])
    left = [row for row in rows[taken_first * 300 :] if row >= 10_000]
    owner.is_over = True
    taken: list[int] = []
    while batch := owner.take():
        taken += batch
    assert taken == left


@settings(deadline=None)
@given(
    size=st.integers(2, 9),
    chunks=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12)), max_size=8),
    pauses=st.sets(st.integers(0, 7)),
)
def test_any_chunks_are_taken_whole_in_batches_that_are_smaller_only_at_the_end_of_an_epoch(
    size: int, chunks: list[tuple[int, int]], pauses: set[int]
) -> None:
    epochs: dict[int, list[int]] = {}
    handed: list[tuple[int, Sequence[int]] | None] = []
    epoch = 0
    for number, (step, count) in enumerate(chunks):
        epoch += step
        rows = range(100 * number, 100 * number + count)
        handed += [None] * (number in pauses) + [(epoch, rows)]
        epochs.setdefault(epoch, []).extend(rows)
    owner = Owner(size, *handed)
    taken = []
    while owner.waiting or owner.feed._chunk is not None:
        if (batch := owner.take()) is not None:
            taken.append(batch)
    owner.is_over = True
    if (batch := owner.take()) is not None:
        taken.append(batch)
    wanted = [rows[at : at + size] for rows in epochs.values() for at in range(0, len(rows), size)]
    assert taken == wanted
