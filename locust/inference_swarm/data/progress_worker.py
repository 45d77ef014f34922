"""The worker's side of order `once`: leases in, rows that may be sent now out; completed rows in, reports out.

Pure: the edge sends the reports, about twice a second and when `wants_report`, and passes on the acknowledgements.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from inference_swarm.data.progress import BlockLease, BlockProgress, Rows, set_ranges, to_ranges

MIN_AHEAD = 1024  # rows reserved beyond what has been given out, however slow the target
MIN_AHEAD_BATCHES = 4


class _Leased:
    """One lease: `rows` to send in ascending order, of which the first `given` are out and `allowed` may go out."""

    __slots__ = ("allowed", "changed_at", "completed", "given", "in_flight", "is_leaving", "lease", "reserved", "rows")

    def __init__(self, lease: BlockLease) -> None:
        size = max((after for _, after in lease.rows), default=0)
        flags: Rows = np.zeros(size, np.bool_)
        set_ranges(flags, lease.rows)
        self.lease = lease.lease
        self.rows: list[int] = np.flatnonzero(flags).tolist()
        self.completed: Rows = np.zeros(size, np.bool_)
        self.given = self.allowed = self.reserved = self.in_flight = 0
        self.is_leaving = False
        self.changed_at = 0  # number of the first report that says what is new

    @property
    def is_given_out(self) -> bool:
        return self.is_leaving or self.given == len(self.rows)


class OnceShare:
    """What this worker may still send. Row numbers here are within their block."""

    def __init__(self, batch_size: int = 1) -> None:
        """`batch_size`: rows that are given out together."""
        self._leases: dict[int, _Leased] = {}
        self._replaced: dict[int, set[int]] = {}  # rows in flight under leases that a later one has replaced
        self._ended: dict[int, int] = {}  # block → highest lease that was released or finished
        self._sequence = 0  # of the last report
        self._reserved_in: dict[int, list[tuple[int, _Leased, int]]] = {}
        self._given_since_report = 0
        self._min_ahead = self._ahead = max(MIN_AHEAD, MIN_AHEAD_BATCHES * batch_size)

    @property
    def is_done(self) -> bool:
        """Every leased row has ended, was reported and acknowledged, or the lease was released."""
        return not self._leases

    @property
    def is_given_out(self) -> bool:
        """No leased row is left to be sent."""
        return all(leased.is_given_out for leased in self._leases.values())

    @property
    def wants_report(self) -> bool:
        """True when the rows that may be sent are about to run out, or when a lease has just ended."""
        room = spare = 0
        for leased in self._leases.values():
            if leased.is_given_out:
                if not leased.in_flight and leased.changed_at > self._sequence:
                    return True
                continue
            room += len(leased.rows) - max(leased.reserved, leased.given)
            spare += leased.reserved - leased.given
        return room > 0 and spare < self._ahead // 4

    def lease(self, leases: Iterable[BlockLease]) -> list[int]:
        """Take up leases; known and ended ones are skipped, so the list may come again. Returns the new blocks."""
        fresh = []
        for lease in leases:
            known = self._leases.get(lease.block_id)
            if lease.lease <= self._ended.get(lease.block_id, 0) or (known and lease.lease <= known.lease):
                continue
            if known is not None and known.in_flight:
                # The master had marked this worker lost; what it sent under the former lease may still end.
                rows = known.rows[: known.given]
                self._replaced.setdefault(lease.block_id, set()).update(r for r in rows if not known.completed[r])
            leased = self._leases[lease.block_id] = _Leased(lease)
            leased.changed_at = self._sequence + 1
            fresh.append(lease.block_id)
        return fresh

    def release(self, blocks: Iterable[int]) -> None:
        """Give out no more rows of these; the report gives the lease back as soon as none of them is in flight."""
        for block in blocks:
            leased = self._leases.get(block)
            if leased is not None and not leased.is_leaving:
                leased.is_leaving = True
                leased.changed_at = self._sequence + 1

    def give(self, block: int) -> list[int]:
        """Rows of the block that may be sent now and were not given before; they count as given when `sent` says so."""
        leased = self._leases.get(block)
        if leased is None or leased.is_leaving:
            return []
        return leased.rows[leased.given : leased.allowed]

    def sent(self, block: int, count: int = 1) -> None:
        """The next rows of the block, in the order of `give`, are in flight, or in a batch that will be."""
        leased = self._leases[block]
        leased.given += count
        leased.in_flight += count
        self._given_since_report += count

    def take_back(self, block: int, row: int) -> None:
        """The row, of those that were given last and are in no request yet, will not be sent."""
        if row in self._replaced.get(block, ()):
            self._replaced[block].discard(row)
            return
        leased = self._leases[block]
        leased.given -= 1
        leased.in_flight -= 1
        leased.changed_at = self._sequence + 1

    def done(self, block: int, row: int) -> None:
        """The request of the row has ended, well or not."""
        if row in self._replaced.get(block, ()):
            self._replaced[block].discard(row)
            return
        leased = self._leases[block]
        leased.completed[row] = True
        leased.in_flight -= 1
        leased.changed_at = self._sequence + 1

    def has_rows(self, block: int) -> bool:
        """True when rows of the block are leased and not all given out."""
        leased = self._leases.get(block)
        return leased is not None and not leased.is_given_out

    def may_send(self, block: int) -> bool:
        """True when `give` has rows."""
        leased = self._leases.get(block)
        return leased is not None and not leased.is_leaving and leased.given < leased.allowed

    def is_spent(self, block: int) -> bool:
        """True when the block was leased and no row of it is left to send, so its requests need not be in memory."""
        leased = self._leases.get(block)
        return leased.is_given_out if leased is not None else block in self._ended

    def report(self) -> tuple[int, list[BlockProgress]]:
        """Sequence number and all that the master has not acknowledged; reserves the rows that come next."""
        self._sequence += 1
        self._ahead = max(self._min_ahead, 2 * self._given_since_report)
        self._given_since_report = 0
        self._reserve(self._ahead)
        progress = []
        reserved = []
        for block, leased in sorted(self._leases.items()):
            if not leased.changed_at:
                continue
            is_ended = leased.is_given_out and not leased.in_flight
            limit = leased.rows[leased.reserved - 1] + 1 if leased.reserved else 0
            progress.append(BlockProgress(block, leased.lease, limit, to_ranges(leased.completed), is_ended))
            reserved.append((block, leased, leased.reserved))
        self._reserved_in[self._sequence] = reserved
        return self._sequence, progress

    def acknowledged(self, sequence: int) -> None:
        """The master has the report: what it reserved may be sent, what it ended is over."""
        for earlier in [number for number in self._reserved_in if number < sequence]:
            del self._reserved_in[earlier]  # a report holds all that those before it held
        for block, leased, reserved in self._reserved_in.pop(sequence, ()):
            if self._leases.get(block) is not leased:
                continue
            leased.allowed = max(leased.allowed, reserved)
            if leased.changed_at > sequence:
                continue
            leased.changed_at = 0
            if leased.is_given_out and not leased.in_flight:
                del self._leases[block]
                self._ended[block] = leased.lease

    def _reserve(self, ahead: int) -> None:
        for leased in self._leases.values():  # in the order in which they came, as rows are taken
            if leased.is_given_out:
                continue
            wanted = min(len(leased.rows), max(leased.reserved, leased.given + max(ahead, 0)))
            ahead -= wanted - leased.given
            if wanted > leased.reserved:
                leased.reserved = wanted
                leased.changed_at = self._sequence
            if ahead <= 0:
                return
