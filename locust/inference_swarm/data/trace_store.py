"""The rows of a trace, encoded, within a byte budget: each worker holds those whose turn comes next, of all blocks.

Has the calls of `RowStore`, but the instants decide which row is next. A trace that fits is held whole. A larger one
must be in the order of time: then blocks are read ahead of their instants, and go when these have passed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

import pyarrow as pa

from inference_swarm.data.block_cache import Block, Budget, EncodedBlock
from inference_swarm.data.block_stream import BlockStream, Reader
from inference_swarm.data.orders import Taken
from inference_swarm.data.packed import PackedBodies
from inference_swarm.data.progress import BlockLease
from inference_swarm.data.row_store import StoreStatus
from inference_swarm.data.trace import Trace
from inference_swarm.data.truth import RowTruth
from inference_swarm.errors import DataError

MIN_HELD = 2  # blocks in memory however small the budget


class TraceStore:
    """Requests of the rows that `next_row` names. All runs on the event loop but the tasks, as in RowStore."""

    once = None

    def __init__(
        self,
        read: Reader,
        encode: Callable[[pa.Table], PackedBodies],
        blocks: Sequence[Block],
        assigned: Iterable[Block],
        *,
        row_memory_bytes: int,
        head_of: Callable[[int], bytes],
        on_want: Callable[[], None] = lambda: None,
    ) -> None:
        """`blocks` are all of the data, `assigned` those that the ledger has given to this worker."""
        self.next_row: Callable[[], int | None] = _no_row
        self._blocks = blocks
        self._first_rows = [block.first_row for block in blocks]
        self._rows = sum(block.rows for block in blocks)
        self._assigned = list(assigned)
        self._held: dict[int, EncodedBlock] = {}
        self._urgent: set[int] = set()
        self._at = 0
        self._held_to = 0
        """All blocks from `_at` to before this one are held."""
        self._memory_bytes = row_memory_bytes
        self._budget = Budget(row_memory_bytes)
        self._head_of = head_of
        self._on_want = on_want
        self._stream = BlockStream(read, encode)
        self._loading: Block | None = None
        self._is_sorted = self._is_repeated = True

    def begin(self, trace: Trace, *, is_repeated: bool) -> None:
        """The instants are known; blocks may be loaded from now on."""
        self._is_sorted, self._is_repeated = trace.is_sorted, is_repeated
        self._budget.limit_bytes = self._memory_bytes - trace.memory_bytes

    def seek(self, row: int) -> None:
        """The rows from this one on are next."""
        if self._is_sorted:
            self._at = self._held_to = self._place_of(row)
            self._on_want()

    def hold(self, blocks: Iterable[Block], leases: Iterable[BlockLease] = ()) -> None:
        """Note what the ledger has given to this worker."""
        self._assigned = list(blocks)

    def take(self) -> bytes | None:
        """Return the request alone."""
        taken = self.take_rows()
        return None if taken is None else taken[1]

    def take_rows(self) -> Taken | None:
        """Return the request of the row that is due, or None while it is not in memory."""
        row = self.next_row()
        if row is None:
            return None
        place = self._place_of(row)
        # Behind are late rows, unless the trace has begun again.
        if place > self._at or self._at - place > len(self._blocks) // 2:
            self.seek(row)
        encoded = self._held.get(place)
        if encoded is None:
            self._urgent.add(place)
            self._on_want()
            return None
        number, bodies = row - self._first_rows[place], encoded.bodies
        body = bodies.data[bodies.offsets[number] : bodies.offsets[number + 1]]
        return (row,), self._head_of(len(body)) + body

    def find_rows(self, request: bytes) -> Sequence[int]:
        """Return nothing: who takes a request here gets the number of its row with it."""
        return ()

    def compose_with(self, make: Callable[[], object]) -> bool:
        """Return False: requests are not composed many at a time."""
        return False

    def next_task(self) -> Callable[[], EncodedBlock] | None:
        """Work for a thread, whose result goes to `install`; None while there is none or the last is not installed."""
        if self._loading is not None:
            return None
        if not self._is_sorted and self._held and not self._budget.fits(self._rows):
            return self._refuse
        place = self._next_place()
        if place is None:
            return None
        self._make_room(place)
        block = self._loading = self._blocks[place]
        run = [block]
        for following in self._blocks[place + 1 :]:
            if (following.file_index, following.row_group) != (block.file_index, block.row_group):
                break
            run.append(following)
        return lambda: self._stream.load(block, run)

    def install(self, encoded: EncodedBlock) -> None:
        """Install a block, whose rows may be taken from now on."""
        self._loading = None
        self._urgent.discard(encoded.block.id)
        self._held[encoded.block.id] = encoded
        self._budget.hold(encoded.cost_bytes, len(encoded.bodies))

    def load_failed(self) -> None:
        """Note that the task raised: the next one tries the block again."""
        self._loading = None

    def done(self, rows: Iterable[int]) -> None:
        """Nothing follows from the end of a request."""

    def truth(self, row: int) -> RowTruth | None:
        """The label of a row and the answer recorded for it; None when it is not in memory."""
        found = self.truths(row)
        return found and found[0]

    def truths(self, row: int) -> tuple[RowTruth] | None:
        """Return the same for a request of this row alone."""
        place = self._place_of(row)
        encoded = self._held.get(place)
        if encoded is None or encoded.truth is None:
            return None
        return encoded.truth.rows[row - self._first_rows[place]]

    @property
    def is_exhausted(self) -> bool:
        """False: the schedule says when there is no more."""
        return False

    @property
    def is_ready(self) -> bool:
        """True when all that is to be in memory now is."""
        return self._loading is None and self._next_place() is None

    def status(self) -> StoreStatus:
        """The status for reports and the log; rows are those that the ledger counts for this worker."""
        rows = sum(block.rows for block in self._assigned)
        return StoreStatus(
            blocks=len(self._assigned),
            rows=rows,
            held_blocks=len(self._held),
            held_rows=rows if self.is_ready else min(rows, sum(len(one.bodies) for one in self._held.values())),
            held_bytes=self._budget.held_bytes,
            is_windowed=not self._budget.fits(self._rows),
            is_ready=self.is_ready,
        )

    def _place_of(self, row: int) -> int:
        return bisect_right(self._first_rows, row) - 1

    def _distance(self, place: int) -> int:
        """How far ahead a block is; a repeated trace begins again at its end."""
        return (place - self._at) % len(self._blocks)

    def _next_place(self) -> int | None:
        """Return the block to load now, the nearest one that is missing; None where no other can make room for it."""
        if (wanted := next((place for place in sorted(self._urgent) if place not in self._held), None)) is not None:
            return wanted
        while self._held_to in self._held:  # not looked at again: there may be as many blocks as files
            self._held_to += 1
        again = range(self._at) if self._is_repeated and len(self._held) < len(self._blocks) else ()
        ring = chain(range(self._held_to, len(self._blocks)), again)
        wanted = next((place for place in ring if place not in self._held), None)
        if wanted is None or len(self._held) < MIN_HELD or self._budget.has_room(self._blocks[wanted].rows):
            return wanted
        return wanted if max(map(self._distance, self._held)) > self._distance(wanted) else None

    def _make_room(self, wanted: int) -> None:
        """Let blocks go that are needed later than the one that is to come."""
        while self._held and not self._budget.has_room(self._blocks[wanted].rows):
            gone = max(self._held, key=self._distance)
            if wanted not in self._urgent and self._distance(gone) <= self._distance(wanted):
                return
            self._budget.free(self._held.pop(gone).cost_bytes)
            self._held_to = self._at

    def _refuse(self) -> EncodedBlock:
        needed, limit = (_size(size) for size in (self._budget.estimate_bytes(self._rows), self._budget.limit_bytes))
        raise DataError(
            f"The trace is not in the order of time, and its requests need about {needed} on each worker, "
            f"more than --row-memory leaves ({limit}).",
            expected="a trace whose rows are in the order of their instants, or one that fits into --row-memory.",
            action="sort the rows by their instants and write them again, or raise --row-memory.",
        )


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.1f} MiB" if size_bytes >= 2**20 else f"{size_bytes / 2**10:,.1f} KiB"


def _no_row() -> int | None:
    return None
