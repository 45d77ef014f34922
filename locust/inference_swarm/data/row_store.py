"""The rows of a worker's shard, encoded, within a byte budget: the blocks to hold go in, ready requests come out.

All runs on the event loop except the tasks from `next_task`, which read and encode one block and touch nothing else:
the edge runs each in a thread and gives the result to `install`. Knows no gevent, no transport, no messages.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from weakref import ref

import pyarrow as pa

from inference_swarm.data.batches import Batching
from inference_swarm.data.block_cache import Block, BlockCache, Budget, EncodedBlock
from inference_swarm.data.block_stream import BlockStream, Reader
from inference_swarm.data.chunk_cache import ChunkCache
from inference_swarm.data.orders import Order
from inference_swarm.data.packed import Heads, PackedBodies
from inference_swarm.data.progress import BlockLease
from inference_swarm.data.progress_worker import OnceShare
from inference_swarm.data.random_cache import RandomCache
from inference_swarm.data.truth import BlockTruth, RowTruth


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """How far loading is: `blocks` and `rows` are to be held, `held_*` are in memory now."""

    blocks: int
    rows: int
    held_blocks: int
    held_rows: int
    held_bytes: int
    is_windowed: bool
    is_ready: bool


class RowStore:
    """Requests of the blocks that were named last, in the chosen order.

    `take()` returns the next request, `take_rows()` the numbers of its rows in the dataset too; a run uses one of the
    two. With `batching`, `take()` leaves a batch that is not whole to `take_rows()`, and returns None meanwhile.
    None means there is none now: a block is being loaded, an acknowledgement is due, or none is left (`is_exhausted`).
    The edge wakes those who wait after `install`, `hold` and `acknowledged`. Random order waits for its first block
    only.
    """

    def __init__(
        self,
        read: Reader,
        encode: Callable[[pa.Table], PackedBodies],
        blocks: Iterable[Block],
        *,
        order: Order,
        seed: int,
        row_memory_bytes: int,
        head_of: Callable[[int], bytes],
        on_want: Callable[[], None] = lambda: None,
        batching: Batching | None = None,
    ) -> None:
        """`head_of` makes the head of a request from the length of its body.

        `on_want` is called, on the loop, when rows were taken so that `next_task` has something to do again.
        `batching`: requests hold several rows, whose stored texts are what `encode` returns.
        """
        first = list(blocks)
        sequence_seed = (seed, min((block.id for block in first), default=0))  # no two workers draw alike
        budget, heads = Budget(row_memory_bytes), Heads(head_of)
        self.once = OnceShare(1 if batching is None else batching.size) if order == "once" else None
        self._cache: BlockCache = (
            RandomCache(budget, heads, sequence_seed, on_want, batching)
            if order == "random"
            else ChunkCache(budget, heads, order, sequence_seed, self.once, on_want, batching)
        )
        self._stream = BlockStream(read, encode)
        self._loading: Block | None = None
        self._first_rows: list[int] = []  # of every block ever held, ascending
        self._block_ids: list[int] = []  # parallel
        self._known: set[int] = set()
        # As long as rows may be taken: of a block that has gone from memory, some may have been drawn before.
        self._truths: dict[int, ref[BlockTruth]] = {}
        self.take = self._cache.take
        self.take_rows = self._cache.take_rows
        self.find_rows = self._cache.find_rows
        self.compose_with = self._cache.compose_with
        self.hold(first)

    def hold(self, blocks: Iterable[Block], leases: Iterable[BlockLease] = ()) -> None:
        """Hold exactly these blocks; rows of others are not taken any more. `leases`: for order `once`.

        To drain, hold nothing: once the last request in flight is done, the next report gives all leases back.
        """
        blocks = list(blocks)
        _, gone = self._cache.assign(blocks)
        for block in blocks:
            if block.id not in self._known:
                self._known.add(block.id)
                place = bisect_right(self._first_rows, block.first_row)
                self._first_rows.insert(place, block.first_row)
                self._block_ids.insert(place, block.id)
        if self.once is not None and isinstance(self._cache, ChunkCache):
            self.once.release(gone)
            self._cache.lease(self.once.lease(leases))

    def next_task(self) -> Callable[[], EncodedBlock] | None:
        """Work for a thread, whose result goes to `install`; None while there is none or the last is not installed."""
        if self._loading is not None:
            return None
        block = self._cache.next_block()
        if block is None:
            return None
        self._loading = block
        run = self._run_from(block)
        return lambda: self._stream.load(block, run)

    def install(self, encoded: EncodedBlock) -> None:
        """Install a block, whose rows may be taken from now on, unless it was assigned elsewhere meanwhile."""
        self._loading = None
        if encoded.block.id in self._cache.assigned:
            if encoded.truth is not None:
                self._truths[encoded.block.id] = ref(encoded.truth)
            self._cache.put(encoded)

    def load_failed(self) -> None:
        """Note that the task raised: the next one tries the block again."""
        self._loading = None

    def done(self, rows: Iterable[int]) -> None:
        """Order once: the request of these rows, from `take_rows`, has ended, well or not."""
        if self.once is not None:
            for row in rows:
                first, block = self._block_of(row)
                self.once.done(block, row - first)

    def truth(self, row: int) -> RowTruth | None:
        """The label of a row and the answer recorded for it; None when it can not be taken at present."""
        found = self.truths(row)
        return found and found[0]

    def truths(self, row: int) -> tuple[RowTruth] | None:
        """Return the same for a request of this row alone."""
        place = bisect_right(self._first_rows, row) - 1
        kept = self._truths.get(self._block_ids[place])
        truth = None if kept is None else kept()
        return None if truth is None else truth.rows[row - self._first_rows[place]]

    @property
    def is_exhausted(self) -> bool:
        """True when no row will come without another assignment."""
        return not self._cache.assigned if self.once is None else self.once.is_given_out

    @property
    def is_ready(self) -> bool:
        """True when all that is to be in memory now is."""
        return self._loading is None and self._cache.next_block() is None

    def status(self) -> StoreStatus:
        """The status for reports and the log."""
        cache = self._cache
        return StoreStatus(
            blocks=len(cache.assigned),
            rows=cache.rows,
            held_blocks=len(cache.held),
            held_rows=sum(len(encoded.bodies) for encoded in cache.held.values()),
            held_bytes=cache.budget.held_bytes,
            is_windowed=not cache.fits,
            is_ready=self.is_ready,
        )

    def _run_from(self, block: Block) -> list[Block]:
        """The block and those that are likely to follow it in its row group: they are read in one go."""
        run = [block]
        while (following := self._cache.assigned.get(run[-1].id + 1)) is not None:
            if (following.file_index, following.row_group) != (block.file_index, block.row_group):
                break
            run.append(following)
        return run

    def _block_of(self, row: int) -> tuple[int, int]:
        place = bisect_right(self._first_rows, row) - 1
        return self._first_rows[place], self._block_ids[place]
