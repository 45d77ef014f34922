"""The rows of one run over its workers: who holds which blocks, who may send which rows, how far loading is.

Pure: events about workers go in, `HoldRows` messages come out. The accounts are ledger.py and once.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inference_swarm.cluster.ledger import Change, Ledger
from inference_swarm.cluster.once import OnceProgress
from inference_swarm.cluster.protocol import (
    HoldRows,
    OnceReport,
    RowsLoading,
    RowsReady,
    RunOffer,
    leases_of,
    ranges_of,
)
from inference_swarm.data.progress import OnceNumbers


@dataclass(frozen=True, slots=True)
class RowsState:
    """The rows of one worker, None where it has not reported: it owns `blocks`, `ready_rows` are in its memory."""

    blocks: int = 0
    rows: int | None = None
    ready_rows: int | None = None
    ready_bytes: int | None = None
    is_ready: bool = False


class RunRows:
    """The blocks of one run. Messages that an event makes due collect in `take_messages`."""

    def __init__(
        self, run_id: str, block_rows: Sequence[int], offer: RunOffer, *, is_once: bool, batch_size: int = 1
    ) -> None:
        """`block_rows`: rows of blocks 0, 1, …; `batch_size`: rows of a request."""
        self._run_id = run_id
        self._offer = offer
        self._ledger = Ledger(len(block_rows))
        self._once = OnceProgress(block_rows, batch_size) if is_once else None
        self._free = set(range(len(block_rows))) if is_once else set()  # nobody may send these, and they are not done
        self._offered: set[str] = set()
        self._touched: set[str] = set()
        self._rows = list(block_rows)
        self._loaded: dict[str, tuple[int, int]] = {}
        self._serving: set[str] = set()
        self.is_changed = False
        """Other workers have rows ready than when this was last set to False."""

    # who takes part

    @property
    def workers(self) -> tuple[str, ...]:
        """The workers that hold blocks or are to hold some, in order of joining."""
        return self._ledger.workers

    def start(self, workers: Iterable[str]) -> None:
        """Assign every block to one of these workers."""
        names = list(workers)
        self._apply(self._ledger.start(names), *names)

    def join(self, *workers: str) -> None:
        """Let workers take over some blocks: they load them first, and the former owners serve them until then."""
        self._offered.difference_update(workers)
        self._touched.update(workers)
        self._apply(self._ledger.join(*workers), *workers)

    def leave(self, worker: str) -> None:
        """Let a worker hold nothing any more: others load its blocks; it releases its leases itself."""
        if worker in self._ledger:
            self._loaded.pop(worker, None)
            self._touched.add(worker)
            self._apply(self._ledger.leave(worker), worker)

    def lose(self, worker: str) -> None:
        """The worker is gone, and with it what it had not reported."""
        if self._once is not None:
            self._free.update(self._once.lose(worker))
        self._offered.discard(worker)
        self.leave(worker)
        self._touched.discard(worker)
        self._lease_free()

    # what workers say

    def ready(self, worker: str, message: RowsReady) -> int:
        """Take in what a worker has ready. Returns how many blocks are newly ready."""
        self._loaded[worker] = (message.rows, message.held_bytes)
        return self.confirm(worker, message.generation)

    def confirm(self, worker: str, generation: int) -> int:
        """The worker has everything it was assigned up to the generation. Returns how many blocks are newly ready."""
        if worker not in self._ledger or not self._ledger.unconfirmed(worker):
            return 0
        change = self._ledger.confirm(worker, generation)
        self._apply(change, worker)
        return len(change.moves)

    def loading(self, worker: str, message: RowsLoading) -> None:
        """Loading and rows of each worker, for viewers."""
        self._loaded[worker] = (message.loaded_rows, message.held_bytes)

    def once_report(self, worker: str, report: OnceReport) -> None:
        """Order once: which rows are done, which may be sent next, which leases have ended."""
        if self._once is not None:
            self._free.update(self._once.report(worker, report.progress()))
            self._lease_free()

    def repeat(self, worker: str) -> None:
        """Send the worker's last order again, which seems to be lost."""
        self._offered.discard(worker)
        self._touched.add(worker)

    # what follows from it

    @property
    def is_settled(self) -> bool:
        """True when every block is ready at the worker it is meant for."""
        return self._ledger.is_settled

    @property
    def is_all_sent(self) -> bool:
        """Order once: True when no row is left."""
        return self._once is not None and self._once.is_complete

    def hosts(self) -> tuple[str, ...]:
        """The workers that have rows ready, so that they can run users."""
        return tuple(worker for worker in self._ledger.workers if worker in self._serving)

    @property
    def has_hosts(self) -> bool:
        """True when some worker has rows ready."""
        return bool(self._serving)

    def is_host(self, worker: str) -> bool:
        """Return whether the worker has rows ready."""
        return worker in self._serving

    def once_numbers(self) -> OnceNumbers | None:
        """Return the account of order once, if that is the order."""
        return self._once.numbers() if self._once is not None else None

    def possibly_sent(self, worker: str) -> int | None:
        """Order once: how many requests the worker may have made, at most; None for other orders."""
        return self._once.possibly_sent(worker) if self._once is not None else None

    def pending_workers(self) -> list[str]:
        """Return the workers that have not confirmed their assignment."""
        return [worker for worker in self._ledger.workers if self._ledger.unconfirmed(worker)]

    def describe(self) -> str:
        """Return how far loading is, for the console."""
        workers = self._ledger.workers
        ready = sum(not self._ledger.unconfirmed(worker) for worker in workers)
        rows = sum(rows for rows, _ in self._loaded.values())
        held_bytes = sum(held for _, held in self._loaded.values())
        return (
            f"{ready} of {len(workers)} workers ready, {rows:,} of {sum(self._rows):,} rows, {held_bytes / 1e6:,.1f} MB"
        )

    def states(self) -> dict[str, RowsState]:
        """Loading and rows of each worker, for viewers."""
        return {worker: self._state(worker) for worker in self._ledger.workers}

    def take_messages(self) -> list[tuple[str, HoldRows]]:
        """Return the messages that are due now, by worker."""
        if not self._touched:
            return []
        touched, self._touched = self._touched, set()
        return [(worker, self._message(worker)) for worker in sorted(touched)]

    def _state(self, worker: str) -> RowsState:
        blocks = self._ledger.hold(worker)
        rows, held_bytes = self._loaded.get(worker, (None, None))
        is_ready = not self._ledger.unconfirmed(worker)
        return RowsState(len(blocks), sum(self._rows[block] for block in blocks), rows, held_bytes, is_ready)

    def _apply(self, change: Change, *concerned: str) -> None:
        self._touched.update(change.touched)
        for worker in {*change.touched, *concerned}:
            if self._ledger.serves(worker) != (worker in self._serving):
                self._serving ^= {worker}
                self.is_changed = True
        self._lease_free()

    def _lease_free(self) -> None:
        """Lease blocks that nobody may send to their owners."""
        if self._once is None:
            return
        for block in sorted(self._free):
            owner = self._ledger.owner(block)
            if owner is not None:
                self._once.lease(owner, [block])
                self._free.discard(block)
                self._touched.add(owner)

    def _message(self, worker: str) -> HoldRows:
        leases = leases_of(self._once.leases(worker)) if self._once is not None else ()
        offer = None if worker in self._offered else self._offer
        self._offered.add(worker)
        return HoldRows(self._run_id, self._ledger.generation, ranges_of(self._ledger.hold(worker)), leases, offer)
