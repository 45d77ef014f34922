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
    """The rows of one worker, None where it has not said: it owns `blocks`, `ready_rows` wait in its memory."""

    blocks: int = 0
    rows: int | None = None
    ready_rows: int | None = None
    ready_bytes: int | None = None
    is_ready: bool = False


class RunRows:
    """The blocks of one run. What must be said to workers because of an event gathers in `take_messages`."""

    def __init__(self, run_id: str, block_rows: Sequence[int], offer: RunOffer, *, is_once: bool) -> None:
        """`block_rows`: rows of blocks 0, 1, …"""
        self._run_id = run_id
        self._offer = offer
        self._ledger = Ledger(len(block_rows))
        self._once = OnceProgress(block_rows) if is_once else None
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
        """Those that hold blocks or are to hold some, in order of joining."""
        return self._ledger.workers

    def start(self, workers: Iterable[str]) -> None:
        """Every block is given to one of these."""
        names = list(workers)
        self._apply(self._ledger.start(names), *names)

    def join(self, worker: str) -> None:
        """It takes over some blocks: it loads them first, and their former owners serve them until it has."""
        self._offered.discard(worker)
        self._touched.add(worker)
        self._apply(self._ledger.join(worker), worker)

    def leave(self, worker: str) -> None:
        """It is to hold nothing any more: others load its blocks; what rows it may still send it gives back itself."""
        if worker in self._ledger:
            self._loaded.pop(worker, None)
            self._touched.add(worker)
            self._apply(self._ledger.leave(worker), worker)

    def lose(self, worker: str) -> None:
        """It is gone, and what it had not reported with it."""
        if self._once is not None:
            self._free.update(self._once.lose(worker))
        self._offered.discard(worker)
        self.leave(worker)
        self._touched.discard(worker)
        self._lease_free()

    # what workers say

    def ready(self, worker: str, message: RowsReady) -> int:
        """Returns how many blocks are news."""
        self._loaded[worker] = (message.rows, message.held_bytes)
        return self.confirm(worker, message.generation)

    def confirm(self, worker: str, generation: int) -> int:
        """The worker has all that it was told up to the generation. Returns how many blocks are news."""
        if worker not in self._ledger or not self._ledger.unconfirmed(worker):
            return 0
        change = self._ledger.confirm(worker, generation)
        self._apply(change, worker)
        return len(change.moves)

    def loading(self, worker: str, message: RowsLoading) -> None:
        """For those who watch."""
        self._loaded[worker] = (message.loaded_rows, message.held_bytes)

    def once_report(self, worker: str, report: OnceReport) -> None:
        """Order once: which rows are done, which may be sent next, which leases have ended."""
        if self._once is not None:
            self._free.update(self._once.report(worker, report.progress()))
            self._lease_free()

    def repeat(self, worker: str) -> None:
        """What the worker was told last seems to be lost: say it again."""
        self._offered.discard(worker)
        self._touched.add(worker)

    # what follows from it

    @property
    def is_settled(self) -> bool:
        """Every block is ready at the worker it is meant for."""
        return self._ledger.is_settled

    @property
    def is_all_sent(self) -> bool:
        """Order once: no row is left."""
        return self._once is not None and self._once.is_complete

    def hosts(self) -> tuple[str, ...]:
        """Workers that have rows ready, so that they can run users."""
        return tuple(worker for worker in self._ledger.workers if worker in self._serving)

    def once_numbers(self) -> OnceNumbers | None:
        """The account of order once, if that is the order."""
        return self._once.numbers() if self._once is not None else None

    def pending_workers(self) -> list[str]:
        """Workers that have not confirmed what they were told to load."""
        return [worker for worker in self._ledger.workers if self._ledger.unconfirmed(worker)]

    def describe(self) -> str:
        """How far loading is, for the console."""
        workers = self._ledger.workers
        ready = sum(not self._ledger.unconfirmed(worker) for worker in workers)
        rows = sum(rows for rows, _ in self._loaded.values())
        held_bytes = sum(held for _, held in self._loaded.values())
        return (
            f"{ready} of {len(workers)} workers ready, {rows:,} of {sum(self._rows):,} rows, {held_bytes / 1e6:,.1f} MB"
        )

    def states(self) -> dict[str, RowsState]:
        """For those who watch."""
        return {worker: self._state(worker) for worker in self._ledger.workers}

    def take_messages(self) -> list[tuple[str, HoldRows]]:
        """What is to be said now, to whom."""
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
        """Gives the right to send to the owners of blocks that nobody may send."""
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
