"""Order `once` over a swarm: every row at least once, and what may have been sent twice is known."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from inference_swarm.cluster.ledger import Change, Ledger
from inference_swarm.cluster.once import OnceProgress
from inference_swarm.data.batches import Batching
from inference_swarm.data.packed import PackedBodies
from inference_swarm.data.progress import BlockLease, BlockProgress, OnceNumbers
from inference_swarm.data.progress_worker import MIN_AHEAD, OnceShare
from inference_swarm.data.row_store import RowStore

COST = 8 + 8  # a body of `encode` and its offsets


def no_head(body_bytes: int) -> bytes:
    return b""


def packed(bodies: Sequence[bytes]) -> PackedBodies:
    return PackedBodies.pack([pa.array(bodies, pa.binary())])


def share_of(*sizes: int) -> OnceShare:
    share = OnceShare()
    share.lease([BlockLease(number, 1, ((0, rows),) if rows else ()) for number, rows in enumerate(sizes)])
    return share


def test_a_worker_sends_nothing_that_was_not_reserved_and_acknowledged() -> None:
    share = share_of(3 * MIN_AHEAD)
    assert share.give(0) == []
    sequence, progress = share.report()
    assert progress == [BlockProgress(0, 1, MIN_AHEAD, ())]
    assert share.give(0) == []
    share.acknowledged(sequence)
    assert share.give(0) == list(range(MIN_AHEAD))
    assert not share.wants_report
    for _ in range(MIN_AHEAD - 1):
        share.sent(0)
    assert share.wants_report


def test_a_lease_ends_when_its_last_row_is_done_reported_and_acknowledged() -> None:
    share = share_of(2)
    share.acknowledged(share.report()[0])
    for row in share.give(0):
        share.sent(0)
        share.done(0, row)
    assert (share.is_given_out, share.is_done) == (True, False)
    sequence, progress = share.report()
    assert progress == [BlockProgress(0, 1, 2, ((0, 2),), is_released=True)]
    share.acknowledged(sequence)
    assert share.is_done
    assert share.lease([BlockLease(0, 1, ((0, 2),))]) == []  # the old lease comes again: nothing to send
    assert share.lease([BlockLease(0, 2, ((1, 2),))]) == [0]


def test_a_released_block_is_given_back_only_when_nothing_of_it_is_in_flight() -> None:
    share = share_of(5)
    share.acknowledged(share.report()[0])
    share.sent(0)
    share.release([0])
    assert share.give(0) == []
    assert not share.report()[1][0].is_released
    share.done(0, 0)
    assert share.wants_report
    assert share.report()[1] == [BlockProgress(0, 1, 5, ((0, 1),), is_released=True)]


def test_a_worker_that_drains_gives_all_back_after_its_last_answer() -> None:
    blocks = [PlainBlock(number, 0, 0, 10, 10 * number) for number in range(2)]
    store = RowStore(read, encode, blocks, order="once", seed=1, row_memory_bytes=1 << 20, head_of=no_head)
    store.hold(blocks, [BlockLease(number, 1, ((0, 10),)) for number in range(2)])
    while (task := store.next_task()) is not None:
        store.install(task())
    assert store.once is not None
    store.once.acknowledged(store.once.report()[0])
    assert [rows for rows, _ in filter(None, [store.take_rows() for _ in range(3)])] == [(0,), (1,), (2,)]
    for row in (0, 2):
        store.done([row])
    store.hold([])
    assert store.take_rows() is None
    assert [entry.is_released for entry in store.once.report()[1]] == [False, True]
    store.done([1])
    sequence, progress = store.once.report()
    assert progress[0] == BlockProgress(0, 1, 10, ((0, 3),), is_released=True)
    store.once.acknowledged(sequence)
    assert store.once.is_done


def test_an_empty_lease_is_given_back_at_once() -> None:
    assert share_of(0).report()[1] == [BlockProgress(0, 1, 0, (), is_released=True)]


def test_what_a_lost_worker_reserved_and_did_not_report_may_be_sent_twice_and_the_rest_was_never_sent() -> None:
    books = OnceProgress([10, 10])
    books.lease("a", [0])
    books.lease("b", [1])
    books.report("a", [BlockProgress(0, 1, 7, ((0, 4), (5, 6)))])
    assert books.numbers() == OnceNumbers(planned=20, sent=5, maybe_sent=2, never_sent=13, possible_duplicates=0)
    assert books.lose("a") == [0]
    assert books.numbers() == OnceNumbers(planned=20, sent=5, maybe_sent=2, never_sent=13, possible_duplicates=2)
    books.lease("b", [0])
    assert books.leases("b") == [BlockLease(0, 2, ((4, 5), (6, 10))), BlockLease(1, 1, ((0, 10),))]
    books.report("b", [BlockProgress(0, 2, 10, ((4, 5), (6, 10)), True), BlockProgress(1, 1, 10, ((0, 10),), True)])
    assert books.numbers() == OnceNumbers(planned=20, sent=20, maybe_sent=0, never_sent=0, possible_duplicates=2)
    assert books.is_complete


def test_a_late_report_of_a_lost_worker_counts_its_rows_and_does_not_touch_the_new_lease() -> None:
    books = OnceProgress([4])
    books.lease("a", [0])
    books.lose("a")
    books.lease("b", [0])
    assert books.report("a", [BlockProgress(0, 1, 4, ((0, 2),), is_released=True)]) == []
    assert books.holder(0) == "b"
    assert books.numbers() == OnceNumbers(planned=4, sent=2, maybe_sent=0, never_sent=2, possible_duplicates=0)


def test_a_block_that_is_leased_or_done_is_not_leased_again() -> None:
    books = OnceProgress([4, 2])
    books.lease("a", [0, 1])
    books.report("a", [BlockProgress(1, 1, 2, ((0, 2),), is_released=True)])
    books.lease("b", [0, 1])
    assert (books.holder(0), books.holder(1), books.leases("b")) == ("a", None, [])


def test_the_end_of_a_former_lease_told_twice_does_not_end_the_next_lease_of_the_same_worker() -> None:
    books = OnceProgress([4])
    books.lease("a", [0])
    end = BlockProgress(0, 1, 2, ((0, 2),), is_released=True)
    assert books.report("a", [end]) == [0]
    books.lease("a", [0])
    assert books.report("a", [end]) == []
    assert books.leases("a") == [BlockLease(0, 2, ((2, 4),))]


def test_a_full_window_of_blocks_that_may_not_be_sent_yet_makes_way_for_one_that_may() -> None:
    blocks = [PlainBlock(number, 0, 0, 10, 10 * number) for number in range(3)]
    store = RowStore(read, encode, [], order="once", seed=1, row_memory_bytes=20 * COST, head_of=no_head)
    assert store.once is not None
    store.hold(blocks[1:])  # it is their pending owner, and may not send them before their former owner has ended
    while (task := store.next_task()) is not None:
        store.install(task())
    store.hold(blocks, [BlockLease(0, 1, ((0, 10),))])
    store.once.acknowledged(store.once.report()[0])
    assert (store.status().held_rows, store.next_task()) == (20, None)
    assert store.take_rows() is None
    task = store.next_task()
    assert task is not None
    store.install(task())
    assert store.take_rows() == ((0,), b"00000000")


def test_reports_on_blocks_or_leases_that_do_not_exist_are_ignored() -> None:
    books = OnceProgress([4])
    books.lease("a", [0])
    books.report("a", [BlockProgress(7, 1, 4, ((0, 4),)), BlockProgress(0, 2, 4, ((0, 4),))])
    assert books.numbers().sent == 0


@dataclass(frozen=True, slots=True)
class PlainBlock:
    id: int
    file_index: int
    row_group: int
    rows: int
    first_row: int


def read(blocks: Sequence[PlainBlock]) -> Iterator[tuple[PlainBlock, pa.Table, None]]:
    for block in blocks:
        yield block, pa.table({"n": range(block.first_row, block.first_row + block.rows)}), None


def encode(table: pa.Table) -> PackedBodies:
    return packed([b"%08d" % number for number in table["n"].to_pylist()])


class Worker:
    """A row store and the channels to and from the master, which keep their order and lose all when it dies."""

    def __init__(self, blocks: Sequence[PlainBlock], budget_bytes: int, batch_size: int) -> None:
        self.blocks = blocks
        self.store = RowStore(
            read,
            encode,
            [],
            order="once",
            seed=1,
            row_memory_bytes=budget_bytes,
            head_of=no_head,
            batching=Batching(batch_size, b",".join) if batch_size > 1 else None,
        )
        self.generation = 0
        self.confirmed = 0
        self.in_flight: list[Sequence[int]] = []
        self.to_worker: deque[tuple[int, list[int], list[BlockLease]] | int] = deque()
        self.to_master: deque[tuple[int, list[BlockProgress]] | int] = deque()

    @property
    def share(self) -> OnceShare:
        assert self.store.once is not None
        return self.store.once

    def receive(self) -> None:
        message = self.to_worker.popleft()
        if isinstance(message, int):
            self.share.acknowledged(message)
            return
        self.generation, hold, leases = message
        self.store.hold([self.blocks[number] for number in hold], leases)

    def load(self, tasks: int) -> None:
        for _ in range(tasks):
            task = self.store.next_task()
            if task is None:
                break
            self.store.install(task())
        if self.store.is_ready and self.confirmed < self.generation:
            self.confirmed = self.generation
            self.to_master.append(self.generation)

    def report(self) -> None:
        self.to_master.append(self.share.report())


class OnceSwarm(RuleBasedStateMachine):
    """A master and its workers in order `once`: takes, answers, reports, joins, drains and crashes in any order.

    Requests hold one row or a batch of them.
    """

    @initialize(
        sizes=st.lists(st.integers(1, 2 * MIN_AHEAD + 10), min_size=1, max_size=8),
        count=st.integers(1, 3),
        is_windowed=st.booleans(),
        batch_size=st.sampled_from([1, 1, 2, 7, 100, 3000]),
    )
    def begin(self, sizes: list[int], count: int, is_windowed: bool, batch_size: int) -> None:
        self.batch_size = batch_size
        self.smaller = 0  # batches
        firsts = [sum(sizes[:index]) for index in range(len(sizes))]
        self.blocks = [PlainBlock(i, 0, i // 2, rows, firsts[i]) for i, rows in enumerate(sizes)]
        self.budget_bytes = 2000 * COST if is_windowed else 1 << 30
        self.ledger, self.books = Ledger(len(sizes)), OnceProgress(sizes)
        self.workers: dict[str, Worker] = {}
        self.sent: Counter[int] = Counter()
        self.joined = 0
        names = [self.new_worker() for _ in range(count)]
        self.apply(self.ledger.start(names))

    def new_worker(self) -> str:
        self.joined += 1
        name = f"w{self.joined}"
        self.workers[name] = Worker(self.blocks, self.budget_bytes, self.batch_size)
        return name

    def apply(self, change: Change, leased: Sequence[int] = ()) -> None:
        """What the master does after an event: lease what is free to its owner, tell those whose part has changed."""
        touched = set(change.touched)
        for number in {move.block_id for move in change.moves} | set(leased):
            owner = self.ledger.current_owner(number) or self.ledger.pending_owner(number)
            if owner is not None and self.books.holder(number) is None:
                self.books.lease(owner, [number])
                touched.add(owner)
        for name in sorted(touched):
            message = (change.generation, self.ledger.hold(name), self.books.leases(name))
            self.workers[name].to_worker.append(message)

    def pick(self, number: int) -> str | None:
        names = list(self.workers)
        return names[number % len(names)] if names else None

    @rule(number=st.integers(0, 9), count=st.integers(1, 1500))
    def take(self, number: int, count: int) -> None:
        if (name := self.pick(number)) is None:
            return
        worker = self.workers[name]
        for _ in range(count):
            if (taken := worker.store.take_rows()) is None:
                break
            rows, request = taken
            assert request == b",".join(b"%08d" % row for row in rows)
            assert len(rows) == self.batch_size or (len(rows) < self.batch_size and worker.share.is_given_out)
            self.smaller += len(rows) < self.batch_size
            self.sent.update(rows)
            worker.in_flight.append(rows)

    @rule(number=st.integers(0, 9), count=st.integers(1, 2000), is_last_first=st.booleans())
    def answer(self, number: int, count: int, is_last_first: bool) -> None:
        if (name := self.pick(number)) is None:
            return
        worker = self.workers[name]
        for _ in range(min(count, len(worker.in_flight))):
            worker.store.done(worker.in_flight.pop(-1 if is_last_first else 0))

    @rule(number=st.integers(0, 9))
    def report(self, number: int) -> None:
        if (name := self.pick(number)) is not None:
            self.workers[name].report()

    @rule(number=st.integers(0, 9), tasks=st.integers(0, 4))
    def load(self, number: int, tasks: int) -> None:
        if (name := self.pick(number)) is not None:
            self.workers[name].load(tasks)

    @rule(number=st.integers(0, 9))
    def worker_receives(self, number: int) -> None:
        if (name := self.pick(number)) is not None and self.workers[name].to_worker:
            self.workers[name].receive()

    @rule(number=st.integers(0, 9))
    def master_receives(self, number: int) -> None:
        name = self.pick(number)
        if name is None or not self.workers[name].to_master:
            return
        message = self.workers[name].to_master.popleft()
        if isinstance(message, int):
            self.apply(self.ledger.confirm(name, message))
            return
        sequence, progress = message
        self.workers[name].to_worker.append(sequence)
        self.apply(Change(self.ledger.generation), self.books.report(name, progress))

    @rule()
    def join(self) -> None:
        if len(self.workers) < 5:
            self.apply(self.ledger.join(self.new_worker()))

    @rule(number=st.integers(0, 9), last_messages=st.integers(0, 3))
    def crash(self, number: int, last_messages: int) -> None:
        if (name := self.pick(number)) is None:
            return
        for _ in range(last_messages):
            self.master_receives(number)
        del self.workers[name]
        self.apply(self.ledger.leave(name), self.books.lose(name))

    @invariant()
    def the_books_add_up_and_never_claim_too_little(self) -> None:
        if not hasattr(self, "books"):
            return
        numbers = self.books.numbers()
        assert numbers.planned == sum(block.rows for block in self.blocks)
        assert numbers.planned == numbers.sent + numbers.maybe_sent + numbers.never_sent
        assert sum(self.sent.values()) - len(self.sent) <= numbers.possible_duplicates
        assert numbers.sent <= len(self.sent) <= numbers.sent + numbers.maybe_sent

    def teardown(self) -> None:
        """From any state a swarm of at least one worker gets to the end, and the report is right."""
        if not hasattr(self, "books"):
            return
        if not self.workers:
            self.join()
        for _ in range(400):
            if self.books.is_complete:
                break
            for number in range(len(self.workers)):
                worker = self.workers[self.pick(number) or ""]
                while worker.to_worker:
                    worker.receive()
                worker.load(100)
                self.take(number, 4000)
                self.answer(number, 4000, is_last_first=False)
                worker.report()
                while worker.to_master:
                    self.master_receives(number)
        assert self.books.is_complete
        assert set(self.sent) == set(range(sum(block.rows for block in self.blocks)))
        assert sum(self.sent.values()) - len(self.sent) <= self.books.numbers().possible_duplicates


TestOnceSwarm = OnceSwarm.TestCase
TestOnceSwarm.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("batch_size", [1, 32, 700])
@pytest.mark.parametrize("seed", range(16))
def test_a_swarm_in_which_anything_happens_at_any_time_gets_to_the_end(seed: int, batch_size: int) -> None:
    rng = random.Random(seed)
    swarm = OnceSwarm()
    sizes = [rng.randint(1, 2500) for _ in range(rng.randint(1, 9))]
    swarm.begin(sizes, rng.randint(1, 3), is_windowed=bool(seed % 2), batch_size=batch_size)
    for _ in range(500):
        number = rng.randrange(10)
        match rng.choices(range(8), [20, 15, 20, 20, 25, 25, 2, 2])[0]:
            case 0:
                swarm.take(number, rng.randint(1, 400))
            case 1:
                swarm.answer(number, rng.randint(1, 500), is_last_first=rng.random() < 0.5)
            case 2:
                swarm.report(number)
            case 3:
                swarm.load(number, rng.randint(0, 3))
            case 4:
                swarm.worker_receives(number)
            case 5:
                swarm.master_receives(number)
            case 6:
                swarm.join()
            case 7:
                swarm.crash(number, rng.randint(0, 3))
        swarm.the_books_add_up_and_never_claim_too_little()
    swarm.teardown()


@pytest.mark.parametrize("batch_size", [1, 32])
def test_a_swarm_that_loses_nobody_sends_no_row_twice_though_blocks_move(batch_size: int) -> None:
    swarm = OnceSwarm()
    swarm.begin([3000, 100, 2000, 1, 700], 2, is_windowed=False, batch_size=batch_size)
    for round_number in range(6):
        if round_number in (2, 4):
            swarm.join()
        for number in range(len(swarm.workers)):
            worker = swarm.workers[swarm.pick(number) or ""]
            while worker.to_worker:
                worker.receive()
            worker.load(1)
            swarm.take(number, 150 // batch_size + 1)
            swarm.answer(number, 100 // batch_size, is_last_first=False)
            worker.report()
            while worker.to_master:
                swarm.master_receives(number)
    swarm.teardown()
    assert set(swarm.sent.values()) == {1}
    assert swarm.books.numbers() == OnceNumbers(5801, 5801, 0, 0, 0)


@pytest.mark.parametrize("order", ["once"])
def test_once_refuses_to_take_a_row_without_its_number(order: str) -> None:
    store = RowStore(read, encode, [], order="once", seed=1, row_memory_bytes=1 << 20, head_of=no_head)
    with pytest.raises(RuntimeError, match=r"take_rows\(\) and done\(\)"):
        store.take()
