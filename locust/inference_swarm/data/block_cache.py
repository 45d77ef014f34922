"""The block cache: which blocks of a shard are in memory, which comes next, which goes, within a byte budget. Pure.

A shard that fits the budget is in memory whole. Of a larger one some blocks are (the resident set), and they rotate:
blocks are visited in playlists (one an epoch), so over time every block is resident equally often.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import numpy as np

from inference_swarm.data.orders import Compose, Taken
from inference_swarm.data.packed import Heads, PackedBodies, Requests
from inference_swarm.data.truth import BlockTruth


class Playlist:
    """The endless (or, for `once`, single) sequence of (epoch, block) to visit; blocks may come and go meanwhile."""

    def __init__(self, *, is_endless: bool, seed: Sequence[int] | None, unit: Callable[[int], Hashable]) -> None:
        """`seed` None: ascending; else the units (row groups, which read cheaply in one go) are shuffled each epoch."""
        self._is_endless = is_endless
        self._seed = seed
        self._unit = unit
        self._blocks: set[int] = set()
        self._epoch = -1  # of the last entry planned
        self.upcoming: deque[tuple[int, int]] = deque()

    def add(self, blocks: Iterable[int]) -> None:
        """New blocks come after all that is planned for the epoch under way, and in every later one."""
        fresh = sorted(set(blocks) - self._blocks)
        self._blocks.update(fresh)
        if not fresh:
            return
        current = self.upcoming[0][0] if self.upcoming else max(self._epoch, 0)
        kept = [entry for entry in self.upcoming if entry[0] == current]
        self.upcoming = deque(kept + [(current, block) for block in self._arrange(fresh, current)])
        self._epoch = current

    def remove(self, blocks: Iterable[int]) -> None:
        """The blocks are not visited any more."""
        gone = set(blocks)
        self._blocks -= gone
        self.upcoming = deque(entry for entry in self.upcoming if entry[1] not in gone)

    def visit(self, blocks: Sequence[int]) -> None:
        """Mark blocks of the epoch under way as visited."""
        if len(blocks) == 1 and self.upcoming[0][1] == blocks[0]:
            self.upcoming.popleft()
        else:
            epoch, visited = self.upcoming[0][0], set(blocks)
            self.upcoming = deque(entry for entry in self.upcoming if entry[0] != epoch or entry[1] not in visited)
        self.plan_ahead()

    def plan_ahead(self) -> None:
        """Have at least the next epoch's entries planned, so that loading can look over the end of this one."""
        while self._is_endless and self._blocks and len(self.upcoming) <= len(self._blocks):
            self._epoch += 1
            self.upcoming.extend((self._epoch, block) for block in self._arrange(sorted(self._blocks), self._epoch))

    def _arrange(self, blocks: Sequence[int], epoch: int) -> list[int]:
        if self._seed is None:
            return list(blocks)
        units = [list(group) for _, group in groupby(blocks, key=self._unit)]
        order = np.random.default_rng([*self._seed, epoch]).permutation(len(units))
        return [block for index in order for block in units[index]]


class Budget:
    """Estimates what blocks cost in memory from those encoded so far."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self._seen_bytes = 0
        self._seen_rows = 0

    def hold(self, cost_bytes: int, rows: int) -> None:
        """Account for a block that came into memory."""
        self.held_bytes += cost_bytes
        self._seen_bytes += cost_bytes
        self._seen_rows += rows

    def free(self, cost_bytes: int) -> None:
        """Account for a block that left memory."""
        self.held_bytes -= cost_bytes

    def estimate_bytes(self, rows: int) -> int:
        """Return the bytes that N rows will cost; 0 before the first block has been seen."""
        return self._seen_bytes * rows // self._seen_rows if self._seen_rows else 0

    def fits(self, rows: int) -> bool:
        """Return whether a shard of N rows can be held whole (as far as is known)."""
        return self.estimate_bytes(rows) <= self.limit_bytes

    def has_room(self, rows: int) -> bool:
        """Return whether N more rows can be held."""
        return self.held_bytes + self.estimate_bytes(rows) <= self.limit_bytes


class Block(Protocol):
    """The parts of a manifest's block that are needed here."""

    @property
    def id(self) -> int: ...
    @property
    def file_index(self) -> int: ...
    @property
    def row_group(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def first_row(self) -> int: ...


@dataclass(frozen=True, slots=True)
class EncodedBlock:
    """The bodies of a block, one a row, and what answers to them are compared with, if there is anything."""

    block: Block
    bodies: PackedBodies
    truth: BlockTruth | None = None

    @property
    def cost_bytes(self) -> int:
        """Memory in use."""
        return self.bodies.cost_bytes + (0 if self.truth is None else self.truth.cost_bytes)


class BlockCache(ABC):
    """The blocks of a shard: `assigned` are to be held (all, or by turns), `held` are in memory."""

    take: Callable[[], bytes | None]
    take_rows: Callable[[], Taken | None]
    find_rows: Callable[[bytes], Sequence[int]]
    """The rows of a request that was taken lately; empty if they are not known any more."""

    def __init__(self, budget: Budget, heads: Heads) -> None:
        self.budget = budget
        self._heads = heads
        self.assigned: dict[int, Block] = {}
        self.held: dict[int, EncodedBlock] = {}
        self.rows = 0  # of the assigned blocks
        self._evicted: deque[BlockTruth] = deque(maxlen=16)  # a batch that has begun may hold rows of the last ones

    @property
    def fits(self) -> bool:
        """True when the whole shard may be in memory."""
        return self.budget.fits(self.rows)

    def compose_with(self, make: Callable[[], Compose]) -> bool:
        """Have `take` compose its requests so; False, with nothing done, where it goes by rows one by one."""
        return False

    def assign(self, blocks: Iterable[Block]) -> tuple[list[int], list[int]]:
        """Assign exactly these blocks. Returns the new ones and the removed ones, whose rows are taken no more."""
        wanted = {block.id: block for block in blocks}
        fresh = sorted(wanted.keys() - self.assigned.keys())
        gone = sorted(self.assigned.keys() - wanted.keys())
        withdrawn = [self.assigned[number] for number in gone]
        self.assigned = dict(sorted(wanted.items()))
        self.rows = sum(block.rows for block in wanted.values())
        if gone:
            self._withdraw(withdrawn)
        return fresh, gone

    def put(self, encoded: EncodedBlock) -> None:
        """Install a block that has been encoded."""
        self.held[encoded.block.id] = encoded
        self.budget.hold(encoded.cost_bytes, len(encoded.bodies))
        self._place(encoded)

    def evict(self, block_id: int) -> None:
        """Free the memory of a block, if it is held."""
        encoded = self.held.pop(block_id, None)
        if encoded is not None:
            self.budget.free(encoded.cost_bytes)
            if encoded.truth is not None:
                self._evicted.append(encoded.truth)

    def _requests_of(self, blocks: Iterable[EncodedBlock]) -> Requests:
        chosen = list(blocks)
        kept = [encoded.truth for encoded in chosen if encoded.truth is not None]
        return Requests(((encoded.block.first_row, encoded.bodies) for encoded in chosen), self._heads, kept)

    @abstractmethod
    def next_block(self) -> Block | None:
        """Return the block to read and encode now; None: nothing to do until rows are taken or blocks assigned."""

    @abstractmethod
    def _place(self, encoded: EncodedBlock) -> None: ...

    @abstractmethod
    def _withdraw(self, gone: Sequence[Block]) -> None: ...
