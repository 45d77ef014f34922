"""Master and worker in one process: `locust -f locust/locustfile.py --processes 0`."""

from __future__ import annotations

from collections.abc import Mapping

import gevent
from gevent.event import AsyncResult
from locust.env import Environment

from inference_swarm.cluster.once import OnceProgress
from inference_swarm.cluster.runners import SwarmLocalRunner
from inference_swarm.config.command_line import CommandLine
from inference_swarm.data.progress import BlockProgress
from inference_swarm.data.row_store import StoreStatus
from inference_swarm.errors import DataError, SwarmError
from inference_swarm.load.arrivals import Part
from inference_swarm.load.shard import Shard
from inference_swarm.measure.recording import Recording
from inference_swarm.run.plan import phases_of
from inference_swarm.run.run import Run
from inference_swarm.transport.allowed import check_allowed
from inference_swarm.web.state import ShardState
from inference_swarm.wiring.arrivals import make_player
from inference_swarm.wiring.run_book import RunBook
from inference_swarm.wiring.users import assign_users

REPORT_PERIOD_S = 3.0


class LocalSide:
    """RunKeeper of a single process, which holds every block itself."""

    def __init__(self, environment: Environment, runner: SwarmLocalRunner, command_line: CommandLine) -> None:
        self._environment = environment
        self._runner = runner
        self._book = RunBook(environment, command_line)
        self._allowed = str(getattr(environment.parsed_options, "allow_host", ""))
        self._run: Run | None = None
        self._shard: Shard | None = None
        self._recording: Recording | None = None
        self._reporter: gevent.Greenlet | None = None
        self._once: OnceProgress | None = None

    def prepare_run(self) -> None:
        run = self._book.open_run()
        check_allowed(run.settings.host or "", self._allowed, "this process")
        is_ready: AsyncResult[StoreStatus] = AsyncResult()
        self.forget_run()
        blocks = [block.id for block in run.manifest.blocks]
        self._once = None
        if run.settings.row_order == "once":
            self._once = OnceProgress(block.rows for block in run.manifest.blocks)
            self._once.lease(self._runner.client_id, blocks)
        self._shard = Shard(
            run.settings,
            run.manifest,
            blocks,
            () if self._once is None else self._once.leases(self._runner.client_id),
            on_ready=lambda status, _: is_ready.set(status),
            on_failed=is_ready.set_exception,
            on_once_report=self._on_once_report,
        )
        try:
            is_ready.get(timeout=run.settings.load_timeout_s)
        except gevent.Timeout:
            raise DataError(
                f"the rows were not loaded after {run.settings.load_timeout_s:g} s", action="raise --load-timeout"
            ) from None
        self._run = run

    def refuse_run(self, error: SwarmError) -> None:
        self.forget_run()
        self._book.refuse(error)

    def forget_run(self) -> None:
        self._run = None
        if self._shard is not None:
            self._shard.close()
            self._shard = None

    def begin_run(self) -> None:
        assert self._run is not None
        assert self._shard is not None
        self._run.totals.expect(self._runner.client_id)
        settings, assignment = self._run.settings, self._shard.assignment()
        self._book.begin(self._run)
        player = make_player(settings, self._run.began_ns, Part(0, 1))
        assignment.arrivals = player
        assign_users(settings, assignment)
        self._recording = Recording(
            self._shard.client,
            self._environment.stats,
            self._run.run_id,
            self._runner.client_id,
            count_users=lambda: self._runner.user_count,
            began_ns=self._run.began_ns,
            player=player,
            late_after_s=settings.late_after_s,
            phases=phases_of(settings),
        )
        self._reporter = gevent.spawn(self._report_on_and_on)

    def end_load(self) -> None:
        if self._run is not None:
            self._run.end_load()
        if self._recording is not None and not self._recording.is_closed:
            self._recording.end_load()

    def finish_run(self) -> None:
        run, self._run = self._run, None
        if run is None or self._recording is None or self._reporter is None or self._shard is None:
            return
        self._reporter.kill()
        self._shard.give_back()
        if self._once is not None:
            run.once = self._once.numbers()
        run.apply(self._recording.take_snapshot(is_final=True))
        self._book.close_run(run)

    # for the web UI

    @property
    def latest_run(self) -> Run | None:
        return self._book.latest

    @property
    def refused(self) -> str:
        return self._book.refused

    def shard_states(self) -> Mapping[str, ShardState]:
        if self._shard is None:
            return {}
        held = self._shard.store.status()
        state = ShardState(held.blocks, held.rows, held.held_rows, held.held_bytes, held.is_ready)
        return {self._runner.client_id: state}

    def _on_once_report(self, sequence: int, progress: list[BlockProgress]) -> None:
        """Order once: this process is its own master."""
        assert self._once is not None
        assert self._shard is not None
        was_complete = self._once.is_complete
        self._once.report(self._runner.client_id, progress)
        self._shard.once_acknowledged(sequence)
        if self._once.is_complete and not was_complete and self._run is not None:
            self._book.end_soon(self._run)

    def _report_on_and_on(self) -> None:
        while True:
            gevent.sleep(REPORT_PERIOD_S)
            assert self._run is not None
            assert self._recording is not None
            self._run.apply(self._recording.take_snapshot())
