"""What the web UI shows, read from Locust's runner and from those who keep runs: the one place that knows both."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

from locust.env import Environment
from locust.runners import MasterRunner

from inference_swarm.data.sources import source_name
from inference_swarm.export.summary import left_out_metrics
from inference_swarm.judge.self_check import is_generator_bottleneck
from inference_swarm.judge.verdict import RunFacts, Verdict, judge
from inference_swarm.measure.counters import merge_counters
from inference_swarm.measure.totals import WorkerRecord
from inference_swarm.run.run import Run
from inference_swarm.web.runs import SUMMARY, open_files
from inference_swarm.web.state import RunState, ShardState, SwarmState, WorkerState, state_document

KEPT_S = 1.0


class KeptRuns(Protocol):
    """What is asked of the keeper of runs, be it the master or a single process."""

    @property
    def latest_run(self) -> Run | None:
        """The run under way, or the last one."""

    @property
    def refused(self) -> str:
        """Why the last start came to nothing."""

    def shard_states(self) -> Mapping[str, ShardState]:
        """The rows of each worker by its id; empty between runs."""


class SwarmView:
    """Reads the state at most once in KEPT_S, however many look."""

    def __init__(self, environment: Environment, keeper: KeptRuns) -> None:
        self._environment = environment
        self._keeper = keeper
        self._shards: Mapping[str, ShardState] = {}
        self._state: SwarmState | None = None
        self._document: dict[str, Any] | None = None
        self._read_s = 0.0

    def read(self) -> SwarmState:
        """The state, not older than KEPT_S."""
        now_s = time.monotonic()
        if self._state is None or now_s - self._read_s > KEPT_S:
            self._state, self._document, self._read_s = self._read(), None, now_s
        return self._state

    def document(self) -> dict[str, Any]:
        """The state as the page gets it."""
        state = self.read()
        if self._document is None:
            self._document = state_document(state)
        return self._document

    @property
    def is_preparing(self) -> bool:
        """Rows are being loaded for a run that has not begun."""
        return bool(getattr(self._environment.runner, "is_preparing", False))

    @property
    def is_running(self) -> bool:
        """A run is under way."""
        runner = self._environment.runner
        return runner is not None and runner.state in ("spawning", "running")

    def _read(self) -> SwarmState:
        runner: Any = self._environment.runner
        run = self._keeper.latest_run
        # Between runs the shards are those of the last one.
        self._shards = self._keeper.shard_states() or self._shards
        records: Mapping[str, WorkerRecord] = {} if run is None else run.totals.workers
        nodes = list(runner.clients.values()) if isinstance(runner, MasterRunner) else [_ThisProcess(runner)]
        return SwarmState(
            state="loading" if self.is_preparing else runner.state,
            users=runner.user_count,
            users_wanted=runner.target_user_count,
            workers=[self._worker(node, records.get(node.id)) for node in nodes],
            run=None if run is None else _run_state(run),
            refused=self._keeper.refused,
        )

    def _worker(self, node: Any, record: WorkerRecord | None) -> WorkerState:
        health = WorkerRecord().health if record is None else record.health
        cpu_percent = node.cpu_usage if health.cpu_percent is None or not self.is_running else health.cpu_percent
        return WorkerState(
            id=node.id,
            state=node.state,
            users=node.user_count,
            rate_rps=0.0 if record is None or not self.is_running else record.rate_rps,
            cpu_percent=float(cpu_percent),
            memory_bytes=int(node.memory_usage),
            health=health,
            shard=self._shards.get(node.id),
        )


class _ThisProcess:
    """A single process as if it were its own only worker."""

    def __init__(self, runner: Any) -> None:
        self.id = runner.client_id
        self.state = runner.state
        self.user_count = runner.user_count
        self.cpu_usage = runner.current_cpu_usage
        self.memory_usage = runner.get_memory_usage() if hasattr(runner, "get_memory_usage") else 0


def _run_state(run: Run) -> RunState:
    settings = run.settings
    is_over = run.folder is not None and (run.folder / SUMMARY).is_file()
    return RunState(
        run_id=run.run_id,
        name=run.folder.name if run.folder is not None else "",
        started_unix_s=run.started_unix_s,
        duration_s=run.duration_s,
        measured_s=run.measured_s,
        is_over=is_over,
        dataset=source_name(run.source),
        model=settings.model,
        method=settings.pred_method,
        load=settings.arrival,
        source=run.source,
        rows=run.manifest.rows,
        blocks=len(run.manifest.blocks),
        fingerprint=run.manifest.fingerprint,
        # Reports that come later must not change what was read at one instant.
        names={name: merge_counters([counters]) for name, counters in run.totals.names.items()},
        verdict=run.verdict() if is_over else _so_far(run),
        warnings=tuple(run.self_check.warnings()),
        rate_wanted_rps=_rate_wanted_rps(run),
        files=open_files(run.folder) if run.folder is not None and is_over else (),
        stale_reports=run.totals.stale_reports,
        duplicates=run.totals.duplicates,
        left_out=left_out_metrics(run.totals),
    )


def _so_far(run: Run) -> Verdict:
    """That last reports are missing does not count against a run under way."""
    facts = RunFacts(
        measured_s=run.totals.duration_s or run.measured_s,
        is_open=run.schedule is not None,
        is_generator_bound=is_generator_bottleneck(run.self_check.warnings()),
        has_connected=run.totals.has_connected,
        incomplete_because=tuple(f"worker {worker}: {what}" for worker, what in run.lost_workers.items()),
    )
    return judge(run.totals.names, run.objectives, facts)


def _rate_wanted_rps(run: Run) -> float | None:
    if run.schedule is None:
        return None
    return run.schedule.rate.value_at(run.duration_s) or 0.0
