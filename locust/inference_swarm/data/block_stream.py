"""Reads and encodes blocks one after the other, going on where the last one ended if they follow each other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Protocol

import pyarrow as pa

from inference_swarm.data.block_cache import Block, EncodedBlock
from inference_swarm.data.packed import PackedBodies
from inference_swarm.data.truth import BlockTruth
from inference_swarm.errors import DataError


class Reader(Protocol):
    """Block, rows, truth (or None) of blocks of one row group, in order: `partial(truth.iter_with_truth, manifest)`."""

    def __call__(self, blocks: Sequence[Any], /) -> Iterator[tuple[Any, pa.Table, BlockTruth | None]]: ...


class BlockStream:
    """Continues reading while blocks are requested in their order. Used by one task at a time."""

    def __init__(self, read: Reader, encode: Callable[[pa.Table], PackedBodies]) -> None:
        self._read = read
        self._encode = encode
        self._tables: Iterator[tuple[Any, pa.Table, BlockTruth | None]] = iter(())
        self._next = -1  # id of the block that comes next, if it does
        self._last = -2  # id of the last block of the run

    def load(self, block: Block, run: Sequence[Block]) -> EncodedBlock:
        if block.id != self._next or block.id > self._last:
            self.close()
            self._tables = iter(self._read(run))
            self._last = run[-1].id
        self._next = -1
        read, table, truth = next(self._tables)
        bodies = self._encode(table)
        del table
        if read.id != block.id or len(bodies) != block.rows:
            raise DataError(
                f"Block {block.id} was read as block {read.id} with {len(bodies)} rows.",
                expected=f"{block.rows} rows, as in the manifest",
                action="Do not change the dataset during a run; start the run again.",
            )
        self._next = block.id + 1
        if block.id == self._last:
            self.close()  # releases the file, and of the dictionaries of its columns: up to 1 MB each
            pa.default_memory_pool().release_unused()  # 50 MB at 35 columns; mimalloc does it for this thread alone
        return EncodedBlock(block, bodies, truth)

    def close(self) -> None:
        if isinstance(self._tables, Generator):
            self._tables.close()
        self._tables = iter(())
