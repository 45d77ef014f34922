"""The results of a run whose master was killed: `run.json` and `state.msgpack` in, the files of a run out."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from inference_swarm.config.settings import Settings
from inference_swarm.data.locate import Source, find_source
from inference_swarm.errors import DataError, SwarmError
from inference_swarm.export.checkpoint import RUN_FILE, read_state
from inference_swarm.export.run_files import write_number_files
from inference_swarm.export.summary import record_of
from inference_swarm.run.course import Stop, StopCause
from inference_swarm.run.plan import RunPlan, load_of, objectives_of
from inference_swarm.run.run import DataRecord, Run
from inference_swarm.run.trace_plan import with_trace
from inference_swarm.transport.target import target_of

UP_TO = "these are the numbers up to its last report"


def recover_run(folder: Path) -> None:
    """Write summary, histogram logs, intervals and report from the last state. Raises DataError."""
    try:
        run = read_run(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SwarmError) as error:
        raise DataError(f"the state of the run in {folder} cannot be used: {error}") from error
    if run.course.stop is None:
        run.course.stop = Stop(StopCause.KILLED, run.duration_s, UP_TO)
    write_number_files(record_of(run, is_cut_short=True), folder)


def read_run(folder: Path) -> Run:
    """Read the run from its last checkpoint."""
    known = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    settings = Settings(**known["settings"])
    data = DataRecord(**known["data"])
    source = Source(data.source)
    plan = RunPlan(
        settings,
        dict(known["sources"]),
        target_of(settings),
        source,
        tuple(objectives_of(settings)),
        load_of(settings),
    )
    with suppress(SwarmError):  # data that are not there any more: arrivals are not compared with the trace then
        plan = replace(with_trace(replace(plan, source=find_source(settings)), lambda read: read())[0], source=source)
    return Run.from_state(plan, data, known["run_id"], float(known["started_unix_s"]), folder, read_state(folder))
