"""The run that `--baseline` names: found and read, and the run under judgement compared with it. An edge: files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from inference_swarm.config.settings import Settings
from inference_swarm.errors import SettingProblem, SwarmError
from inference_swarm.export.comparison import sample_of
from inference_swarm.export.results_folder import find_run
from inference_swarm.export.saved_run import SavedRun, read_run
from inference_swarm.export.summary import RunRecord
from inference_swarm.judge.compare import RunSample
from inference_swarm.judge.regression import EXAMPLE, judge_regressions, not_judged, parse_limits
from inference_swarm.judge.verdict import with_results


def check_baseline(settings: Settings) -> None:
    """Raises SwarmError unless both settings are there or none, and the baseline can be read."""
    if settings.ab:  # A takes the place of a baseline
        parse_limits(settings.max_regression)
        return
    if bool(settings.baseline) != bool(settings.max_regression):
        given, missing = ("--baseline", "--max-regression")[:: 1 if settings.baseline else -1]
        raise SettingProblem(
            f"{given} is given and {missing} is not",
            expected="both, or none",
            action=f"give --baseline RUN --max-regression {EXAMPLE}",
        )
    parse_limits(settings.max_regression)
    if settings.baseline:
        try:
            sample_of(_read(settings))
        except SwarmError as error:
            raise SettingProblem(
                f"--baseline is {settings.baseline!r}: {error}", expected="a run that has ended"
            ) from error


def judged_against_baseline(run: RunRecord) -> RunRecord:
    """Return the record with the results of `--max-regression` in its verdict."""
    settings = run.settings
    if not settings.baseline:
        return run
    limits = parse_limits(settings.max_regression)
    sample = RunSample.from_series(run.name, run.totals.series)
    try:
        results = judge_regressions(limits, sample_of(_read(settings)), sample)
    except SwarmError as error:  # it was there when the run began
        results = tuple(not_judged(limit, settings.baseline, str(error)) for limit in limits)
    return replace(run, verdict=with_results(run.verdict, results))


def _read(settings: Settings) -> SavedRun:
    return read_run(find_run(settings.baseline, Path(settings.results_dir)))
