"""The data that the web UI shows, from Locust's runner and the record of runs: the one place that knows both."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from locust.env import Environment
from locust.runners import MasterRunner

from inference_swarm.cluster.master_adapter import MasterAdapter
from inference_swarm.cluster.run_common import reason_against_start
from inference_swarm.cluster.run_rows import RowsState
from inference_swarm.cluster.state import Phase
from inference_swarm.config.documents import Document
from inference_swarm.data.sources import source_name
from inference_swarm.export.answers import answer_metrics, answer_sentences
from inference_swarm.export.capacity import capacity_metrics
from inference_swarm.export.metrics import left_out_metrics
from inference_swarm.measure.counters import merge_counters
from inference_swarm.measure.worker_record import WorkerRecord
from inference_swarm.run.run import Run
from inference_swarm.web.json_text import json_bytes
from inference_swarm.web.runs import SUMMARY, RunArchive, open_files
from inference_swarm.web.series import LiveSeries
from inference_swarm.web.state import RunState, SwarmState, state_document
from inference_swarm.web.worker_pages import PageWanted, WorkerPages
from inference_swarm.web.worker_rows import WorkerState

KEPT_S = 1.0
# Viewers of one run ask from the same instants on.
MAX_KEPT = 8


class KeptRuns(Protocol):
    """The runs of this process: the coordinator's state, the run under way or the last one, and why the last start was
    refused.
    """

    adapter: MasterAdapter
    latest: Run | None
    refused: str


class SwarmView:
    """Reads the state at most once in KEPT_S, for any number of viewers."""

    def __init__(self, environment: Environment, runs: KeptRuns) -> None:
        self._environment = environment
        self._runs = runs
        self._shards: Mapping[str, RowsState] = {}
        self._state: SwarmState | None = None
        self._body: bytes | None = None
        self._pages: WorkerPages | None = None
        self._series_bodies: dict[float, bytes] = {}
        self._read_s = 0.0
        self._archive = RunArchive(Path())
        self._series = LiveSeries()
        self._series_read_s = -KEPT_S

    def read(self) -> SwarmState:
        """Return the state, not older than KEPT_S."""
        now_s = time.monotonic()
        if self._state is None or now_s - self._read_s > KEPT_S:
            self._state, self._body, self._pages, self._read_s = self._read(), None, None, now_s
        return self._state

    def state_body(self) -> bytes:
        """Return the state as the page gets it, written once for all viewers."""
        state = self.read()
        if self._body is None:
            self._body = json_bytes(state_document(state))
        return self._body

    def workers_page(self, wanted: PageWanted) -> Document:
        """Return some workers, one by one, of the state that is kept."""
        state = self.read()
        if self._pages is None:
            self._pages = WorkerPages(state.workers)
        return self._pages.page(wanted)

    def series_body(self, since_s: float) -> bytes:
        """Return the run under way, or the last one, over time from `since_s` on, not older than KEPT_S."""
        run, now_s = self._runs.latest, time.monotonic()
        is_over = run is not None and _is_over(run)
        if now_s - self._series_read_s > KEPT_S or not self._series.is_of(run, is_over=is_over):
            self._series.read(run, is_over=is_over)
            self._series_read_s, self._series_bodies = now_s, {}
        body = self._series_bodies.get(since_s)
        if body is None:
            body = json_bytes(self._series.document(since_s))
            if len(self._series_bodies) < MAX_KEPT:
                self._series_bodies[since_s] = body
        return body

    @property
    def reason_against_start(self) -> str:
        """The reason why a run cannot begin now; empty when it can."""
        return reason_against_start(self._runs.adapter.state)

    @property
    def is_running(self) -> bool:
        """True while a run is under way."""
        return self._runs.adapter.state.phase is Phase.RUNNING

    def _read(self) -> SwarmState:
        runner: Any = self._environment.runner
        run = self._runs.latest
        # Between runs the shards are those of the last one.
        job = self._runs.adapter.state.job
        if job is not None and job.rows is not None:
            self._shards = job.rows.states()
        records: Mapping[str, WorkerRecord] = {} if run is None else run.totals.workers
        nodes = list(runner.clients.values()) if isinstance(runner, MasterRunner) else [_ThisProcess(runner)]
        return SwarmState(
            state=_state(self._runs.adapter.state.phase, str(runner.state)),
            users=runner.user_count,
            users_wanted=runner.target_user_count,
            users_draining=runner.draining_user_count,
            workers=[self._worker(node, records.get(node.id)) for node in nodes],
            run=None if run is None else _run_state(run, self._archive),
            refused=self._runs.refused,
        )

    def _worker(self, node: Any, record: WorkerRecord | None) -> WorkerState:
        health = WorkerRecord().health if record is None else record.health
        cpu_percent = node.cpu_usage if health.cpu_percent is None or not self.is_running else health.cpu_percent
        return WorkerState(
            id=node.id,
            state=node.state,
            users=node.user_count,
            rate_rps=0.0 if record is None or not self.is_running else record.rate_rps,
            rows_per_s=0.0 if record is None or not self.is_running else record.rows_per_s,
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


def _state(phase: Phase, locust_state: str) -> str:
    """Return Locust's word where it has one."""
    if phase in (Phase.PREPARING, Phase.STARTING):
        return "loading"
    return "stopping" if phase in (Phase.STOPPING, Phase.CLOSING) else locust_state


def _is_over(run: Run) -> bool:
    """True once its results are written."""
    return (run.folder / SUMMARY).is_file()


def _run_state(run: Run, archive: RunArchive) -> RunState:
    settings = run.plan.settings
    is_over = _is_over(run)
    return RunState(
        run_id=run.run_id,
        name=run.folder.name,
        started_unix_s=run.started_unix_s,
        duration_s=run.duration_s,
        measured_s=run.measured_s,
        is_over=is_over,
        target=(settings.host or "").partition("?")[0],
        dataset=source_name(run.data.source),
        model=settings.model,
        method=settings.pred_method,
        api=settings.api,
        load=settings.arrival,
        source=run.data.source,
        rows=run.data.rows,
        blocks=run.data.blocks,
        fingerprint=run.data.fingerprint,
        # Reports that come later must not change what was read at one instant.
        names={name: merge_counters([counters]) for name, counters in run.totals.names.items()},
        verdict=run.verdict() if is_over else run.verdict_so_far(),
        warnings=tuple(run.self_check.warnings()),
        rate_wanted_rps=_rate_wanted_rps(run),
        files=open_files(run.folder) if is_over else (),
        stale_reports=run.totals.stale_reports,
        duplicates=run.totals.duplicates,
        left_out=left_out_metrics(run.totals),
        others=run.totals.others,
        capacity=capacity_metrics(run.capacity_result()),
        # Where wrong answers begin is looked for among all intervals: once, when the results are written.
        answers=archive.answers(run.folder) if is_over else _answers_so_far(run),
    )


def _answers_so_far(run: Run) -> Document | None:
    found = answer_metrics(run.totals.total(), run.plan.settings)
    return None if found is None else {**found, "sentences": answer_sentences(found)}


def _rate_wanted_rps(run: Run) -> float | None:
    schedule = run.course.load.schedule
    return None if schedule is None else schedule.rate.value_at(run.duration_s) or 0.0
