"""The block cache for orders that take each row once a pass: sequential, shuffle and once.

In a resident set a block's memory is free as soon as its rows are taken; `next_block` names the one to load into it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from inference_swarm.data.batches import Batching, ChunkBatches
from inference_swarm.data.block_cache import Block, BlockCache, Budget, EncodedBlock, Playlist
from inference_swarm.data.orders import Chunk, ChunkFeed, Order, Taken, permutation
from inference_swarm.data.packed import Heads, Requests
from inference_swarm.data.progress_worker import OnceShare

SHUFFLED_TOGETHER = 4  # blocks of a resident set whose rows are mixed; freeing more at once would hold up the users
MIN_HELD = 2  # blocks in memory however small the budget: one to take from, one to come
_BLOCKS, _ROWS = 1, 2  # what a random sequence is for


class ChunkCache(BlockCache):
    """Hands a feed one chunk after the other: a block, or in shuffle order several that are mixed."""

    def __init__(
        self,
        budget: Budget,
        heads: Heads,
        order: Order,
        seed: Sequence[int],
        once: OnceShare | None,
        on_want: Callable[[], None],
        batching: Batching | None = None,
    ) -> None:
        super().__init__(budget, heads)
        self._order = order
        self._seed = seed
        self._once = once
        self._on_want = on_want
        self._playlist = Playlist(
            is_endless=once is None,
            seed=[*seed, _BLOCKS] if order == "shuffle" else None,
            unit=lambda number: (self.assigned[number].file_index, self.assigned[number].row_group),
        )
        self._active: list[int] = []  # blocks of the chunk that is being taken
        self._joined: list[int] = []  # all blocks of that chunk, as their rows follow each other
        self._chunks = 0
        self._is_starving = False
        self._feed = (
            ChunkFeed(self._next_chunk)
            if batching is None
            else ChunkBatches(
                self._next_chunk,
                batching,
                heads.head_of,
                is_over=lambda: once is not None and once.is_given_out,
                on_gather=self._note_gathered,
            )
        )
        self.take = self._feed.take
        self.take_rows = self._feed.take_rows
        self.find_rows = self._feed.find_rows
        if once is not None:
            self.take = _refuse_take
            if batching is None:
                self.take_rows = self._take_once

    def assign(self, blocks: Iterable[Block]) -> tuple[list[int], list[int]]:
        changes = super().assign(blocks)
        if not self.fits:
            self._visit(())
        return changes

    def next_block(self) -> Block | None:
        if self.fits:
            return next((block for block in self.assigned.values() if self._is_missing(block.id)), None)
        self._playlist.plan_ahead()
        missing: Iterator[int] = (number for _, number in self._playlist.upcoming if self._is_missing(number))
        if self._is_starving and self._once is not None:
            missing = filter(self._once.may_send, missing)
        number = next(missing, None)
        if number is None:
            return None
        block = self.assigned[number]
        may_load = self._is_starving or len(self.held) < MIN_HELD or self.budget.has_room(block.rows)
        return block if may_load else None

    def lease(self, blocks: Iterable[int]) -> None:
        """Order once: allow rows of these blocks to be taken from now on."""
        self._visit(number for number in blocks if number in self.assigned)

    def _is_missing(self, number: int) -> bool:
        return number not in self.held and not self._is_spent(number)

    def _is_spent(self, number: int) -> bool:
        return self._once is not None and self._once.is_spent(number)

    def _place(self, encoded: EncodedBlock) -> None:
        self._is_starving = False
        self._visit([encoded.block.id])

    def _visit(self, numbers: Iterable[int]) -> None:
        """Give blocks in memory their turn; in a resident set all get one, as it decides what to load."""
        visited = self.assigned if not self.fits else numbers
        once = self._once
        self._playlist.add(number for number in visited if once is None or once.has_rows(number))

    def _withdraw(self, gone: Sequence[Block]) -> None:
        lost = {block.id for block in gone}
        self._playlist.remove(lost)
        for number in lost:
            self.evict(number)
        if isinstance(self._feed, ChunkBatches):
            for block in gone:
                self._take_back(block, self._feed.drop(block.first_row, block.rows))
        if not lost.isdisjoint(self._active):
            self._feed.skip([number in lost for number in self._joined])
            self._active = [number for number in self._active if number not in lost]

    def _next_chunk(self) -> Chunk | None:
        self._finish_chunk()
        self._playlist.plan_ahead()
        upcoming = self._playlist.upcoming
        if self._once is not None:
            return self._next_leased(self._once)
        if not upcoming:
            return None
        epoch = upcoming[0][0]
        together = 1
        if self._order == "shuffle":  # of a resident set leave as much in memory for the time while the next are loaded
            together = len(self.held) if self.fits else max(1, min(SHUFFLED_TOGETHER, len(self.held) // 2))
        chosen: list[int] = []
        for entry_epoch, number in upcoming:
            if entry_epoch != epoch or len(chosen) == together:
                break
            if number in self.held:
                chosen.append(number)
        if not chosen:
            self._starve()
            return None
        self._playlist.visit(chosen)
        requests = self._begin(chosen)
        self._chunks += 1
        if self._order == "shuffle":
            return Chunk(requests, permutation(len(requests), [*self._seed, _ROWS, self._chunks]), epoch)
        return Chunk(requests, np.arange(len(requests)), epoch)

    def _begin(self, chosen: list[int]) -> Requests:
        self._active = self._joined = chosen
        return self._requests_of(self.held[number] for number in chosen)

    def _finish_chunk(self) -> None:
        """Finish a chunk that has been taken: in a resident set its memory is free for the next block."""
        finished, self._active = self._active, []
        is_freed = False
        for number in finished:
            if not self.fits or self._is_spent(number):
                self.evict(number)
                is_freed = True
            if self._is_spent(number):
                self._playlist.remove([number])
        if is_freed:
            self._on_want()

    def _next_leased(self, once: OnceShare) -> Chunk | None:
        for _, number in self._playlist.upcoming:
            if number in self.held and (rows := once.give(number)):
                return Chunk(self._begin([number]), np.array(rows))
        if any(number not in self.held and once.may_send(number) for _, number in self._playlist.upcoming):
            self._starve()
        return None

    def _starve(self) -> None:
        """Load the next block although the budget has no room: no row in memory can be taken yet."""
        if not self._is_starving:
            self._is_starving = True
            self._on_want()

    def _note_gathered(self, count: int) -> None:
        """Order once: rows that are in a batch count as given, so a lease does not end before the batch has."""
        if self._once is not None:
            self._once.sent(self._active[0], count)

    def _take_back(self, block: Block, rows: Iterable[int]) -> None:
        if self._once is not None:
            for row in rows:
                self._once.take_back(block.id, row - block.first_row)

    def _take_once(self) -> Taken | None:
        taken = self._feed.take_rows()
        if taken is not None and self._once is not None:
            self._once.sent(self._active[0])
        return taken


def _refuse_take() -> bytes | None:
    raise RuntimeError("order once counts rows: use take_rows() and done()")
