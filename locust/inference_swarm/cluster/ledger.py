"""Who owns which block: worker ids and acknowledgements in, hand-overs out. Pure: no clock, no messages, no gevent.

Every block has a *current owner* (has its rows ready and sends them) and perhaps a *pending owner* (was assigned them
to load):

    unowned      current -    pending -    only while there is no worker
    loading      current -    pending V    the start of a run, or the former owner was lost
    settled      current W    pending -
    handed over  current W    pending V    W goes on serving until V has confirmed

The *owner* is the current one if there is one, else the pending one. The *destination* is the pending owner if any,
else the current one: where the block will be when all is confirmed. Balance is kept over destinations, so it holds
whatever is under way.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Move:
    """`target` must load `block_id`, which `source` goes on serving meanwhile (None: nobody can)."""

    block_id: int
    source: str | None
    target: str


@dataclass(frozen=True, slots=True)
class Change:
    """The effects of one event: the hand-overs it began, and the workers whose list of blocks has changed."""

    generation: int
    moves: tuple[Move, ...] = ()
    touched: tuple[str, ...] = ()


class Ledger:
    """Block → worker for blocks 0 … block_count-1. Same calls in the same order give the same ledger.

    Unknown workers that leave or confirm, and known ones that join, change nothing: messages may come late or twice.
    """

    def __init__(self, block_count: int) -> None:
        if block_count < 0:
            raise ValueError(f"block_count is {block_count}")
        self.block_count = block_count
        self.generation = 0  # raised by every change, so an assignment is named by it
        self._clear()

    def _clear(self) -> None:
        self._current: list[str | None] = [None] * self.block_count
        self._pending: list[str | None] = [None] * self.block_count
        self._planned_at = [0] * self.block_count  # generation in which the pending owner was named
        self._destined: dict[str, set[int]] = {}  # in order of joining, which settles ties
        self._ranks: dict[str, int] = {}
        self._next_rank = 0
        self._by_size: list[tuple[int, int, str]] = []  # a heap of sizes, ranks and workers; some have changed since
        self._giving: dict[str, set[int]] = {}  # served by the key, destined elsewhere
        self._unowned = set(range(self.block_count))
        self._pending_count = 0  # blocks with a pending owner

    def __contains__(self, worker: str) -> bool:
        return worker in self._destined

    @property
    def workers(self) -> tuple[str, ...]:
        """Live workers in order of joining."""
        return tuple(self._destined)

    @property
    def is_settled(self) -> bool:
        """True when every block is served by the worker it is meant for."""
        return self._pending_count == 0 and not self._unowned

    def current_owner(self, block_id: int) -> str | None:
        """Return the live worker that has the rows ready, if any."""
        return self._current[block_id]

    def pending_owner(self, block_id: int) -> str | None:
        """Return the live worker that was assigned the block to load, if any."""
        return self._pending[block_id]

    def owner(self, block_id: int) -> str | None:
        """Return the one worker the block belongs to now; None only while there is no worker."""
        return self._current[block_id] or self._pending[block_id]

    def destination(self, block_id: int) -> str | None:
        """Return the worker the block will belong to when all hand-overs under way are confirmed."""
        return self._pending[block_id] or self._current[block_id]

    def load(self, worker: str) -> int:
        """Return the number of blocks destined for the worker."""
        return len(self._destined[worker])

    def serves(self, worker: str) -> bool:
        """True when the worker has rows of at least one block ready."""
        current = self._current
        destined, giving = self._destined.get(worker, ()), self._giving.get(worker, ())
        return any(current[block] == worker for blocks in (destined, giving) for block in blocks)

    def unconfirmed(self, worker: str) -> int:
        """Return the number of blocks that the worker was assigned and has not confirmed."""
        pending = self._pending
        return sum(pending[block] == worker for block in self._destined.get(worker, ()))

    def hold(self, worker: str) -> list[int]:
        """Return all blocks the worker must have, ascending: its own, and those it serves until others are ready."""
        return sorted(self._destined.get(worker, set()) | self._giving.get(worker, set()))

    def start(self, workers: Iterable[str]) -> Change:
        """Forget all owners; each worker gets one contiguous range, which shares row groups and so reads cheaply."""
        names = list(dict.fromkeys(workers))
        self._clear()
        for name in names:
            self._add(name)
        if not names:
            return self._changed([], set())
        self._unowned.clear()
        return self._plan(_in_runs(range(self.block_count), names), set(names))

    def join(self, *workers: str) -> Change:
        """Workers joined: they take from those with the most blocks, until each has its floor share.

        Where there are fewer blocks than workers, they take all that others have beyond one.
        """
        names = [name for name in dict.fromkeys(workers) if name not in self._destined]
        if not names:
            return Change(self.generation)
        for name in names:
            self._add(name)
        if self._unowned:
            adopted = sorted(self._unowned)
            self._unowned.clear()
            return self._plan(_in_runs(adopted, names), set(names))
        wanted: dict[str, int] = {}
        heap = [(-len(blocks), rank, name) for rank, (name, blocks) in enumerate(self._destined.items()) if blocks]
        heapq.heapify(heap)
        spare = min(len(names), self.block_count - len(heap))
        for _ in range(self.block_count // len(self._destined) * len(names) or spare):
            size, rank, name = heap[0]
            wanted[name] = wanted.get(name, 0) + 1
            heapq.heapreplace(heap, (size + 1, rank, name))
        taken = [block for name, count in wanted.items() for block in self._cheapest(name, count)]
        return self._plan(_in_runs(sorted(taken), names), set(names))

    def leave(self, worker: str) -> Change:
        """A worker left: what was destined for it goes to the workers with the fewest blocks; nothing else moves."""
        if worker not in self._destined:
            return Change(self.generation)
        orphans = sorted(self._destined.pop(worker))
        for block in self._giving.pop(worker):
            self._current[block] = None  # its pending owner is loading it already
        for block in orphans:
            if self._current[block] == worker:
                self._current[block] = None
        if not self._destined:
            for block in orphans:
                self._set_pending_owner(block, None)
            self._unowned.update(orphans)
            return self._changed([], set())
        return self._plan(self._assign(orphans), set())

    def confirm(self, worker: str, generation: int) -> Change:
        """The worker has ready what it was assigned up to `generation`; later assignments stay pending.

        The moves of the result are those that are complete; each `source` may drop the block now.
        """
        if worker not in self._destined:
            return Change(self.generation)
        done = [
            block
            for block in sorted(self._destined[worker])
            if self._pending[block] == worker and self._planned_at[block] <= generation
        ]
        if not done:
            return Change(self.generation)
        moves = []
        for block in done:
            source = self._current[block]
            if source is not None:
                self._giving[source].discard(block)
            self._set_pending_owner(block, None)
            self._current[block] = worker
            moves.append(Move(block, source, worker))
        return self._changed(moves, {move.source for move in moves if move.source is not None})

    def _add(self, worker: str) -> None:
        self._destined[worker] = set()
        self._giving[worker] = set()
        self._ranks[worker] = self._next_rank
        self._next_rank += 1
        self._note_size(worker)

    def _note_size(self, worker: str) -> None:
        if len(self._by_size) > 64 + 8 * len(self._destined):
            self._by_size = [(len(blocks), self._ranks[name], name) for name, blocks in self._destined.items()]
            heapq.heapify(self._by_size)
        heapq.heappush(self._by_size, (len(self._destined[worker]), self._ranks[worker], worker))

    def _emptiest(self, count: int) -> list[str]:
        """Return the workers with the fewest blocks, in order of joining among equals."""
        found: list[tuple[int, int, str]] = []
        while self._by_size and len(found) < count:
            size, rank, worker = entry = heapq.heappop(self._by_size)
            blocks = self._destined.get(worker)
            is_known = blocks is not None and len(blocks) == size and self._ranks[worker] == rank
            if is_known and (not found or found[-1] != entry):
                found.append(entry)
        for entry in found:
            heapq.heappush(self._by_size, entry)
        return [worker for _, _, worker in found]

    def _plan(self, plan: Sequence[tuple[int, str]], touched: set[str]) -> Change:
        """Name the pending owners; a block that goes back to its current owner needs no hand-over at all."""
        self.generation += 1
        moves = []
        for block, target in plan:
            current, former = self._current[block], self._pending[block]
            if former in self._destined:  # the former pending owner must forget the block
                self._destined[former].discard(block)
                self._note_size(former)
                touched.add(former)
            if current is not None:
                self._destined[current].discard(block)
                self._note_size(current)
                self._giving[current].discard(block)
            self._destined[target].add(block)
            self._note_size(target)
            if current == target:
                self._set_pending_owner(block, None)
                continue
            if current is not None:
                self._giving[current].add(block)
            self._set_pending_owner(block, target)
            self._planned_at[block] = self.generation
            moves.append(Move(block, current, target))
            touched.add(target)
        return self._change(moves, touched)

    def _cheapest(self, donor: str, count: int) -> list[int]:
        """Returns the cheapest blocks to move: loading while another serves them, then served, then unserved.

        Within a kind the highest ids, so that what stays and what goes are both contiguous where they were.
        """
        current, pending = self._current, self._pending

        def cost(block: int) -> tuple[int, int]:
            kind = 1 if pending[block] is None else 0 if current[block] is not None else 2
            return (kind, -block)

        return heapq.nsmallest(count, self._destined[donor], key=cost)

    def _assign(self, orphans: Sequence[int]) -> list[tuple[int, str]]:
        """Orphans → the workers with the fewest blocks.

        A block goes back to its current owner if that has room; the rest are assigned in contiguous runs.
        """
        served = Counter(self._current[block] for block in orphans)
        near = {*self._emptiest(len(orphans)), *(name for name in served if name in self._destined)}
        here = sorted(near, key=self._ranks.__getitem__)  # nobody else comes to be the emptiest
        room = dict.fromkeys(here, 0)
        heap = [(len(self._destined[name]), -served[name], self._ranks[name], name) for name in here]
        heapq.heapify(heap)
        for _ in orphans:
            size, back, rank, name = heap[0]  # among equals, who serves most of them already
            room[name] += 1
            heapq.heapreplace(heap, (size + 1, back + 1, rank, name))
        plan, rest = [], []
        for block in orphans:
            current = self._current[block]
            if current is not None and room[current]:
                room[current] -= 1
                plan.append((block, current))
            else:
                rest.append(block)
        targets = (name for name, free in room.items() for _ in range(free))
        return plan + list(zip(rest, targets, strict=True))

    def _set_pending_owner(self, block: int, owner: str | None) -> None:
        self._pending_count += (owner is not None) - (self._pending[block] is not None)
        self._pending[block] = owner

    def _changed(self, moves: Sequence[Move], touched: set[str]) -> Change:
        self.generation += 1
        return self._change(moves, touched)

    def _change(self, moves: Sequence[Move], touched: set[str]) -> Change:
        here = sorted((name for name in touched if name in self._destined), key=self._ranks.__getitem__)
        return Change(self.generation, tuple(moves), tuple(here))


def _in_runs(blocks: Sequence[int], names: Sequence[str]) -> list[tuple[int, str]]:
    """Return blocks with workers: each gets as many as the others, one after the other."""
    cuts = [len(blocks) * rank // len(names) for rank in range(len(names) + 1)]
    return [(block, name) for rank, name in enumerate(names) for block in blocks[cuts[rank] : cuts[rank + 1]]]
