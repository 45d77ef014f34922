"""A worker: loads the blocks that the master gives it, lets its users send them, reports what came of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import gevent
from gevent.event import Event
from locust.env import Environment

from inference_swarm.cluster.data_messages import (
    OnceAck,
    OnceReport,
    RunEnd,
    ShardAssign,
    ShardFailed,
    ShardProgress,
    ShardReady,
)
from inference_swarm.cluster.join_messages import ReportAck
from inference_swarm.cluster.worker_runner import SwarmWorkerRunner
from inference_swarm.config.settings import Settings
from inference_swarm.data.manifest_wire import manifest_from_wire
from inference_swarm.data.progress import BlockProgress
from inference_swarm.data.row_store import StoreStatus
from inference_swarm.errors import ProtocolError, SwarmError
from inference_swarm.load.shard import Shard
from inference_swarm.measure.recording import Recording
from inference_swarm.measure.snapshot import SNAPSHOT_KEY
from inference_swarm.run.plan import phases_of
from inference_swarm.transport.allowed import check_allowed
from inference_swarm.wiring.arrivals import ArrivalShare
from inference_swarm.wiring.users import assign_users, release_users

logger = logging.getLogger(__name__)

PROGRESS_PERIOD_S = 1.0
# Reports that a master has not confirmed: with one every three seconds, those of an hour.
MOST_UNDELIVERED = 1200


class WorkerSide:
    """WorkerKeeper of a worker process."""

    def __init__(self, environment: Environment, runner: SwarmWorkerRunner) -> None:
        self._environment = environment
        self._runner = runner
        # Locust overwrites its options with the master's at each spawn; this one is the worker's own.
        self._allowed = str(getattr(environment.parsed_options, "allow_host", ""))
        self._run_id = ""
        self._generation = -1
        self._shard: Shard | None = None
        self._settings: Settings | None = None
        self._recording: Recording | None = None
        self._recorded_run_id = ""
        self._is_finishing = False
        self._arrivals = ArrivalShare(runner)
        self._undelivered: dict[int, Mapping[str, Any]] = {}
        self._delivered = Event()
        for kind, handle in (
            (ShardAssign, self._on_assign),
            (OnceAck, self._on_once_ack),
            (ReportAck, self._on_report_ack),
            (RunEnd, self._on_run_end),
        ):
            self._listen(kind, handle)
        environment.events.test_start.add_listener(self._on_test_start)  # type: ignore[no-untyped-call]
        environment.events.test_stopping.add_listener(self._on_test_stopping)  # type: ignore[no-untyped-call]
        # Before Locust's own listener, so that its statistics are up to date when it reads them.
        environment.events.report_to_master._handlers.insert(0, self._on_report)
        gevent.spawn(self._tell_progress)

    @property
    def is_loading(self) -> bool:
        """Rows that the master gave to this worker are not in memory yet; asked by the containers' health check."""
        return self._shard is not None and self._shard.is_loading

    # WorkerKeeper

    def finish_run(self) -> None:
        self._is_finishing = True
        if self._shard is not None:
            self._shard.give_back()

    def welcome(self, run_id: str) -> None:
        if self._shard is not None and self._shard.store.once is not None:
            # Others were told to send what this worker had not reported; it gets new rows with the next assignment.
            self._shard.store.hold(())
        self._generation = -1
        if self._recording is None or self._recorded_run_id == run_id:
            for data in self._undelivered.values():
                self._runner.send_message("stats", data)
            return
        if self._undelivered:
            logger.error(
                "%d reports of run %s reached no master and are lost", len(self._undelivered), self._recorded_run_id
            )
        self._forget_recording()

    def sent_report(self, data: Mapping[str, Any]) -> None:
        snapshot = data.get(SNAPSHOT_KEY)
        if snapshot is not None and len(self._undelivered) < MOST_UNDELIVERED:
            self._undelivered[snapshot["sequence"]] = data

    def wait_delivered(self, timeout_s: float) -> bool:
        deadline_s = time.monotonic() + timeout_s
        while self._undelivered and (left_s := deadline_s - time.monotonic()) > 0:
            self._delivered.clear()
            self._delivered.wait(left_s)
        return not self._undelivered

    # messages

    def _listen(self, kind: Any, handle: Any) -> None:
        def on_message(msg: Any, **_: Any) -> None:
            handle(kind.from_wire(msg.data))

        self._runner.register_message(kind.type, on_message)

    def _on_assign(self, assign: ShardAssign) -> None:
        is_same_run = assign.run_id == self._run_id
        if is_same_run and assign.generation < self._generation:
            return
        self._generation = assign.generation
        if is_same_run and self._shard is not None:
            self._shard.hold(assign.block_ids(), assign.block_leases())
            return
        if assign.settings is None:
            raise ProtocolError("the first assignment of a run came without its settings")
        if self._shard is not None:
            self._shard.close()
            self._shard = None
        self._run_id = assign.run_id
        self._arrivals.ask_clock()
        try:
            self._settings = _settings_of(assign.settings.settings)
            check_allowed(self._settings.host or "", self._allowed, f"worker {self._runner.client_id}")
            self._shard = Shard(
                self._settings,
                manifest_from_wire(assign.settings.manifest),
                assign.block_ids(),
                assign.block_leases(),
                on_ready=self._say_ready,
                on_failed=self._say_failed,
                on_once_report=self._say_once,
            )
        except SwarmError as error:
            self._say_failed(error)

    def _on_once_ack(self, ack: OnceAck) -> None:
        if ack.run_id == self._run_id and self._shard is not None:
            self._shard.once_acknowledged(ack.sequence)

    def _on_report_ack(self, ack: ReportAck) -> None:
        if ack.run_id == self._recorded_run_id:
            self._undelivered.pop(ack.sequence, None)
            self._delivered.set()

    def _on_run_end(self, end: RunEnd) -> None:
        if end.run_id == self._run_id and self._shard is not None:
            self._shard.close()
            self._shard, self._run_id = None, ""
            release_users()
            logger.info("Run %s is over; its rows are let go", end.run_id)

    def _say_ready(self, status: StoreStatus, seconds: float) -> None:
        logger.info("%d rows of %d blocks are ready after %.1f s", status.rows, status.blocks, seconds)
        ready = ShardReady(
            run_id=self._run_id,
            generation=self._generation,
            blocks=status.blocks,
            rows=status.rows,
            held_bytes=status.held_bytes,
            seconds=seconds,
            is_windowed=status.is_windowed,
        )
        self._runner.send_ours(ready)

    def _say_failed(self, error: SwarmError) -> None:
        failed = ShardFailed(run_id=self._run_id, generation=self._generation, reason=str(error)[:8000])
        self._runner.send_ours(failed)

    def _say_once(self, sequence: int, progress: list[BlockProgress]) -> None:
        self._runner.send_ours(OnceReport.of(self._run_id, sequence, progress))

    def _tell_progress(self) -> None:
        while True:
            gevent.sleep(PROGRESS_PERIOD_S)
            if self._shard is not None and self._shard.is_loading:
                status = self._shard.store.status()
                progress = ShardProgress(
                    run_id=self._run_id,
                    generation=self._generation,
                    loaded_blocks=status.held_blocks,
                    loaded_rows=status.held_rows,
                    held_bytes=status.held_bytes,
                )
                self._runner.send_ours(progress)

    # reports

    def _on_test_start(self, **_: Any) -> None:
        if self._shard is None or self._settings is None:
            logger.error("The master began a run without giving rows to this worker")
            return
        if self._recording is not None and not self._recording.is_closed and self._recorded_run_id == self._run_id:
            return  # back in a run after a gap: it goes on where it was
        self._forget_recording()
        self._is_finishing = False
        assignment = self._shard.assignment()
        assignment.arrivals = player = self._arrivals.player(self._run_id, self._settings)
        assign_users(self._settings, assignment)
        self._recording = Recording(
            self._shard.client,
            self._environment.stats,
            self._run_id,
            self._runner.client_id,
            count_users=lambda: self._runner.user_count,
            began_ns=self._arrivals.began_ns(self._run_id),
            player=player,
            late_after_s=self._settings.late_after_s,
            phases=phases_of(self._settings),
        )
        self._recorded_run_id = self._run_id

    def _on_test_stopping(self, **_: Any) -> None:
        if self._recording is not None and not self._recording.is_closed:
            self._recording.end_load()

    def _on_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        recording = self._recording
        if recording is not None and not recording.is_closed:
            data[SNAPSHOT_KEY] = recording.take_snapshot(is_final=self._is_finishing).to_wire()

    def _forget_recording(self) -> None:
        if self._recording is not None and not self._recording.is_closed:
            self._recording.take_snapshot(is_final=True)
        self._recording = None
        self._undelivered.clear()
        self._delivered.set()


def _settings_of(wire: Mapping[str, Any]) -> Settings:
    try:
        return Settings(**wire)
    except TypeError as error:
        raise ProtocolError(
            f"the master's settings cannot be used: {error}",
            action="run the same release of the swarm on the master and on all workers",
        ) from error
