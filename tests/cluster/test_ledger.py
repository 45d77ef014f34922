"""Every block owned once, balanced, moved no more than needed: over any sequence of joins, losses and answers."""

from __future__ import annotations

import random
import time

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from inference_swarm.cluster.ledger import Change, Ledger, Move


def destinations(ledger: Ledger) -> list[str | None]:
    return [ledger.destination(block) for block in range(ledger.block_count)]


def current_owners(ledger: Ledger) -> list[str | None]:
    return [ledger.current_owner(block) for block in range(ledger.block_count)]


def started(block_count: int, *workers: str) -> Ledger:
    ledger = Ledger(block_count)
    change = ledger.start(workers)
    for worker in workers:
        ledger.confirm(worker, change.generation)
    return ledger


def test_start_gives_each_worker_one_contiguous_range() -> None:
    ledger = started(10, "a", "b", "c")
    assert [ledger.hold(name) for name in "abc"] == [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]
    assert ledger.is_settled


def test_with_more_workers_than_blocks_some_own_none() -> None:
    ledger = Ledger(2)
    change = ledger.start(["a", "b", "c"])
    assert sorted(len(ledger.hold(name)) for name in "abc") == [0, 1, 1]
    assert change.touched == ("a", "b", "c")


def test_joiner_takes_its_floor_share_while_the_old_owner_serves_until_it_confirms() -> None:
    ledger = started(9, "a", "b")
    change = ledger.join("c")
    assert change.moves == (Move(3, "a", "c"), Move(7, "b", "c"), Move(8, "b", "c"))
    assert change.touched == ("c",)
    assert [ledger.owner(block) for block in (3, 7, 8)] == ["a", "b", "b"]
    assert ledger.hold("a") == [0, 1, 2, 3]
    done = ledger.confirm("c", change.generation)
    assert done.moves == change.moves
    assert done.touched == ("a", "b")
    assert ledger.hold("a") == [0, 1, 2]
    assert ledger.is_settled


def test_blocks_of_a_lost_pending_owner_stay_with_their_current_owner_at_no_cost() -> None:
    ledger = started(9, "a", "b")
    before = destinations(ledger)
    ledger.join("c")
    change = ledger.leave("c")
    assert change.moves == ()
    assert destinations(ledger) == before
    assert ledger.is_settled


def test_blocks_of_a_lost_current_owner_are_owned_by_others_at_once() -> None:
    ledger = started(6, "a", "b", "c")
    change = ledger.leave("b")
    assert change.moves == (Move(2, None, "a"), Move(3, None, "c"))
    assert [ledger.owner(block) for block in (2, 3)] == ["a", "c"]
    assert not ledger.is_settled


def test_a_pending_owner_goes_on_alone_when_the_current_owner_is_lost() -> None:
    ledger = started(4, "a", "b")
    joined = ledger.join("c")
    moved = joined.moves[0]
    assert moved.source is not None
    ledger.leave(moved.source)
    assert ledger.current_owner(moved.block_id) is None
    assert ledger.owner(moved.block_id) == "c"


def test_a_late_confirmation_of_an_old_generation_does_not_confirm_a_newer_plan() -> None:
    ledger = started(4, "a", "b")
    old = ledger.join("c")
    ledger.join("d")
    ledger.leave("c")
    ledger.join("c")
    assert ledger.confirm("c", old.generation) == Change(ledger.generation)
    assert ledger.unconfirmed("c") == 1


def test_the_last_worker_leaves_all_blocks_unowned_and_the_next_takes_them() -> None:
    ledger = started(3, "a")
    ledger.leave("a")
    assert [ledger.owner(block) for block in range(3)] == [None] * 3
    assert not ledger.is_settled
    assert ledger.join("b").moves == tuple(Move(block, None, "b") for block in range(3))


def test_unknown_or_repeated_messages_change_nothing() -> None:
    ledger = started(3, "a")
    generation = ledger.generation
    for change in (ledger.leave("x"), ledger.confirm("x", 99), ledger.join("a"), ledger.confirm("a", 99)):
        assert change == Change(generation)


def test_500_workers_on_100_000_blocks_join_and_leave_in_milliseconds() -> None:
    ledger = Ledger(100_000)
    names = [f"w{index}" for index in range(500)]
    begun_s = time.perf_counter()
    change = ledger.start(names)
    for name in names:
        ledger.confirm(name, change.generation)
    for index in range(20):
        ledger.join(f"x{index}")
        ledger.leave(names[index])
    assert time.perf_counter() - begun_s < 10  # 0.5 s on the machine it was written on
    assert ledger.is_settled is False
    assert max(map(ledger.load, ledger.workers)) - min(map(ledger.load, ledger.workers)) <= 1


