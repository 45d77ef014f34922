"""The master: rows before users, every report counted once, users and rows follow the workers, results at the end."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from gevent.event import Event
from locust.env import Environment

from inference_swarm.cluster.data_messages import RunEnd
from inference_swarm.cluster.master_runner import SwarmMasterRunner
from inference_swarm.config.command_line import CommandLine
from inference_swarm.errors import DataError, ProtocolError, SwarmError
from inference_swarm.export.checkpoint import StateFile
from inference_swarm.measure.snapshot import SNAPSHOT_KEY, Snapshot
from inference_swarm.measure.totals import Applied
from inference_swarm.run.run import Run
from inference_swarm.transport.allowed import check_allowed
from inference_swarm.web.state import ShardState
from inference_swarm.wiring import shard_master
from inference_swarm.wiring.run_book import RunBook
from inference_swarm.wiring.shard_master import ShardMaster

logger = logging.getLogger(__name__)

FINALS_TIMEOUT_S = 10.0
SAY_LOADING_EVERY_S = 1.0
# A worker that was killed may have worked until its next sign of life was due.
HEARTBEAT_S = 1.0


class MasterSide:
    """MasterKeeper of the master."""

    def __init__(self, environment: Environment, runner: SwarmMasterRunner, command_line: CommandLine) -> None:
        self.on_workers_changed: list[Callable[[tuple[str, ...]], None]] = []
        self._environment = environment
        self._runner = runner
        self._book = RunBook(environment, command_line)
        # As it was at the start: a request to the web UI may change any option.
        self._allowed = str(getattr(environment.parsed_options, "allow_host", ""))
        self.on_workers_changed.append(self._book.on_workers_changed)
        self._run: Run | None = None
        self._shards: ShardMaster | None = None
        self._state_file: StateFile | None = None
        self._serving: tuple[str, ...] = ()
        self._reported_s: dict[str, float] = {}
        self._peak_rps: dict[str, float] = {}
        self._changed = Event()
        self._is_ending = False
        shard_master.register(runner, lambda: self._shards)

    # the life of a run

    def prepare_run(self) -> None:
        run = self._book.open_run()
        check_allowed(run.settings.host or "", self._allowed, "the master")
        workers = [client.id for client in self._runner.clients.all if client.state != "missing"]
        logger.info(
            "Run %s: %d rows in %d blocks for %d workers",
            run.run_id,
            run.manifest.rows,
            len(run.manifest.blocks),
            len(workers),
        )
        self._run, self._is_ending, self._serving = run, False, ()
        self._reported_s, self._peak_rps = {}, {}
        self._shards = ShardMaster(self._runner, run.run_id, run.manifest, run.settings, self._note_change)
        self._shards.start(workers)
        self._wait_until_settled(run, self._shards)

    def refuse_run(self, error: SwarmError) -> None:
        self.forget_run()
        self._book.refuse(error)

    def forget_run(self) -> None:
        self._run = self._shards = None

    def begin_run(self) -> None:
        assert self._run is not None
        self._book.begin(self._run)
        assert self._run.folder is not None
        self._state_file = StateFile(self._run, self._once_numbers)

    def end_load(self) -> None:
        self._is_ending = True
        if self._shards is not None:
            self._shards.end()
        if self._run is not None:
            self._run.end_load()

    def finish_run(self) -> None:
        run = self._run
        if run is None:
            return
        is_in = self._wait(lambda: self._are_finals_in(run), self._environment.stop_timeout + FINALS_TIMEOUT_S)
        if not is_in:
            logger.error("Not every worker has sent its last report")
        run.once = self._once_numbers()
        for client in self._runner.clients.all:
            self._runner.send_ours(client.id, RunEnd(run_id=run.run_id))
        self.forget_run()
        if self._state_file is not None:
            self._state_file.close()
        self._book.close_run(run)

    @property
    def run_id(self) -> str:
        return "" if self._run is None else self._run.run_id

    # for the web UI

    @property
    def latest_run(self) -> Run | None:
        return self._book.latest

    @property
    def refused(self) -> str:
        return self._book.refused

    def shard_states(self) -> Mapping[str, ShardState]:
        return {} if self._shards is None else self._shards.states()

    # workers

    def serving_workers(self) -> tuple[str, ...]:
        return self._serving

    def worker_joined(self, worker: str) -> None:
        if self._run is None or self._shards is None:
            return
        if self._run.lost_workers.pop(worker, None):
            logger.info("Worker %s is back; what it had not delivered comes now", worker)
        if not self._is_ending:
            self._shards.join(worker)

    def worker_leaving(self, worker: str) -> None:
        if self._shards is not None:
            self._shards.leave(worker)

    def worker_left(self, worker: str, reason: str) -> None:
        run, shards = self._run, self._shards
        if run is None or shards is None:
            return
        record = run.totals.workers.get(worker)
        if record is not None and not record.is_complete:
            run.lost_workers[worker] = self._describe_loss(run, worker, reason or "left before its last report was in")
        shards.lose(worker)

    def spawned(self, worker: str) -> None:
        if self._run is not None:
            self._run.totals.expect(worker)
            self._reported_s.setdefault(worker, time.monotonic())

    # reports

    def take_report(self, worker: str, data: Mapping[str, Any]) -> bool:
        wire = data.get(SNAPSHOT_KEY)
        if wire is None:
            return False
        snapshot = Snapshot.from_wire(wire)
        if snapshot.worker != worker:
            raise ProtocolError("a report in the name of another worker")
        self._runner.acknowledge(worker, snapshot.run_id, snapshot.sequence)
        run = self._run
        if run is None or run.run_id != snapshot.run_id:
            logger.warning("A report of worker %s belongs to run %s and is not counted", worker, snapshot.run_id)
            return False
        if run.apply(snapshot) is not Applied.COUNTED:
            return False
        record = run.totals.workers[worker]
        self._reported_s[worker] = time.monotonic()
        self._peak_rps[worker] = max(self._peak_rps.get(worker, 0.0), record.rate_rps)
        if record.is_complete and worker in run.lost_workers:
            del run.lost_workers[worker]
            logger.info("Worker %s was given up, but its last report has come: nothing of it is missing", worker)
        if self._state_file is not None:
            self._state_file.write_soon()
        self._changed.set()
        return True

    def _describe_loss(self, run: Run, worker: str, reason: str) -> str:
        """What may be missing: all since the last report, at the worker's highest rate, and what was in flight."""
        silent_s = time.monotonic() - self._reported_s.get(worker, time.monotonic())
        heard_s = self._runner.silence_s(worker)
        unreported_s = max(0.0, silent_s - heard_s) + HEARTBEAT_S
        peak_rps = self._peak_rps.get(worker) or max(self._peak_rps.values(), default=0.0)
        users = run.totals.workers[worker].users
        missing = math.ceil(unreported_s * peak_rps) + users
        run.possibly_uncounted[worker] = missing
        return (
            f"{reason}; what it sent in the {unreported_s:.1f} s after its last report is not counted, "
            f"at its highest rate up to {missing} requests"
        )

    def _are_finals_in(self, run: Run) -> bool:
        return all(
            record.is_complete or worker in run.lost_workers for worker, record in run.totals.workers.items()
        ) and bool(run.totals.workers)

    # changes

    def _note_change(self) -> None:
        """Blocks have moved or loaded, a worker has failed, or all rows were sent."""
        self._changed.set()
        shards, run = self._shards, self._run
        if shards is None or run is None or self._is_ending:
            return
        if run.folder is not None:
            for worker, reason in shards.failures.items():
                if worker not in run.lost_workers:
                    run.lost_workers[worker] = f"could not load its rows: {reason}"
                    shards.leave(worker)
        serving = shards.serving()
        if serving != self._serving:
            self._serving = serving
            self._runner.serving_changed()
            for tell in self.on_workers_changed:
                tell(serving)
        if shards.is_all_sent and not self._is_ending:
            self._is_ending = True
            self._book.end_soon(run)

    def _once_numbers(self) -> Any:
        return None if self._shards is None else self._shards.once

    def _wait_until_settled(self, run: Run, shards: ShardMaster) -> None:
        deadline_s = time.monotonic() + run.settings.load_timeout_s
        while not shards.is_settled and not shards.failures:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                late = shards.late()
                raise DataError(
                    f"{len(late)} workers had not loaded their rows after {run.settings.load_timeout_s:g} s: "
                    f"{', '.join(late)}",
                    action="raise --load-timeout, or look into the logs of these workers",
                )
            if not self._wait(lambda: shards.is_settled or bool(shards.failures), min(left_s, SAY_LOADING_EVERY_S)):
                logger.info("Loading: %s", shards.describe())
        for worker, reason in shards.failures.items():
            raise DataError(f"worker {worker} could not load its rows: {reason}")
        logger.info("Loaded: %s", shards.describe())

    def _wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            self._changed.clear()
            self._changed.wait(left_s)
        return True
