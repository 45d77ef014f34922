"""A run as its keeper (master or single process) sees it: identity, settings, data, totals, its folder at the end."""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import gevent
from locust.env import Environment

from inference_swarm.config.command_line import CommandLine
from inference_swarm.config.settings import Settings
from inference_swarm.data.manifest import Manifest
from inference_swarm.errors import ExitCode, SwarmError
from inference_swarm.export.locust_files import write_locust_files
from inference_swarm.export.run_folder import append_to_run_table, make_run_folder, run_folder_name, write_json
from inference_swarm.export.summary import DataRecord, RunRecord, build_summary, run_table_row
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.wiring.dataset import find_source, read_source
from inference_swarm.wiring.shard import target_of

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Run:
    """One run under way."""

    run_id: str
    settings: Settings
    source: str
    manifest: Manifest
    totals: SwarmTotals
    began_s: float = 0.0
    ended_s: float = 0.0
    started_at: str = ""
    folder: Path | None = None
    lost_workers: dict[str, str] = field(default_factory=dict)

    def end_load(self) -> None:
        """The measured time ends."""
        if not self.ended_s:
            self.ended_s = time.monotonic()


class RunBook:
    """Opens and closes runs: settings and manifest in, results out."""

    def __init__(self, environment: Environment, command_line: CommandLine) -> None:
        self._environment = environment
        self._command_line = command_line
        options = environment.parsed_options
        assert options is not None
        self._is_headless = bool(options.headless)
        self._duration_s: int | None = None
        if self._is_headless and options.run_time:
            # Locust would count from now on; the time to load rows must not be taken from the measured time.
            self._duration_s, options.run_time = options.run_time, None
            logging.getLogger("locust.main").addFilter(
                lambda record: "No run time limit set" not in record.getMessage()
            )

    def open_run(self) -> Run:
        """Raises SwarmError when settings or data cannot be used."""
        options = self._environment.parsed_options
        assert options is not None
        if self._environment.host:
            options.host = self._environment.host
        settings = self._command_line.settings(options)
        if self._duration_s:
            settings = replace(settings, duration_s=self._duration_s)
        target_of(settings)
        source = find_source(settings)
        manifest = gevent.get_hub().threadpool.apply(read_source, (source,))
        run_id = secrets.token_hex(8)
        return Run(run_id, settings, source.features, manifest, SwarmTotals(run_id))

    def refuse(self, error: SwarmError) -> None:
        """Says why, and ends a headless process with the error's code."""
        logger.error("The run was refused: %s", error)
        if self._is_headless:
            self._environment.process_exit_code = error.exit_code
            assert self._environment.runner is not None
            gevent.spawn(self._environment.runner.quit)

    def begin(self, run: Run) -> None:
        """The measured time begins."""
        settings = run.settings
        run.began_s = time.monotonic()
        run.started_at = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        name = settings.run_name or run_folder_name(
            time.strftime("%Y%m%d-%H%M%S"), settings.dataset_name, settings.model
        )
        run.folder = make_run_folder(Path(settings.results_dir), name)
        if self._duration_s:
            logger.info("The run ends %d s after its first user", self._duration_s)
            assert self._environment.runner is not None
            gevent.spawn_later(self._duration_s, self._environment.runner.quit)

    def close_run(self, run: Run) -> None:
        """Writes every result file."""
        assert run.folder is not None
        record = RunRecord(
            run_id=run.run_id,
            name=run.folder.name,
            started_at=run.started_at,
            duration_s=run.ended_s - run.began_s,
            settings=run.settings,
            sources=self._command_line.sources.to_dict(),
            totals=run.totals,
            data=DataRecord(run.source, run.manifest.rows, len(run.manifest.blocks), run.manifest.fingerprint),
            lost_workers=run.lost_workers,
        )
        summary = build_summary(record)
        write_json(run.folder / "summary.json", summary)
        append_to_run_table(Path(run.settings.results_dir), run_table_row(summary))
        write_locust_files(self._environment, run.folder)
        logger.info("Results are in %s", run.folder)
        if not record.is_complete:
            self._environment.process_exit_code = ExitCode.INCOMPLETE
            for worker, reason in summary["incomplete_workers"].items():
                logger.error("The run is incomplete: worker %s: %s", worker, reason)
