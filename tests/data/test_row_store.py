"""Rows are taken in the chosen order, each as often as promised, within the budget, while blocks come and go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings

from inference_swarm.data.batches import Batching
from inference_swarm.data.block_cache import Block
from inference_swarm.data.orders import DRAW
from inference_swarm.data.packed import PackedBodies
from inference_swarm.data.random_cache import TAKES_PER_ROW
from inference_swarm.data.row_store import RowStore
from inference_swarm.data.truth import BlockTruth, RowTruth
from inference_swarm.errors import DataError

BIG = 1 << 30


@dataclass(frozen=True, slots=True)
class PlainBlock:
    id: int
    file_index: int
    row_group: int
    rows: int
    first_row: int


def blocks_of(sizes: Sequence[int], per_group: int = 2) -> list[Block]:
    first_rows = [sum(sizes[:index]) for index in range(len(sizes))]
    return [
        PlainBlock(index, 0, index // per_group, rows, first)
        for index, (rows, first) in enumerate(zip(sizes, first_rows, strict=True))
    ]


class Files:
    """Rows whose only column is their number; counts how often reading was begun."""

    def __init__(self, *, has_truth: bool = False) -> None:
        self.has_truth = has_truth
        self.opened: list[list[int]] = []
        self.closed = 0

    def read(self, blocks: Sequence[Block]) -> Iterator[tuple[Block, pa.Table, BlockTruth | None]]:
        self.opened.append([block.id for block in blocks])
        try:
            for block in blocks:
                numbers = range(block.first_row, block.first_row + block.rows)
                truth = BlockTruth([(RowTruth(f"y{number}", number / 7),) for number in numbers])
                yield block, pa.table({"n": numbers}), truth if self.has_truth else None
        finally:
            self.closed += 1


def encode(table: pa.Table) -> PackedBodies:
    return PackedBodies.pack([pa.array([b"%08d" % number for number in table["n"].to_pylist()], pa.binary())])


def head_of(body_bytes: int) -> bytes:
    return b"%d " % body_bytes


def numbers_in(request: bytes) -> list[int]:
    head, body = request.split(b" ")
    assert int(head) == len(body)
    return [int(text) for text in body.split(b",")]


COST = 8 + 8  # a body and its offsets
TRUTH_COST = 144  # of a label and a recorded answer


def load(store: RowStore) -> int:
    tasks = 0
    while (task := store.next_task()) is not None:
        store.install(task())
        tasks += 1
    return tasks


def store_of(
    blocks: Sequence[Block],
    order: str,
    *,
    seed: int = 1,
    rows_in_memory: int | None = None,
    batch_size: int = 1,
    has_truth: bool = False,
) -> RowStore:
    cost = COST + TRUTH_COST if has_truth else COST
    budget = BIG if rows_in_memory is None else rows_in_memory * cost
    store = RowStore(
        Files(has_truth=has_truth).read,
        encode,
        blocks,
        order=order,  # type: ignore[arg-type]
        seed=seed,
        row_memory_bytes=budget,
        head_of=head_of,
        batching=Batching(batch_size, b",".join) if batch_size > 1 else None,
    )
    load(store)
    return store


def taken(store: RowStore, count: int, *, is_loading: bool = True) -> list[int]:
    numbers: list[int] = []
    while len(numbers) < count:
        request = store.take()
        if request is not None:
            numbers += numbers_in(request)
        elif (smaller := store.take_rows()) is not None:
            assert list(smaller[0]) == numbers_in(smaller[1])
            numbers += smaller[0]
        elif not is_loading or not load(store):
            break
        if is_loading and len(numbers) % 32 == 0:
            load(store)
    return numbers


def test_rows_are_taken_only_when_the_shard_is_ready_and_then_all_of_them() -> None:
    store = RowStore(
        Files().read, encode, blocks_of([3, 2]), order="sequential", seed=1, row_memory_bytes=BIG, head_of=head_of
    )
    assert (store.take(), store.is_ready) == (None, False)
    load(store)
    assert store.status().is_ready
    assert store.status().held_bytes == 5 * COST
    assert taken(store, 12) == [0, 1, 2, 3, 4] * 2 + [0, 1]


def test_blocks_of_one_row_group_are_read_in_one_go_and_no_file_is_left_open() -> None:
    files = Files()
    store = RowStore(
        files.read, encode, blocks_of([2] * 5), order="random", seed=1, row_memory_bytes=BIG, head_of=head_of
    )
    load(store)
    assert files.opened == [[0, 1], [2, 3], [4]]
    assert files.closed == 3


@pytest.mark.parametrize("rows_in_memory", [None, 30, 1])
def test_random_order_takes_every_row_about_equally_often(rows_in_memory: int | None) -> None:
    store = store_of(blocks_of([10] * 10), "random", rows_in_memory=rows_in_memory)
    counts = Counter(taken(store, 100 * 1024))
    assert set(counts) == set(range(100))
    assert 0.8 < min(counts.values()) / 1024 < max(counts.values()) / 1024 < 1.2


def test_random_order_in_a_window_never_runs_dry_while_the_next_block_is_late() -> None:
    store = store_of(blocks_of([10] * 10), "random", rows_in_memory=30)
    assert store.status().is_windowed
    assert len(taken(store, 50_000, is_loading=False)) == 50_000


def test_random_window_stays_for_a_number_of_takes_and_keeps_within_the_budget() -> None:
    blocks = blocks_of([1024] * 10)
    store = store_of(blocks, "random", rows_in_memory=4096)
    loads = 0
    for _ in range(10 * TAKES_PER_ROW * 1024):
        store.take()
        loads += load(store)
        assert store.status().held_bytes <= 4096 * COST
    assert 9 <= loads <= 11


def test_two_shards_draw_different_rows_and_the_same_shard_the_same() -> None:
    blocks = blocks_of([50, 50])
    again = [taken(store_of(blocks, "random", seed=3), 20) for _ in range(2)]
    assert again[0] == again[1]
    other = taken(store_of(blocks[1:], "random", seed=3), 20)
    assert [number - 50 for number in other] != [number // 2 for number in again[0]]
    assert taken(store_of(blocks, "random", seed=4), 20) != again[0]


@pytest.mark.parametrize("rows_in_memory", [None, 25, 1])
def test_sequential_order_is_kept_in_a_window(rows_in_memory: int | None) -> None:
    store = store_of(blocks_of([7, 7, 7, 3]), "sequential", rows_in_memory=rows_in_memory)
    assert taken(store, 72) == list(range(24)) * 3


@pytest.mark.parametrize("rows_in_memory", [None, 40, 1])
def test_shuffle_takes_every_row_once_an_epoch_in_another_order_each_time(rows_in_memory: int | None) -> None:
    blocks = blocks_of([10] * 9 + [4])
    store = store_of(blocks, "shuffle", rows_in_memory=rows_in_memory)
    epochs = [taken(store, 94) for _ in range(4)]
    assert all(sorted(epoch) == list(range(94)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert taken(store_of(blocks, "shuffle", rows_in_memory=rows_in_memory), 94) == epochs[0]
    assert taken(store_of(blocks, "shuffle", rows_in_memory=rows_in_memory, seed=2), 94) != epochs[0]


@pytest.mark.parametrize("order", ["sequential", "shuffle"])
def test_a_window_that_waits_for_its_next_block_answers_none_and_asks_for_it(order: str) -> None:
    wanted: list[bool] = []
    blocks = blocks_of([10] * 6)
    store = RowStore(
        Files().read,
        encode,
        blocks,
        order=order,  # type: ignore[arg-type]
        seed=1,
        row_memory_bytes=20 * COST,
        head_of=head_of,
        on_want=lambda: wanted.append(True),
    )
    load(store)
    assert len(taken(store, 60, is_loading=False)) == 20
    assert wanted
    assert store.take() is None
    assert load(store) == 2
    assert store.take() is not None


@pytest.mark.parametrize("order", ["random", "sequential", "shuffle"])
@pytest.mark.parametrize("rows_in_memory", [None, 25])
def test_rows_of_a_block_that_was_given_away_are_never_taken_again(order: str, rows_in_memory: int | None) -> None:
    blocks = blocks_of([10] * 6)
    store = store_of(blocks, order, rows_in_memory=rows_in_memory)
    taken(store, 5)
    store.hold([block for block in blocks if block.id not in (0, 1, 4)])
    numbers = taken(store, 3000)
    assert set(numbers) == {*range(20, 40), *range(50, 60)}
    assert store.status().held_rows <= 30


@pytest.mark.parametrize("order", ["random", "sequential", "shuffle"])
@pytest.mark.parametrize("rows_in_memory", [None, 25])
def test_rows_of_an_added_block_come_without_a_pause_for_the_others(order: str, rows_in_memory: int | None) -> None:
    blocks = blocks_of([10] * 6)
    store = store_of(blocks[:3], order, rows_in_memory=rows_in_memory)
    assert set(taken(store, 3000)) == set(range(30))
    store.hold(blocks)
    assert store.take() is not None
    assert store.is_ready == (order == "random" and rows_in_memory is not None)  # a full window serves any shard
    assert set(taken(store, 12 * 1024)) == set(range(60))


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("rows_in_memory", [None, 7])
@pytest.mark.parametrize("order", ["random", "sequential", "shuffle"])
def test_row_numbers_labels_and_answers_belong_to_the_request(
    order: str, rows_in_memory: int | None, batch_size: int
) -> None:
    blocks = blocks_of([5] * 6)
    store = store_of(blocks, order, rows_in_memory=rows_in_memory, batch_size=batch_size, has_truth=True)
    seen = set()
    for turn in range(4000):
        rows, request = store.take_rows() or ((), b"")
        assert numbers_in(request) == list(rows)
        assert [store.truth(row) for row in rows] == [(f"y{row}", row / 7) for row in rows]
        seen.update(rows)
        if turn == 2000:  # rows of it that are in a batch are dropped with it
            store.hold(blocks[1:])
        load(store)
    assert len(seen) >= 15


@settings(max_examples=150, deadline=None)
@given(
    order=st.sampled_from(["random", "sequential", "shuffle"]),
    rows_in_memory=st.none() | st.integers(1, 60),
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=8),
    batch_size=st.sampled_from([1, 1, 2, 5, 33]),
    data=st.data(),
)
def test_after_any_changes_of_the_shard_every_row_of_it_comes_and_no_other(
    order: str, rows_in_memory: int | None, sizes: list[int], batch_size: int, data: st.DataObject
) -> None:
    blocks = blocks_of(sizes)
    store = store_of(blocks, order, rows_in_memory=rows_in_memory, batch_size=batch_size)
    shards = st.lists(st.sampled_from(blocks), min_size=1, unique=True)
    for _ in range(data.draw(st.integers(0, 4))):
        shard = data.draw(shards)
        store.hold(shard)
        for _ in range(data.draw(st.integers(0, 3))):
            if (task := store.next_task()) is not None:
                store.install(task())
        wanted = {row for block in shard for row in range(block.first_row, block.first_row + block.rows)}
        assert wanted.issuperset(taken(store, data.draw(st.integers(0, 40)), is_loading=False))
    wanted = {
        row for block in store._cache.assigned.values() for row in range(block.first_row, block.first_row + block.rows)
    }
    if order != "random":
        load(store)
        taken(store, 2 * len(wanted))
        counts = Counter(taken(store, 3 * len(wanted)))
        assert set(counts) == wanted
        # the count begins and ends within an epoch
        assert max(counts.values()) - min(counts.values()) <= 2
    else:
        assert set(taken(store, 30 * DRAW)) == wanted


def test_shuffle_in_a_window_leaves_rows_in_memory_while_the_next_blocks_are_loaded() -> None:
    store = store_of(blocks_of([10] * 12), "shuffle", rows_in_memory=40)
    taken(store, 20)
    assert store.take() is not None
    assert store.next_task() is not None  # the memory of what was taken is free
    assert len(taken(store, 40, is_loading=False)) >= 9


def test_a_block_given_away_while_it_is_encoded_is_forgotten() -> None:
    blocks = blocks_of([2, 2])
    store = RowStore(Files().read, encode, blocks, order="sequential", seed=1, row_memory_bytes=BIG, head_of=head_of)
    task = store.next_task()
    assert task is not None
    assert store.next_task() is None
    store.hold(blocks[1:])
    store.install(task())
    load(store)
    assert taken(store, 4) == [2, 3, 2, 3]


def test_a_worker_without_blocks_is_ready_and_exhausted() -> None:
    store = store_of([], "random")
    assert (store.is_ready, store.is_exhausted, store.take()) == (True, True, None)


def test_a_file_with_other_rows_than_the_manifest_says_so_and_can_be_tried_again() -> None:
    def read_too_few(blocks: Sequence[Block]) -> Iterator[tuple[Block, pa.Table, pa.ChunkedArray | None]]:
        yield blocks[0], pa.table({"n": [1]}), None

    store = RowStore(
        read_too_few, encode, blocks_of([3]), order="random", seed=1, row_memory_bytes=BIG, head_of=head_of
    )
    task = store.next_task()
    assert task is not None
    with pytest.raises(DataError, match=r"block 0 with 1 rows[\s\S]*3 rows, as in the manifest"):
        task()
    store.load_failed()
    assert store.next_task() is not None
