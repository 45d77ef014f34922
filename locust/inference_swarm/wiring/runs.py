"""The services for a run outside of the swarm: plan, data, folder and results; the coordinator decides when.

For a master and a single process. An edge: threads, files, Locust's environment.
"""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import locust.log

from inference_swarm.apis.table import request_format
from inference_swarm.cluster.ending import abandon_workers
from inference_swarm.cluster.events import ResetStatistics, SetLoad, StopAsked
from inference_swarm.cluster.forked import kill_forked
from inference_swarm.cluster.master_adapter import MasterAdapter
from inference_swarm.cluster.protocol import RunOffer
from inference_swarm.cluster.state import Phase
from inference_swarm.config.command_line import CommandLine
from inference_swarm.config.redaction import locations_without_secrets
from inference_swarm.config.variants import model_words
from inference_swarm.data.manifest_wire import manifest_to_wire
from inference_swarm.data.numpy_values import leave_pandas_out
from inference_swarm.data.sources import source_name
from inference_swarm.data.threads import run_in_pool
from inference_swarm.errors import ExitCode, SwarmError
from inference_swarm.export.checkpoint import Checkpoint
from inference_swarm.export.progress import Progress
from inference_swarm.export.results import write_results
from inference_swarm.export.run_folder import make_run_folder, run_folder_name
from inference_swarm.export.summary import build_summary, record_of
from inference_swarm.judge.self_check import MASTER
from inference_swarm.load.print_row import example_request
from inference_swarm.measure.health import HealthMonitor
from inference_swarm.measure.server_metrics import ServerSeries
from inference_swarm.measure.snapshot import Snapshot
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.measure.warm_up import parse_warm_up
from inference_swarm.run.ab import series_of
from inference_swarm.run.capacity import CapacityCourse
from inference_swarm.run.course import CountedReport, LoadPlan, RunCourse, Stop, StopCause
from inference_swarm.run.plan import RunPlan, abort_conditions_of, make_plan
from inference_swarm.run.run import DataRecord, Run
from inference_swarm.run.search_plan import search_plan_of
from inference_swarm.run.watch import RunWatch, Seen
from inference_swarm.transport.request_text import RequestText
from inference_swarm.wiring.answers import AnswerRecording, read_rows
from inference_swarm.wiring.run_time import take_run_time
from inference_swarm.wiring.server_watch import ServerWatch
from inference_swarm.wiring.traces import plan_trace

logger = logging.getLogger(__name__)
HEALTH_PERIOD_S = 3.0


