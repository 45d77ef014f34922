"""The master's side of order `once`: who may send which rows, what is done, and what nobody can know. Pure bookkeeping.

The ledger records who is to hold a block; this module records who may send its rows. A block that moves is leased to
its new owner only after the former one has ended its lease, or is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from inference_swarm.data.progress import BlockLease, BlockProgress, OnceNumbers, Rows, set_ranges, to_ranges


@dataclass(slots=True)
class _Block:
    rows: int
    done: Rows | None = None  # None: none yet, or all
    done_rows: int = 0
    lease: int = 0
    worker: str | None = None
    reserved: int = 0  # rows before this one may have been sent under the lease
    uncertain: Rows | None = None  # reserved by lost workers and not done since

    def flags(self) -> Rows:
        if self.done is None:
            self.done = np.full(self.rows, self.done_rows == self.rows, np.bool_)
        return self.done


class OnceProgress:
    """Tracks that every row of the dataset is sent once. Rows are counted within their block."""

    def __init__(self, block_rows: Iterable[int], batch_size: int = 1) -> None:
        """`block_rows`: rows of blocks 0, 1, …; `batch_size`: rows of a request, but for the last of what is leased."""
        self._batch_size = batch_size
        self._blocks = [_Block(rows) for rows in block_rows]
        self._planned = sum(block.rows for block in self._blocks)
        self._sent = 0
        self._possible_duplicates = 0
        self._leased: dict[str, set[int]] = {}
        self._sendable: dict[str, dict[tuple[int, int], int]] = {}  # by worker: at most so many rows of each lease

    @property
    def is_complete(self) -> bool:
        """True when every row has been reported as done."""
        return self._sent == self._planned

    def lease(self, worker: str, blocks: Iterable[int]) -> None:
        """The worker may send what is left of these blocks; those that are done or leased stay as they are."""
        for number in blocks:
            block = self._blocks[number]
            if block.worker is None and block.done_rows < block.rows:
                block.lease += 1
                block.worker, block.reserved = worker, 0
                self._leased.setdefault(worker, set()).add(number)

    def leases(self, worker: str) -> list[BlockLease]:
        """Return the worker's leases. It skips those it knows, so old ones may list too many rows."""
        return [
            BlockLease(number, self._blocks[number].lease, to_ranges(~self._blocks[number].flags()))
            for number in sorted(self._leased.get(worker, ()))
        ]

    def holder(self, block: int) -> str | None:
        """Return the worker that may send rows of the block, if any."""
        return self._blocks[block].worker

    def report(self, worker: str, progress: Iterable[BlockProgress]) -> list[int]:
        """Count what the worker says; returns the blocks that it released unfinished: lease them to their owners.

        What comes late, from a worker that has lost its lease, still shows which rows are done, and no more.
        """
        given_back = []
        for entry in progress:
            if not 0 <= entry.block_id < len(self._blocks):
                continue
            block = self._blocks[entry.block_id]
            if not 0 < entry.lease <= block.lease:
                continue
            self._complete(block, entry)
            if block.worker != worker or block.lease != entry.lease:
                continue
            block.reserved = max(block.reserved, min(entry.reserved, block.rows))
            sendable = self._sendable.setdefault(worker, {})
            sendable[entry.block_id, entry.lease] = block.reserved
            if entry.is_released:
                sendable[entry.block_id, entry.lease] = sum(after - first for first, after in entry.completed)
                self._end(entry.block_id, block)
                if block.done_rows < block.rows:
                    given_back.append(entry.block_id)
        return given_back

    def lose(self, worker: str) -> list[int]:
        """The worker is gone; returns the blocks it had not finished, to be leased to others."""
        unfinished = []
        for number in sorted(self._leased.pop(worker, ())):
            block = self._blocks[number]
            block.worker = None
            if block.done_rows == block.rows:
                continue
            unfinished.append(number)
            maybe = ~block.flags()
            maybe[block.reserved :] = False
            self._possible_duplicates += int(np.count_nonzero(maybe))
            block.uncertain = maybe if block.uncertain is None else block.uncertain | maybe
        return unfinished

    def possibly_sent(self, worker: str) -> int:
        """Return how many requests the worker may have made, at most: a row is sent only after it was reserved.

        A smaller batch holds the last rows of all that is leased then, so there are at most as many as leases.
        """
        sendable = self._sendable.get(worker, {})
        rows = sum(sendable.values())
        return min(rows, rows // self._batch_size + len(sendable))

    def numbers(self) -> OnceNumbers:
        """Return the numbers for the report; they are right at any time."""
        maybe = 0
        for block in self._blocks:
            if block.done_rows < block.rows and (block.reserved or block.uncertain is not None):
                open_rows = ~block.flags()
                reserved = np.arange(block.rows) < (block.reserved if block.worker is not None else 0)
                known = reserved if block.uncertain is None else reserved | block.uncertain
                maybe += int(np.count_nonzero(open_rows & known))
        return OnceNumbers(
            planned=self._planned,
            sent=self._sent,
            maybe_sent=maybe,
            never_sent=self._planned - self._sent - maybe,
            possible_duplicates=self._possible_duplicates,
        )

    def _complete(self, block: _Block, entry: BlockProgress) -> None:
        if block.done_rows == block.rows or not entry.completed:
            return
        flags = block.flags()
        set_ranges(flags, entry.completed)
        now = int(np.count_nonzero(flags))
        self._sent += now - block.done_rows
        block.done_rows = now
        if now == block.rows:
            block.done = block.uncertain = None  # a finished block needs no flags

    def _end(self, number: int, block: _Block) -> None:
        if block.worker is not None:
            self._leased[block.worker].discard(number)
        block.worker = None
        block.reserved = 0
