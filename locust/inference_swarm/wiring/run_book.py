"""Opens, begins and closes runs: settings and manifest in, results out. For the master and for a single process."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import gevent
from locust.env import Environment

from inference_swarm.cluster.master_runner import SwarmMasterRunner
from inference_swarm.config.command_line import CommandLine
from inference_swarm.config.redaction import locations_without_secrets
from inference_swarm.data.locate import find_source, read_source
from inference_swarm.data.sources import source_name
from inference_swarm.data.threads import run_in_pool
from inference_swarm.errors import ExitCode, SwarmError
from inference_swarm.export.progress import Progress
from inference_swarm.export.results import write_results
from inference_swarm.export.run_folder import make_run_folder, run_folder_name
from inference_swarm.judge.self_check import MASTER
from inference_swarm.load.shapes import UserStages
from inference_swarm.measure.health import HealthMonitor
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.measure.warm_up import parse_warm_up
from inference_swarm.run.plan import length_of, objectives_of, resolve_stages, schedule_of, stages_of
from inference_swarm.run.run import NS_PER_S, Run
from inference_swarm.transport.target import target_of
from inference_swarm.wiring.arrivals import ArrivalParts

logger = logging.getLogger(__name__)

# An open load begins so much after it was announced, for the message and the users to be there when it does.
OPEN_LEAD_S = 1.0
LEAD_FOR_EACH_USER_S = 0.004
# Its last requests are on their way when it ends, give or take the difference of two clocks.
OPEN_GRACE_S = 0.1
HEALTH_PERIOD_S = 3.0


class RunBook:
    """Opens and closes runs: settings and manifest in, results out."""

    def __init__(self, environment: Environment, command_line: CommandLine) -> None:
        self._environment = environment
        self._command_line = command_line
        self.latest: Run | None = None
        """The run under way, or the last one; for the web UI."""
        self.refused = ""
        """Why the last start came to nothing, empty when it did not."""
        options = environment.parsed_options
        assert options is not None
        self._is_headless = bool(options.headless)
        self._progress = Progress(options)
        self._duration_s: int | None = None
        runner = environment.runner
        self._arrival_parts = ArrivalParts(runner) if isinstance(runner, SwarmMasterRunner) else None
        self._attendants: list[gevent.Greenlet] = []
        if self._is_headless and options.run_time:
            # Locust would count from now on; the time to load rows must not be taken from the measured time.
            self._duration_s, options.run_time = options.run_time, None
        if self._duration_s or options.stages:
            logging.getLogger("locust.main").addFilter(
                lambda record: "No run time limit set" not in record.getMessage()
            )

    def open_run(self) -> Run:
        """Raises SwarmError when settings or data cannot be used."""
        self.refused = ""
        options = self._environment.parsed_options
        assert options is not None
        if self._environment.host:
            options.host = self._environment.host
        settings = self._command_line.settings(options)
        if self._duration_s:
            settings = replace(settings, duration_s=self._duration_s)
        settings = resolve_stages(settings)
        target_of(settings)
        source = find_source(settings)
        manifest = run_in_pool(gevent.get_hub().threadpool.apply, partial(read_source, source))
        for note in manifest.notes:
            logger.warning("%s", note)
        run_id = secrets.token_hex(8)
        totals = SwarmTotals(run_id, is_staged=bool(settings.stages))
        if warm_up_s := parse_warm_up(settings.warm_up):
            totals.start_epoch(warm_up_s)
        return Run(
            run_id,
            settings,
            locations_without_secrets(source.features),
            manifest,
            totals,
            objectives_of(settings),
            schedule_of(settings),
            length_of(settings),
        )

    def refuse(self, error: SwarmError) -> None:
        """Says why, and ends a headless process with the error's code."""
        self.refused = str(error)
        logger.error("The run was refused: %s", error)
        if self._is_headless:
            self._environment.process_exit_code = error.exit_code
            assert self._environment.runner is not None
            gevent.spawn(self._environment.runner.quit)

    def begin(self, run: Run) -> None:
        """The measured time begins: now, or for an open load a moment ahead."""
        settings = run.settings
        workers = self._workers(run)
        users_of_one = settings.users / max(1, len(workers))
        lead_s = 0.0 if run.schedule is None else OPEN_LEAD_S + LEAD_FOR_EACH_USER_S * users_of_one
        run.began_ns = time.monotonic_ns() + round(lead_s * NS_PER_S)
        run.started_unix_s = time.time() + lead_s
        name = settings.run_name or run_folder_name(
            time.strftime("%Y%m%d-%H%M%S"), source_name(run.source), settings.model
        )
        run.folder = make_run_folder(Path(settings.results_dir), name)
        if self._arrival_parts is not None:
            self._arrival_parts.begin(run.run_id, run.began_ns, workers)
        self.latest = run
        self._environment.process_exit_code = None
        self._attendants = [gevent.spawn(self._watch_health, run), gevent.spawn(self._progress.show, run, self._users)]
        stages = stages_of(settings)
        if stages is not None and not settings.is_open:
            self._attendants.append(gevent.spawn(self._follow_users, UserStages(stages)))
        if run.length_s:
            logger.info("The run ends %g s after its first user", run.length_s)
            grace_s = OPEN_GRACE_S if run.schedule is not None else 0.0
            self._attendants.append(gevent.spawn_later(lead_s + run.length_s + grace_s, self._end, run))

    def on_workers_changed(self, workers: Sequence[str]) -> None:
        """While a run goes on: these workers have rows and users from now on, others have not."""
        if self._arrival_parts is not None:
            self._arrival_parts.on_workers_changed(sorted(workers))

    def end_soon(self, run: Run) -> None:
        """There is nothing left to send: the run ends by itself, and a headless process with it."""
        logger.info("Every row has been sent: the run ends")
        gevent.spawn(self._end, run)

    def close_run(self, run: Run) -> None:
        """Writes every result file, says what came out of it, and sets the exit code."""
        if self._arrival_parts is not None:
            self._arrival_parts.end()
        gevent.killall([one for one in self._attendants if one is not gevent.getcurrent()], block=False)
        try:
            summary = write_results(run, self._environment, self._command_line.sources)
        except Exception:  # a full disk, say: the process must end all the same, and not as if all were well
            logger.exception("The results of run %s could not be written", run.run_id)
            self._environment.process_exit_code = ExitCode.INCOMPLETE
        else:
            assert run.folder is not None
            self._progress.close(summary, run.folder)

    def _workers(self, run: Run) -> list[str]:
        runner = self._environment.runner
        return sorted(runner.keeper.serving_workers() if isinstance(runner, SwarmMasterRunner) else run.totals.workers)

    def _users(self) -> int:
        runner = self._environment.runner
        return 0 if runner is None else runner.user_count

    def _watch_health(self, run: Run) -> None:
        monitor = HealthMonitor()
        try:
            while True:
                gevent.sleep(HEALTH_PERIOD_S)
                run.master_health = monitor.take()
                run.self_check.observe(MASTER, run.master_health)
        finally:
            monitor.close()

    def _follow_users(self, shape: UserStages) -> None:
        """What Locust's own shape worker does, but for a run that was prepared, and without missing a step."""
        runner = self._environment.runner
        assert runner is not None
        last: tuple[int, float] | None = None
        while runner.state not in ("spawning", "running"):
            gevent.sleep(0.05)
        while (wanted := shape.tick()) is not None:
            if wanted != last:
                runner.start(*wanted)
                last = wanted
            gevent.sleep(1 - shape.get_run_time() % 1)  # type: ignore[no-untyped-call]

    def _end(self, run: Run) -> None:
        runner = self._environment.runner
        assert runner is not None
        run.end_load()
        if self._is_headless:
            runner.quit()
        else:
            runner.stop()
