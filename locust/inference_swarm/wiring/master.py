"""The master: gives every block to a worker before the first user, merges reports, writes the results at the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from gevent.event import Event
from locust.env import Environment

from inference_swarm.config.command_line import CommandLine
from inference_swarm.data.ledger import Change, Ledger
from inference_swarm.errors import DataError, ProtocolError, SwarmError
from inference_swarm.load.runners import SwarmMasterRunner
from inference_swarm.measure.snapshot import SNAPSHOT_KEY, Snapshot
from inference_swarm.wiring.run import Run, RunBook

logger = logging.getLogger(__name__)

FINALS_TIMEOUT_S = 10.0


class MasterSide:
    """RunKeeper of the master."""

    def __init__(self, environment: Environment, runner: SwarmMasterRunner, command_line: CommandLine) -> None:
        self._environment = environment
        self._runner = runner
        self._book = RunBook(environment, command_line)
        self._ledger = Ledger(0)
        self._run: Run | None = None
        self._failure: SwarmError | None = None
        self._changed = Event()
        runner.register_message("swarm_ready", self._on_ready, concurrent=True)
        runner.register_message("swarm_failed", self._on_failed, concurrent=True)
        environment.events.worker_report.add_listener(self._on_report)  # type: ignore[no-untyped-call]

    # RunKeeper

    def prepare_run(self) -> None:
        self._failure = None
        run = self._book.open_run()
        self._run = run
        self._ledger = Ledger(len(run.manifest.blocks))
        workers = [client.id for client in self._active_clients()]
        logger.info(
            "Run %s: %d rows in %d blocks for %d workers",
            run.run_id,
            run.manifest.rows,
            len(run.manifest.blocks),
            len(workers),
        )
        self._send_holds(self._ledger.start(workers))
        self._wait_until_settled(run)

    def refuse_run(self, error: SwarmError) -> None:
        self._run = None
        self._book.refuse(error)

    def begin_run(self) -> None:
        assert self._run is not None
        for worker in self._ledger.workers:
            if self.has_rows(worker):
                self._run.totals.expect(worker)
        self._book.begin(self._run)

    def end_load(self) -> None:
        if self._run is not None:
            self._run.end_load()

    def finish_run(self) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        self._wait(lambda: run.totals.is_complete, FINALS_TIMEOUT_S)
        self._book.close_run(run)

    def has_rows(self, worker_id: str) -> bool:
        return self._run is None or self._ledger.load(worker_id) > 0

    # messages

    def _on_ready(self, msg: Any, **_: Any) -> None:
        if self._run is not None and msg.data["run_id"] == self._run.run_id:
            self._send_holds(self._ledger.confirm(msg.node_id, msg.data["generation"]))
            logger.info(
                "Worker %s has its %d rows ready after %.1f s", msg.node_id, msg.data["rows"], msg.data["seconds"]
            )
        self._changed.set()

    def _on_failed(self, msg: Any, **_: Any) -> None:
        if self._run is not None and msg.data["run_id"] == self._run.run_id:
            self._failure = DataError(f"worker {msg.node_id} could not load its rows: {msg.data['message']}")
        self._changed.set()

    def _on_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        wire = data.get(SNAPSHOT_KEY)
        if wire is None or self._run is None:
            return
        try:
            self._run.apply(Snapshot.from_wire(wire))
        except ProtocolError as error:
            logger.warning("A report of worker %s was dropped: %s", client_id, error)
        self._changed.set()

    # shards

    def _send_holds(self, change: Change) -> None:
        assert self._run is not None
        for worker in change.touched:
            data = {
                "run_id": self._run.run_id,
                "generation": change.generation,
                "manifest": self._run.manifest.to_wire(),
                "blocks": self._ledger.hold(worker),
                "settings": self._run.settings.to_dict(),
            }
            self._runner.send_message("swarm_hold", data, worker)

    def _wait_until_settled(self, run: Run) -> None:
        def is_over() -> bool:
            return self._ledger.is_settled or self._failure is not None

        if not self._wait(is_over, run.settings.load_timeout_s):
            late = [worker for worker in self._ledger.workers if self._ledger.unconfirmed(worker)]
            raise DataError(
                f"{len(late)} of {len(self._ledger.workers)} workers had not loaded their rows after "
                f"{run.settings.load_timeout_s:g} s: {', '.join(late)}",
                action="raise --load-timeout, or look into the logs of these workers",
            )
        if self._failure is not None:
            raise self._failure

    def _wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            self._changed.clear()
            self._changed.wait(left_s)
        return True

    def _active_clients(self) -> list[Any]:
        clients = self._runner.clients
        return [*clients.ready, *clients.running, *clients.spawning]