class LedgerMachine(RuleBasedStateMachine):
    """Joins, losses and confirmations in any order, old generations and dead workers included."""

    generations: Bundle = Bundle("generations")

    @initialize(blocks=st.integers(0, 30), count=st.integers(0, 4), target=generations)
    def begin(self, blocks: int, count: int) -> int:
        self.ledger, self.twin = Ledger(blocks), Ledger(blocks)
        self.ever = [f"s{index}" for index in range(count)]
        self.last_told: dict[str, dict[int, int]] = {}
        return self.apply(lambda ledger: ledger.start(self.ever), None)

    def apply(self, event: object, expected_moves: int | None) -> int:
        before, served = destinations(self.ledger), current_owners(self.ledger)
        change: Change = event(self.ledger)  # type: ignore[operator]
        assert event(self.twin) == change  # type: ignore[operator]
        after = destinations(self.ledger)
        live = set(self.ledger.workers)
        if expected_moves is not None:
            assert sum(old != new for old, new in zip(before, after, strict=True)) == expected_moves
        for block, (old, new) in enumerate(zip(served, current_owners(self.ledger), strict=True)):
            assert new == old or old not in live or Move(block, old, new or "") in change.moves, (
                "a row lost its current owner"
            )
        return change.generation

    @rule(number=st.integers(0, 8), target=generations)
    def join(self, number: int) -> int:
        name = f"s{number}"
        known = name in self.ledger.workers
        self.ever.append(name)
        workers = len(self.ledger.workers)
        minimum = 0 if known else self.ledger.block_count // (workers + 1)
        return self.apply(lambda ledger: ledger.join(name), minimum)

    @rule(number=st.integers(0, 8), target=generations)
    def leave(self, number: int) -> int:
        name = f"s{number}"
        minimum = self.ledger.load(name) if name in self.ledger.workers else 0
        served = {block: self.ledger.current_owner(block) for block in range(self.ledger.block_count)}
        was_destined = destinations(self.ledger)
        generation = self.apply(lambda ledger: ledger.leave(name), minimum)
        got = [
            (served[block], new)
            for block, (old, new) in enumerate(zip(was_destined, destinations(self.ledger), strict=True))
            if old == name
        ]
        for worker in self.ledger.workers:  # nobody loads a block while its current owner is given another to load
            assert not (any(old == worker != new for old, new in got) and any(old != worker == new for old, new in got))
        return generation

    @rule(number=st.integers(0, 8), generation=generations)
    def confirm(self, number: int, generation: int) -> None:
        name = f"s{number}"
        newer = {
            block
            for block in range(self.ledger.block_count)
            if self.ledger.pending_owner(block) == name and self.ledger._planned_at[block] > generation
        }
        self.apply(lambda ledger: ledger.confirm(name, generation), 0)
        assert all(self.ledger.pending_owner(block) == name for block in newer)
        if name in self.ledger.workers:
            assert self.ledger.unconfirmed(name) == len(newer)

    @rule()
    def everyone_confirms(self) -> None:
        for name in self.ledger.workers:
            self.apply(lambda ledger, name=name: ledger.confirm(name, ledger.generation), 0)
        assert self.ledger.is_settled == bool(self.ledger.workers or not self.ledger.block_count)

    @invariant()
    def every_block_has_one_live_owner_and_is_held_by_all_who_need_it(self) -> None:
        ledger = self.ledger
        live = set(ledger.workers)
        held = {name: set(ledger.hold(name)) for name in live}
        for block in range(ledger.block_count):
            current, pending = ledger.current_owner(block), ledger.pending_owner(block)
            assert (ledger.owner(block) in live) if live else (ledger.owner(block) is None)
            assert {name for name in live if block in held[name]} == {current, pending} - {None}
            assert current != pending or current is None
        assert ledger.is_settled == all(
            ledger.pending_owner(block) is None and ledger.current_owner(block) for block in range(ledger.block_count)
        )

    @invariant()
    def loads_differ_by_one_block_at_most(self) -> None:
        loads = [self.ledger.load(name) for name in self.ledger.workers]
        assert not loads or max(loads) - min(loads) <= 1
        assert sum(loads) == (self.ledger.block_count if loads else 0)


@pytest.mark.parametrize("seed", range(4))
def test_the_same_holds_over_long_histories(seed: int) -> None:
    rng = random.Random(seed)
    machine = LedgerMachine()
    generations = [machine.begin(rng.randint(10, 40), 2)]
    for _ in range(300):
        number = rng.randrange(9)
        match rng.choices(range(4), [3, 3, 4, 1])[0]:
            case 0:
                generations.append(machine.join(number))
            case 1:
                generations.append(machine.leave(number))
            case 2:
                machine.confirm(number, rng.choice(generations[-3:]))
            case 3:
                machine.everyone_confirms()
        machine.every_block_has_one_live_owner_and_is_held_by_all_who_need_it()
        machine.loads_differ_by_one_block_at_most()


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize(("blocks", "old", "new"), [(100, 4, 6), (4000, 1000, 1000), (11, 2, 9)])
def test_several_that_join_together_have_their_shares_as_if_one_after_the_other(
    blocks: int, old: int, new: int
) -> None:
    former, comers = [f"o{number}" for number in range(old)], [f"n{number}" for number in range(new)]
    ledger = started(blocks, *former)
    change = ledger.join(*comers, "o0")
    floor = blocks // (old + new)
    assert [ledger.load(name) for name in comers] == [floor] * new
    assert max(ledger.load(name) for name in former) - min(ledger.load(name) for name in former) <= 1
    assert len(change.moves) == floor * new
    assert set(comers) <= set(change.touched)
    for name in comers:
        ledger.confirm(name, change.generation)
    assert ledger.is_settled
    assert ledger.join(*comers) == Change(ledger.generation)


def test_several_that_join_where_nobody_is_share_everything() -> None:
    ledger = Ledger(10)
    ledger.join("a", "b", "c")
    assert [ledger.hold(name) for name in "abc"] == [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]


def test_where_blocks_are_fewer_than_workers_those_who_join_together_take_what_one_has_beyond_its_first() -> None:
    ledger = started(3, "a")
    moves = ledger.join("b", "c", "d", "e").moves
    assert (len(moves), {move.source for move in moves}) == (2, {"a"})
    assert sorted(ledger.load(worker) for worker in ledger.workers) == [0, 0, 1, 1, 1]
    assert ledger.join("f", "g").moves == ()