class Runs:
    """Implements `RunServices` and `Planner`; `adapter` is set before the first run."""

    adapter: MasterAdapter

    def __init__(self, environment: Any, command_line: CommandLine, where: str) -> None:
        """`where` names this process in refusals of a target."""
        options = environment.parsed_options
        assert options is not None
        self.latest: Run | None = None
        """The run under way, or the last one; for the web UI."""
        self.refused = ""
        """Why the last start came to nothing, empty when it did not."""
        self._environment = environment
        self._command_line = command_line
        self._where = where
        # As it was at the start: a request to the web UI may change any option.
        self._allowed = str(getattr(options, "allow_host", ""))
        # With --autostart --autoquit the web UI is there for one run only; Locust itself would end by its own clock.
        is_one_run = bool(options.autostart and not options.headless and options.autoquit != -1)
        self._autoquit_s: float | None = options.autoquit if is_one_run else None
        self.is_finite = bool(options.headless) or is_one_run
        self._progress = Progress(options)
        self._duration_s = take_run_time(options)
        self._plans: dict[str, RunPlan] = {}
        self._data: dict[str, DataRecord] = {}
        self._folder: Path | None = None
        self._checkpoint: Checkpoint | None = None
        self._background: list[gevent.Greenlet] = []
        self._watch = RunWatch()
        self._recording: AnswerRecording | None = None
        self._is_left = False

    # before a run

    def plan(self) -> tuple[str, LoadPlan, SwarmTotals]:
        """Return the plan of the present settings, parsed and checked."""
        if self.adapter.state.job is None:  # else it is refused
            self.refused, locust.log.unhandled_greenlet_exception = "", False  # of a former run
        options: argparse.Namespace = self._environment.parsed_options
        if self._environment.host:
            options.host = self._environment.host
        settings = self._command_line.settings(options)
        if self._duration_s and not options.run_time and settings.duration_s is None:  # else a scenario's
            settings = replace(settings, duration_s=self._duration_s)
        plan = plan_trace(make_plan(settings, self._command_line.sources.to_dict(), self._allowed, self._where))
        run_id = secrets.token_hex(8)
        self._plans[run_id] = plan
        totals = SwarmTotals(run_id, is_staged=bool(plan.settings.stages), series=series_of(plan.settings))
        warm_up = parse_warm_up(plan.settings.warm_up)
        if warm_up.duration_s:
            totals.start_epoch(warm_up.duration_s)
        return run_id, plan.load, totals

    def read_data(self, course: RunCourse) -> tuple[Sequence[int], RunOffer]:
        leave_pandas_out()
        plan = self._plans[course.run_id]
        manifest = run_in_pool(gevent.get_hub().threadpool.apply, partial(read_rows, plan))
        manifest = manifest.for_workers(len(self.adapter.state.members))
        self._recording = AnswerRecording(plan.settings, manifest)
        request_format(plan.settings, manifest.schema, plan.settings.batch_size)  # refuses what no worker could send
        for note in manifest.notes:
            logger.warning("%s", note)
        try:
            example = run_in_pool(gevent.get_hub().threadpool.apply, partial(example_request, plan.settings, manifest))
        except SwarmError:  # a file that is broken further in: the worker that reads it says so
            example = RequestText("", "")
        self._data[course.run_id] = DataRecord(
            locations_without_secrets(plan.source.features),
            manifest.rows,
            len(manifest.blocks),
            manifest.fingerprint,
            manifest.notes,
            example.text,
            example.curl,
        )
        offer = RunOffer(manifest_to_wire(manifest), plan.settings.to_dict())
        return [block.rows for block in manifest.blocks], offer

    def open_results(self, course: RunCourse) -> None:
        settings = self._plans[course.run_id].settings
        name = settings.run_name or run_folder_name(
            time.strftime("%Y%m%d-%H%M%S"), source_name(self._data[course.run_id].source), model_words(settings)
        )
        self._folder = make_run_folder(Path(settings.results_dir), name)

    # during a run

    def begin(self, course: RunCourse) -> None:
        run = self._make_run(course)
        assert course.began_s is not None
        run.started_unix_s = time.time() + course.began_s - time.monotonic()
        self.latest = run
        self._environment.process_exit_code = None
        warm_up = parse_warm_up(run.plan.settings.warm_up)
        search = search_plan_of(run.plan.settings)
        run.capacity = None if search is None else CapacityCourse.begin(search, run.plan.settings)
        self._watch = RunWatch(abort_conditions_of(run.plan.settings), warm_up.requests)
        self._checkpoint = Checkpoint(run, self._once_numbers)
        server = ServerSeries()
        watch = ServerWatch(run.plan.settings, server)
        if watch.is_wanted:
            run.server = server
        self._background = [
            *([gevent.spawn(watch.watch, course.began_s)] if watch.is_wanted else ()),
            gevent.spawn(self._watch_health, run),
            gevent.spawn(self._progress.show, run, self._environment.runner),
        ]

    def begin_epoch(self, at_s: float) -> None:
        if self.latest is not None:
            self.latest.totals.start_epoch(at_s)
            self._environment.runner.stats.clear_all()

    def counted(self, worker: str, snapshot: CountedReport) -> bool:
        run = self.latest
        if run is None or not isinstance(snapshot, Snapshot):
            return False
        run.observe(snapshot)
        if self._recording is not None:
            self._recording.add(snapshot.recorded)
        self._act(self._watch.look(run.totals))
        self._search(run)
        if self._checkpoint is not None:
            self._checkpoint.write_soon()
        return snapshot.newest_epoch < run.totals.epoch

    def _act(self, seen: Seen) -> None:
        # Not at once: it is an action of the coordinator that is being carried out.
        if seen.is_warm:
            gevent.spawn(self.adapter.feed, ResetStatistics())
        if seen.abort_because:
            gevent.spawn(self.adapter.feed, StopAsked(StopCause.ABORTED, seen.abort_because))

    def _search(self, run: Run) -> None:
        if run.capacity is None or run.course.ended_s is not None:
            return
        following = run.capacity.look(run.course, run.totals)
        if following is not None:
            event = SetLoad(run.run_id, following.rate_rps, following.users, following.settle_s)
            gevent.spawn(self.adapter.feed, event)
        elif run.capacity.is_over:
            gevent.spawn(self.adapter.feed, StopAsked(StopCause.FINISHED))

    def end_load(self) -> None:
        gevent.killall(self._background, block=False)

    # after a run

    def write_results(self, course: RunCourse) -> None:
        run = self.latest
        if run is None or run.run_id != course.run_id:  # it was stopped before it began
            run = self.latest = self._make_run(course)
            run.started_unix_s = time.time()
        course.has_listener_failed = locust.log.unhandled_greenlet_exception
        if self._recording is not None:
            run_in_pool(gevent.get_hub().threadpool.apply, partial(self._recording.write, course))
        while self._is_left:  # they are written already, and the process ends
            gevent.sleep(1.0)
        self._write_results(run)

    def _write_results(self, run: Run, *, is_cut_short: bool = False) -> None:
        checkpoint, self._checkpoint = self._checkpoint, None
        if checkpoint is not None:
            checkpoint.close()
        try:
            summary = write_results(run, self._environment, is_cut_short=is_cut_short and not run.totals.is_complete)
        except OSError:  # a full disk, say: what was measured is shown at least
            self._progress.close(build_summary(record_of(run)), None)
            raise
        self._progress.close(summary, run.folder)

    def end_at_once(self) -> None:
        """Write what workers have reported so far and end the process: somebody will not wait for more."""
        state, run = self.adapter.state, self.latest
        if self._is_left or not (state.job or self.adapter.is_telling):
            return kill_forked()  # who is waited for at most
        if state.phase is Phase.CLOSING:
            logger.warning("The results are being written. Ctrl-C once more ends this process without them.")
            return None
        self._is_left = True
        if run is not None and state.job is not None and run.run_id == state.job.run_id:
            logger.warning("Ending at once: the results are those of the reports that are in.")
            run.course.stop = run.course.stop or Stop(StopCause.SIGNAL, run.duration_s)
            try:
                self._write_results(run, is_cut_short=True)
            except Exception as error:  # nobody waits for the end of this process any more
                logger.error("The results could not be written: %s", error)
        abandon_workers(self.adapter)
        logging.shutdown()
        os._exit(self._environment.process_exit_code or ExitCode.INCOMPLETE)

    def over(self, run_id: str, why_not: str, code: ExitCode | None) -> None:
        if run_id:
            self._plans.pop(run_id, None)
            self._data.pop(run_id, None)
        if self.adapter.state.job is None:
            gevent.killall(self._background, block=False)
            self._background = []
        if why_not:
            self.refused = why_not
        if why_not and code is None:
            logger.warning("The run did not begin: %s", why_not)
        elif why_not and (self.latest is None or self.latest.run_id != run_id):
            logger.error("The run was refused: %s", why_not)
        is_first = not self._environment.process_exit_code  # that the process ends now says less than why
        if code is not None and is_first and (self.is_finite or code is ExitCode.INCOMPLETE):
            self._environment.process_exit_code = code
        if self._autoquit_s is not None and (run_id or why_not) and self.adapter.state.job is None:
            gevent.spawn_later(self._autoquit_s, self._quit)
            self._autoquit_s = None

    def _quit(self) -> None:
        self._environment.runner.quit()
        if self._environment.web_ui is not None:
            self._environment.web_ui.stop()

    def _make_run(self, course: RunCourse) -> Run:
        assert self._folder is not None
        assert isinstance(course.totals, SwarmTotals)
        return Run(self._plans[course.run_id], self._data[course.run_id], course, course.totals, self._folder)

    def _once_numbers(self) -> Any:
        job = self.adapter.state.job
        return None if job is None or job.rows is None else job.rows.once_numbers()

    def _watch_health(self, run: Run) -> None:
        monitor = HealthMonitor()
        try:
            while True:
                gevent.sleep(HEALTH_PERIOD_S)
                run.master_health = monitor.take()
                run.self_check.observe(MASTER, run.master_health)
        finally:
            monitor.close()
