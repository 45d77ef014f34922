"""The results of a run whose master was killed: `run.json` and `state.msgpack` in, the files of a run out."""

from __future__ import annotations

import json
from pathlib import Path

from inference_swarm.config.settings import Settings
from inference_swarm.data.progress import OnceNumbers
from inference_swarm.errors import DataError, SwarmError
from inference_swarm.export.checkpoint import RUN_FILE, read_state
from inference_swarm.export.run_files import write_number_files
from inference_swarm.export.summary import DataRecord, RunRecord
from inference_swarm.judge.verdict import RunFacts, judge_totals
from inference_swarm.run.plan import objectives_of


def rescue_run(folder: Path) -> None:
    """Writes summary, histogram logs, intervals and report from the last state. Raises DataError."""
    try:
        known = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
        settings = Settings(**known["settings"])
        state = read_state(folder)
        data = DataRecord(**known["data"])
        run_id, name, started_unix_s = known["run_id"], known["run"], float(known["started_unix_s"])
    except (OSError, ValueError, KeyError, TypeError, SwarmError) as error:
        raise DataError(f"the state of the run in {folder} cannot be used: {error}") from error
    measured_s = max(0.0, state.duration_s - state.totals.epoch_start_s)
    facts = RunFacts(
        measured_s=measured_s,
        is_open=settings.is_open,
        interrupted_because="the master was killed: these are the numbers up to its last report",
        incomplete_because=tuple(f"worker {worker}: {what}" for worker, what in state.lost_workers.items()),
    )
    verdict = judge_totals(state.totals, objectives_of(settings), facts)
    write_number_files(
        RunRecord(
            run_id=run_id,
            name=name,
            started_unix_s=started_unix_s,
            duration_s=state.duration_s,
            measured_s=measured_s,
            settings=settings,
            sources={},
            totals=state.totals,
            verdict=verdict,
            data=data,
            lost_workers={**state.lost_workers, "master": "the run was interrupted"},
            once=None if state.once is None else OnceNumbers(**state.once),
        ),
        folder,
    )
