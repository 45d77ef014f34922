"""The end of a run: its files are written, the exit code of the process is set. An edge: files, Locust."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import gevent
from locust.env import Environment

from inference_swarm.config.documents import Document
from inference_swarm.data.threads import run_in_pool
from inference_swarm.errors import ExitCode
from inference_swarm.export.baseline import judged_against_baseline
from inference_swarm.export.pipeline import write_pipeline_files
from inference_swarm.export.run_files import write_run_files
from inference_swarm.export.summary import RunRecord, record_of
from inference_swarm.run.run import Run


def write_results(run: Run, environment: Environment, *, is_cut_short: bool = False) -> Document:
    """Write the results and return the summary. Waits for the disk."""
    run.totals.settle_for_good()
    record = record_of(run, is_cut_short=is_cut_short)
    # Not in the event loop: on a slow disk workers would miss the master's messages meanwhile and look for another one.
    summary = run_in_pool(gevent.get_hub().threadpool.apply, partial(_write, record, run.folder, environment))
    _set_exit_code(environment, ExitCode(summary["exit_code"]))
    return summary


def _write(record: RunRecord, folder: Path, environment: Environment) -> Document:
    options = environment.parsed_options
    assert options is not None
    summary = write_run_files(judged_against_baseline(record), folder, environment)
    write_pipeline_files(summary, record.settings, is_headless=bool(options.headless))
    return summary


def _set_exit_code(environment: Environment, code: ExitCode) -> None:
    options = environment.parsed_options
    assert options is not None
    if code is ExitCode.REQUESTS_FAILED:
        environment.process_exit_code = options.exit_code_on_error
    elif code is not ExitCode.PASSED:
        environment.process_exit_code = code
    elif _has_only_allowed_failures(environment):
        environment.process_exit_code = ExitCode.PASSED


def _has_only_allowed_failures(environment: Environment) -> bool:
    """Return whether objectives allow all failures, for which Locust alone would fail; user errors are not allowed."""
    runner = environment.runner
    return runner is not None and bool(runner.errors) and not runner.exceptions
