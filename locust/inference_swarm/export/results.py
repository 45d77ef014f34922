"""The end of a run: what it came to is concluded, its files are written, its exit code is set."""

from __future__ import annotations

from typing import Any

from locust.env import Environment

from inference_swarm.config.command_line import SettingSources
from inference_swarm.errors import ExitCode
from inference_swarm.export.run_files import write_run_files
from inference_swarm.export.summary import DataRecord, RunRecord
from inference_swarm.run.run import Run


def write_results(run: Run, environment: Environment, sources: SettingSources) -> dict[str, Any]:
    """Answers the summary."""
    assert run.folder is not None
    verdict = run.verdict()
    record = RunRecord(
        run_id=run.run_id,
        name=run.folder.name,
        started_unix_s=run.started_unix_s,
        duration_s=run.duration_s,
        measured_s=run.measured_s,
        settings=run.settings,
        sources=sources.to_dict(),
        totals=run.totals,
        verdict=verdict,
        warnings=tuple(run.self_check.warnings()),
        master_health=run.master_health,
        arrivals_wanted=run.arrivals_wanted(),
        data=DataRecord(run.source, run.manifest.rows, len(run.manifest.blocks), run.manifest.fingerprint),
        lost_workers=run.lost_workers,
        possibly_uncounted=sum(count for worker, count in run.possibly_uncounted.items() if worker in run.lost_workers),
        once=run.once,
    )
    summary = write_run_files(record, run.folder, environment)
    _set_exit_code(environment, verdict.exit_code)
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
    """Locust would end with a failure for requests that an objective allows to fail; not so for broken users."""
    runner = environment.runner
    return runner is not None and bool(runner.errors) and not runner.exceptions
