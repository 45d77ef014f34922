"""Feeds of rows take what they should, in the order and the numbers that they say."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from inference_swarm.data.orders import DRAW, REMEMBERED_DRAWS, Chunk, ChunkFeed, RandomFeed, permutation
from inference_swarm.data.packed import Heads, PackedBodies, Requests
from inference_swarm.data.progress import set_ranges, to_ranges


def no_head(body_bytes: int) -> bytes:
    return b""


def packed(bodies: Sequence[bytes]) -> PackedBodies:
    return PackedBodies.pack([pa.array(bodies, pa.binary())])


def requests_of(*blocks: tuple[int, Sequence[bytes]]) -> Requests:
    return Requests([(first_row, packed(bodies)) for first_row, bodies in blocks], Heads(no_head))


def random_feed(rows: list[bytes], drawn: list[int] | None = None, seed: int = 1) -> RandomFeed:
    told = [] if drawn is None else drawn
    return RandomFeed(lambda: requests_of((100, rows)), [seed], told.append)


def test_random_draws_are_uniform_and_seeded() -> None:
    rows = [b"%d" % number for number in range(10)]
    feed, again = random_feed(rows), random_feed(rows)
    draws = [feed.take() for _ in range(20_000)]
    assert draws == [again.take() for _ in range(20_000)]
    counts = Counter(draws)
    assert sum((count - 2000) ** 2 / 2000 for count in counts.values()) < 33.7  # chi-square, 9 degrees, p = 0.0001
    assert set(counts) == set(rows)


def test_random_rows_come_with_their_numbers_and_in_the_same_order_as_without() -> None:
    rows = [b"%d" % number for number in range(10)]
    feed, again = random_feed(rows), random_feed(rows)
    for _ in range(3 * DRAW):
        (number,), request = feed.take_rows() or ((-1,), b"")
        assert int(request) == number - 100
        assert request == again.take()


def test_random_feed_tells_how_many_it_draws_before_it_does() -> None:
    drawn: list[int] = []
    feed = random_feed([b"a"], drawn)
    for _ in range(DRAW + 1):
        feed.take()
    assert drawn == [DRAW, DRAW]


def test_random_feed_takes_nothing_of_what_its_owner_removed_once_told() -> None:
    rows = [b"old"] * 50
    feed = random_feed(rows)
    feed.take()
    feed.take_rows()
    rows[:] = [b"new"]
    feed.forget_drawn()
    assert {feed.take() for _ in range(2000)} == {b"new"}
    assert feed.take_rows() == ((100,), b"new")
    rows.clear()
    feed.forget_drawn()
    assert (feed.take(), feed.take_rows()) == (None, None)
    rows.append(b"back")
    assert (feed.take(), feed.take_rows()) == (b"back", ((100,), b"back"))


def test_the_row_of_a_request_is_known_for_some_draws_and_not_when_the_rows_have_changed() -> None:
    rows = [b"\r\n\r\n%d" % number for number in range(100_000)]
    requests = Requests([(7, packed([row[4:] for row in rows]))], Heads(lambda _: b"\r\n\r\n"))
    feed = RandomFeed(lambda: requests, [1], lambda _: None)
    first = feed.take() or b""
    for _ in range(REMEMBERED_DRAWS * DRAW - 1):
        feed.take()
    assert feed.find_rows(first) == (7 + int(first),)
    feed.take()
    assert feed.find_rows(first) == ()
    feed.forget_drawn()
    assert feed.find_rows(feed.take() or b"") != ()
    requests = Requests([(7, packed([b"x"]))], Heads(lambda _: b"\r\n\r\n"))
    for _ in range(DRAW):
        feed.take()
    assert feed.find_rows(b"\r\n\r\nx") == (7,)


def chunk_feed(*chunks: Chunk | None) -> ChunkFeed:
    waiting = deque(chunks)
    return ChunkFeed(lambda: waiting.popleft() if waiting else None)


def test_chunk_feed_goes_from_chunk_to_chunk_and_waits_without_losing_a_row() -> None:
    feed = chunk_feed(
        Chunk(requests_of((10, [b"a", b"b"])), np.array([1, 0])),
        Chunk(requests_of(), np.array([], np.intp)),
        None,
        Chunk(requests_of((20, [b"c"])), np.array([0])),
    )
    assert [feed.take(), feed.take_rows(), feed.take(), feed.take_rows(), feed.take()] == [
        b"b",
        ((10,), b"a"),
        None,
        ((20,), b"c"),
        None,
    ]


def test_the_row_of_a_request_is_known_while_its_chunk_lasts() -> None:
    requests = Requests([(50, packed([b"a", b"b"]))], Heads(lambda _: b"\r\n\r\n"))
    feed = chunk_feed(Chunk(requests, np.array([1, 0])))
    assert feed.find_rows(b"\r\n\r\nb") == ()
    assert feed.take() == b"\r\n\r\nb"
    assert (feed.find_rows(b"\r\n\r\nb"), feed.find_rows(b"\r\n\r\nc")) == ((51,), ())
    feed.take()
    feed.take()
    assert feed.find_rows(b"\r\n\r\nb") == ()


@pytest.mark.parametrize("taken_first", [0, 1, DRAW - 1, DRAW, DRAW + 7, 3 * DRAW])
def test_chunk_feed_skips_the_rows_of_a_block_that_were_not_taken_yet_and_no_other(taken_first: int) -> None:
    blocks = [(0, range(DRAW)), (5000, range(5000, 5000 + 2 * DRAW))]
    requests = requests_of(*((first, [b"%d" % row for row in rows]) for first, rows in blocks))
    order = np.arange(3 * DRAW)[::-1]
    feed = chunk_feed(Chunk(requests, order))
    expected = [row for _, rows in blocks for row in rows][::-1]
    assert [int(feed.take() or b"") for _ in range(taken_first)] == expected[:taken_first]
    feed.skip([True, False])
    left = [row for row in expected[taken_first:] if row >= 5000]
    assert [int(feed.take() or b"") for _ in left] == left
    feed.skip([True, True])
    assert feed.take() is None


@given(st.integers(0, 10_000), st.integers(0, 3))
def test_a_permutation_has_each_index_once_and_depends_on_the_seed_alone(length: int, seed: int) -> None:
    order = list(permutation(length, [seed]))
    assert sorted(order) == list(range(length))
    assert order == list(permutation(length, [seed]))


@given(st.lists(st.booleans(), max_size=60))
def test_ranges_and_flags_are_the_same_rows(flags: list[bool]) -> None:
    rows = np.array(flags, np.bool_)
    again = np.zeros(len(flags), np.bool_)
    set_ranges(again, to_ranges(rows))
    assert again.tolist() == flags
