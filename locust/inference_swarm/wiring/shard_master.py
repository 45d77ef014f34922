"""The master's side of one run's rows: which worker holds which blocks, who may send which rows, how far loading is.

Events about workers go in, assignments go out through the runner. The bookkeeping is cluster/ledger.py and
cluster/once.py.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from inference_swarm.cluster.data_messages import (
    Message,
    OnceAck,
    OnceReport,
    ShardAssign,
    ShardFailed,
    ShardProgress,
    ShardReady,
    ShardSettings,
    ranges_of,
)
from inference_swarm.cluster.ledger import Change, Ledger
from inference_swarm.cluster.master_runner import SwarmMasterRunner
from inference_swarm.cluster.once import OnceProgress
from inference_swarm.config.settings import Settings
from inference_swarm.data.manifest import Manifest
from inference_swarm.data.manifest_wire import manifest_to_wire
from inference_swarm.data.progress import OnceNumbers
from inference_swarm.web.state import ShardState

logger = logging.getLogger(__name__)
M = TypeVar("M", ShardReady, ShardFailed, ShardProgress, OnceReport)


class ShardMaster:
    """The blocks of one run. `on_change` is called after everything that may matter to those who wait."""

    def __init__(
        self,
        runner: SwarmMasterRunner,
        run_id: str,
        manifest: Manifest,
        settings: Settings,
        on_change: Callable[[], None],
    ) -> None:
        self.failures: dict[str, str] = {}
        self._runner = runner
        self._run_id = run_id
        self._manifest = manifest
        self._on_change = on_change
        self._settings = ShardSettings(manifest=manifest_to_wire(manifest), settings=settings.to_dict())
        self._ledger = Ledger(len(manifest.blocks))
        self._once = OnceProgress(block.rows for block in manifest.blocks) if settings.row_order == "once" else None
        self._free = set(range(len(manifest.blocks)))  # order once: nobody may send these, and they are not done
        self._told: set[str] = set()
        self._loaded: dict[str, tuple[int, int]] = {}  # rows and bytes that a worker has in memory
        self._began_s = time.monotonic()
        self._is_ended = False

    @property
    def is_settled(self) -> bool:
        """Every block is ready at the worker it is meant for."""
        return self._ledger.is_settled

    @property
    def once(self) -> OnceNumbers | None:
        """The account of order once, if that is the order."""
        return self._once.numbers() if self._once is not None else None

    @property
    def is_all_sent(self) -> bool:
        """Order once: no row is left."""
        return self._once is not None and self._once.is_complete

    def serving(self) -> tuple[str, ...]:
        """Workers that have rows to send."""
        return tuple(worker for worker in self._ledger.workers if self._ledger.serves(worker))

    def late(self) -> list[str]:
        """Workers that have not loaded all they were told to."""
        return [worker for worker in self._ledger.workers if self._ledger.unconfirmed(worker)]

    def states(self) -> dict[str, ShardState]:
        """How far loading is, for the web UI."""
        found = {}
        for worker in self._ledger.workers:
            blocks = [block for block in self._ledger.hold(worker) if self._ledger.owner(block) == worker]
            rows = sum(self._manifest.blocks[block].rows for block in blocks)
            ready_rows, ready_bytes = self._loaded.get(worker, (None, None))
            is_ready = not self._ledger.unconfirmed(worker)
            found[worker] = ShardState(len(blocks), rows, ready_rows, ready_bytes, is_ready)
        return found

    def describe(self) -> str:
        """How far loading is, for the console."""
        workers = self._ledger.workers
        ready = sum(not self._ledger.unconfirmed(worker) for worker in workers)
        rows = sum(rows for rows, _ in self._loaded.values())
        held_bytes = sum(held for _, held in self._loaded.values())
        return (
            f"{ready} of {len(workers)} workers ready, {rows:,} of {self._manifest.rows:,} rows, "
            f"{held_bytes / 1e6:,.1f} MB, {time.monotonic() - self._began_s:.1f} s"
        )

    def end(self) -> None:
        """The run ends: what is given back from now on is given to nobody."""
        self._is_ended = True

    # workers

    def start(self, workers: Iterable[str]) -> None:
        """Every block is given to one of these."""
        self._apply(self._ledger.start(workers))

    def join(self, worker: str) -> None:
        """It takes over some blocks: it loads them first, and their former owners serve them until it has."""
        self._told.discard(worker)
        self._apply(self._ledger.join(worker))

    def leave(self, worker: str) -> None:
        """It goes in good order: others load its blocks; what rows it may still send is its own to give back."""
        self._loaded.pop(worker, None)
        self._apply(self._ledger.leave(worker))

    def lose(self, worker: str) -> None:
        """It is gone, and what it had not reported with it."""
        if self._once is not None:
            self._free.update(self._once.lose(worker))
        self._told.discard(worker)
        self.leave(worker)

    # messages, each answered at once

    def on_ready(self, worker: str, wire: object) -> None:
        ready = self._read(ShardReady, wire)
        if ready is None:
            return
        is_news = self._ledger.unconfirmed(worker) if worker in self._ledger.workers else 0
        self._loaded[worker] = (ready.rows, ready.held_bytes)
        self._apply(self._ledger.confirm(worker, ready.generation))
        if is_news:
            window = ", through a window" if ready.is_windowed else ""
            logger.info("Worker %s has its %d rows ready after %.1f s%s", worker, ready.rows, ready.seconds, window)

    def on_progress(self, worker: str, wire: object) -> None:
        progress = self._read(ShardProgress, wire)
        if progress is not None:
            self._loaded[worker] = (progress.loaded_rows, progress.held_bytes)

    def on_failed(self, worker: str, wire: object) -> None:
        failed = self._read(ShardFailed, wire)
        if failed is not None:
            logger.error("Worker %s could not load its rows: %s", worker, failed.reason)
            self.failures[worker] = failed.reason
            self._on_change()

    def on_once_report(self, worker: str, wire: object) -> None:
        report = self._read(OnceReport, wire)
        if report is None or self._once is None:
            return
        self._free.update(self._once.report(worker, report.progress()))
        self._send(worker, OnceAck(run_id=self._run_id, sequence=report.sequence))
        self._lease_free()
        if self._once.is_complete:
            self._on_change()

    def _read(self, kind: type[M], wire: object) -> M | None:
        """The message, unless it is one of another run."""
        message = kind.from_wire(wire)
        return message if message.run_id == self._run_id else None

    def _apply(self, change: Change) -> None:
        touched = set(change.touched)
        if self._once is not None:
            touched |= self._lease()
        if not self._is_ended:
            for worker in touched:
                self._assign(worker)
        self._on_change()

    def _lease_free(self) -> None:
        for worker in self._lease():
            self._assign(worker)

    def _lease(self) -> set[str]:
        """Gives the right to send to the owners of blocks that nobody may send; answers who got any."""
        got: set[str] = set()
        if self._once is None or self._is_ended:
            return got
        for block in sorted(self._free):
            owner = self._ledger.owner(block)
            if owner is not None:
                self._once.lease(owner, [block])
                self._free.discard(block)
                got.add(owner)
        return got

    def _assign(self, worker: str) -> None:
        leases = ShardAssign.leases_of(self._once.leases(worker)) if self._once is not None else ()
        assign = ShardAssign(
            run_id=self._run_id,
            generation=self._ledger.generation,
            blocks=ranges_of(self._ledger.hold(worker)),
            leases=leases,
            settings=None if worker in self._told else self._settings,
        )
        self._told.add(worker)
        self._send(worker, assign)

    def _send(self, worker: str, message: Message) -> None:
        self._runner.send_ours(worker, message)


def register(runner: SwarmMasterRunner, current: Callable[[], ShardMaster | None]) -> None:
    """Routes the workers' messages about rows to the run under way, if there is one."""

    def listen(kind: type[Message], handle: Callable[[ShardMaster, str, object], None]) -> None:
        def on_message(msg: Any, **_: Any) -> None:
            shards = current()
            if shards is None:
                kind.from_wire(msg.data)  # what is broken is counted also between runs
            else:
                handle(shards, msg.node_id, msg.data)

        runner.register_message(kind.type, on_message)

    listen(ShardReady, ShardMaster.on_ready)
    listen(ShardProgress, ShardMaster.on_progress)
    listen(ShardFailed, ShardMaster.on_failed)
    listen(OnceReport, ShardMaster.on_once_report)
