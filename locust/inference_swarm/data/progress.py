"""Values that the two sides of order `once` share: row ranges of a block, and what a worker reports about one.

A worker never sends a row that it has not reserved with the master and had acknowledged, so what a lost worker may
have sent without saying so is exactly: reserved, leased to it, and not reported as completed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Range = tuple[int, int]  # first, after the last; rows are counted within their block
Rows = npt.NDArray[np.bool_]  # one flag per row of a block


def to_ranges(flags: Rows) -> tuple[Range, ...]:
    """The runs of set flags."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.view(np.int8), [0]))))
    return tuple(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def set_ranges(flags: Rows, ranges: Iterable[Range]) -> None:
    """Set the flags in the ranges; what lies outside of the block is ignored."""
    for first, after in ranges:
        flags[max(first, 0) : max(after, 0)] = True


@dataclass(frozen=True, slots=True)
class BlockLease:
    """The right to send these rows of a block. `lease` distinguishes grants of the same block to the same worker."""

    block_id: int
    lease: int
    rows: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class BlockProgress:
    """Cumulative over the lease: the rows that are done, the row before which it may send, and whether it has ended."""

    block_id: int
    lease: int
    reserved: int
    completed: tuple[Range, ...]
    is_released: bool = False


@dataclass(frozen=True, slots=True)
class OnceNumbers:
    """`planned` = `sent` + `maybe_sent` + `never_sent`. Sent means that the request was made, whatever the response.

    maybe_sent: reserved by a worker that has not reported them as done (in flight, or it was lost).
    possible_duplicates: rows that lost workers may have sent without a report, which are assigned to others.
    """

    planned: int
    sent: int
    maybe_sent: int
    never_sent: int
    possible_duplicates: int
