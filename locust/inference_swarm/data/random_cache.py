"""The block cache for random order: rows in memory to draw from, the whole shard or a resident set that rotates."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

from inference_swarm.data.batches import Batching, RandomBatches
from inference_swarm.data.block_cache import Block, BlockCache, Budget, EncodedBlock
from inference_swarm.data.orders import Compose, RandomFeed
from inference_swarm.data.packed import Heads, Requests

TAKES_PER_ROW = 8  # of a resident set, before a block goes: encoding costs each request an eighth of a row's


class RandomCache(BlockCache):
    """Draws are uniform over the rows in memory; in a resident set each block stays for the same number of takes a row.

    A resident set never runs dry: its oldest block goes only when the next is ready.
    """

    def __init__(
        self,
        budget: Budget,
        heads: Heads,
        seed: Sequence[int],
        on_want: Callable[[], None],
        batching: Batching | None = None,
    ) -> None:
        super().__init__(budget, heads)
        self._blocks: list[EncodedBlock] = []  # oldest first
        self._requests: Requests | None = None  # their rows; None: they have changed since the last draw
        self._spare: EncodedBlock | None = None
        self._last_loaded = -1
        self._takes_left = 0
        self._on_want = on_want
        self._feed = (
            RandomFeed(self._rows, seed, self._count)
            if batching is None
            else RandomBatches(self._rows, seed, self._count, batching, heads.head_of)
        )
        self.take = self._feed.take
        self.take_rows = self._feed.take_rows
        self.find_rows = self._feed.find_rows

    def compose_with(self, make: Callable[[], Compose]) -> bool:
        if not isinstance(self._feed, RandomFeed):
            return False
        self._feed.compose_with(make())
        return True

    def next_block(self) -> Block | None:
        if self._spare is not None:
            return None
        if self.fits:
            return next((block for number, block in self.assigned.items() if number not in self.held), None)
        numbers = list(self.assigned)
        start = bisect_right(numbers, self._last_loaded)
        turn = (number for number in numbers[start:] + numbers[:start] if number not in self.held)
        number = next(turn, None)
        return None if number is None else self.assigned[number]

    def _place(self, encoded: EncodedBlock) -> None:
        self._last_loaded = encoded.block.id
        if self.fits or not self._blocks or self.budget.has_room(self._largest_rows):  # keeps room for a spare
            self._append(encoded)
            return
        self._spare = encoded
        while self.budget.held_bytes > self.budget.limit_bytes and len(self._blocks) > 1:
            self._drop_oldest()  # the shard grew, or its rows did: from now on there is a resident set
        if self._takes_left <= 0:
            self._renew()

    def _withdraw(self, gone: Sequence[Block]) -> None:
        lost = {block.id for block in gone}
        self._feed.forget_drawn()  # not when the set rotates: those draws count as takes of the set before
        for number in lost:
            self.evict(number)
        if self._spare is not None and self._spare.block.id in lost:
            self._spare = None
        self._blocks = [encoded for encoded in self._blocks if encoded.block.id not in lost]
        self._requests = None
        if self._spare is not None and (self.fits or not self._blocks):
            self._append(self._spare)
            self._spare = None

    @property
    def _largest_rows(self) -> int:
        return max(block.rows for block in self.assigned.values())

    def _append(self, encoded: EncodedBlock) -> None:
        if not self._blocks:
            self._takes_left = TAKES_PER_ROW * encoded.block.rows
        self._blocks.append(encoded)
        self._requests = None

    def _drop_oldest(self) -> None:
        oldest = self._blocks.pop(0)
        self._requests = None
        self.evict(oldest.block.id)
        if self._blocks:
            self._takes_left = TAKES_PER_ROW * self._blocks[0].block.rows

    def _renew(self) -> None:
        """Replace the oldest block with the spare."""
        if self._spare is None:
            return
        self._drop_oldest()
        self._append(self._spare)
        self._spare = None
        self._on_want()

    def _rows(self) -> Requests:
        if self._requests is None:
            self._requests = self._requests_of(self._blocks)
        return self._requests

    def _count(self, taken: int) -> None:
        self._takes_left -= taken
        if self._takes_left <= 0 and self._spare is not None:
            self._renew()
