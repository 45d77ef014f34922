"""summary.json: one run's record in, a plain document out. Pure; docs/results.md says what each field means."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version

from inference_swarm import __version__
from inference_swarm.config.documents import Document
from inference_swarm.config.settings import Settings
from inference_swarm.config.variants import model_words
from inference_swarm.data.progress import OnceNumbers
from inference_swarm.data.sources import source_name
from inference_swarm.export.ab import ab_metrics
from inference_swarm.export.answers import answer_metrics, answer_summary
from inference_swarm.export.capacity import capacity_metrics
from inference_swarm.export.intervals import IntervalRow, WantedRate, interval_rows
from inference_swarm.export.metrics import (
    address_metrics,
    counter_metrics,
    failure_records,
    left_out_metrics,
    verdict_metrics,
)
from inference_swarm.export.scenario import scenario_metrics
from inference_swarm.export.server import server_metrics
from inference_swarm.export.stage_table import stage_metrics
from inference_swarm.export.summary_version import SUMMARY_VERSION
from inference_swarm.judge.capacity.result import CapacityResult
from inference_swarm.judge.self_check import SelfCheckWarning, is_generator_bottleneck
from inference_swarm.judge.stages import StageResult
from inference_swarm.judge.verdict import Verdict
from inference_swarm.measure.server_metrics import ServerSeries
from inference_swarm.measure.snapshot import WorkerHealth
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.measure.worker_record import WorkerRecord
from inference_swarm.run.ab import AbResult
from inference_swarm.run.course import Change
from inference_swarm.run.run import DataRecord, RequestNumbers, Run
from inference_swarm.run.scenario import ScenarioResult

LIBRARIES = ("locust", "gevent", "pyarrow", "pyzmq", "pandas")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Everything that is known of a run when it has ended."""

    run_id: str
    name: str
    started_unix_s: float
    duration_s: float
    """The time of the load, with its warm-up."""
    measured_s: float
    """The time in which requests count for a rate."""
    settings: Settings
    sources: Mapping[str, str]
    totals: SwarmTotals
    verdict: Verdict
    warnings: Sequence[SelfCheckWarning] = ()
    master_health: WorkerHealth = field(default_factory=WorkerHealth)
    arrivals_wanted: tuple[int, float] | None = None
    """How many an open load's schedule held, and the rate asked for; None for a closed load."""
    wanted_rate: WantedRate | None = None
    """How an open load's rate went over the run."""
    data: DataRecord | None = None
    lost_workers: Mapping[str, str] = field(default_factory=dict)
    possibly_uncounted: int | None = 0
    """Requests that lost workers may have sent and nobody counted, at most; None: no bound is known."""
    possible_duplicates: int = 0
    """Arrivals that two workers may have sent."""
    once: OnceNumbers | None = None
    request_numbers: RequestNumbers | None = None
    changes: Sequence[Change] = ()
    """What was changed while the run went on."""
    is_shape: bool = False
    """Whether a LoadTestShape decided the users, and not the settings."""
    stages: Sequence[StageResult] = ()
    capacity: CapacityResult | None = None
    ab: AbResult | None = None
    scenario: ScenarioResult | None = None
    server: ServerSeries | None = None
    """The server's own metrics."""
    is_cut_short: bool = False
    """Its master did not wait for the last reports, or was killed."""

    @property
    def is_complete(self) -> bool:
        """True when every worker's final snapshot is in."""
        return self.totals.is_complete and not self.lost_workers and not self.is_cut_short

    @property
    def unserved(self) -> int:
        """Requests that were asked for and are in no counter: unaccounted for, or never sent."""
        unaccounted = 0 if self.arrivals_wanted is None else self.totals.unaccounted(self.arrivals_wanted[0])
        return unaccounted + (0 if self.once is None else self.once.never_sent)


def record_of(run: Run, *, is_cut_short: bool = False) -> RunRecord:
    """Return the record of a run, finished or recovered."""
    course = run.course
    return RunRecord(
        run_id=run.run_id,
        name=run.folder.name,
        started_unix_s=run.started_unix_s,
        duration_s=run.duration_s,
        measured_s=run.measured_s,
        settings=run.plan.settings,
        sources=run.plan.sources,
        totals=run.totals,
        verdict=run.verdict(),
        warnings=tuple(run.self_check.warnings()),
        master_health=run.master_health,
        arrivals_wanted=run.arrivals_wanted(),
        wanted_rate=wanted_rate_of(run),
        data=run.data,
        lost_workers=run.losses,
        possibly_uncounted=None if is_cut_short and not run.totals.is_complete else course.possibly_uncounted(),
        possible_duplicates=course.possible_duplicates + run.totals.possible_duplicates,
        once=course.once,
        request_numbers=run.request_numbers(),
        changes=tuple(course.changes),
        is_shape=course.load.is_shape,
        stages=run.stages(),
        capacity=run.capacity_result(),
        ab=run.ab_result(),
        scenario=run.scenario_result(),
        server=run.server,
        is_cut_short=is_cut_short,
    )


def wanted_rate_of(run: Run) -> WantedRate | None:
    """Return what the schedule of an open load asks for; None for a closed one."""
    schedule = run.course.load.schedule
    return None if schedule is None else WantedRate(schedule.rate, run.totals.epoch_start_s, run.duration_s)


def arrival_metrics(run: RunRecord) -> Document | None:
    """Return the counts of an open load's schedule; `unaccounted` was lost with a worker that never reported it."""
    if run.arrivals_wanted is None:
        return None
    wanted, wanted_rps = run.arrivals_wanted
    total = run.totals.total()
    return {
        "wanted": wanted,
        "wanted_rps": round(wanted_rps, 3),
        "sent": total.sent,
        "late": total.late,
        "dropped": total.dropped,
        "abandoned": total.abandoned,
        "unaccounted": run.totals.unaccounted(wanted),
    }


def worker_metrics(record: WorkerRecord) -> Document:
    """Return a worker's part of the requests, and the worst that its self-check saw."""
    return {
        "sent": record.sent,
        "succeeded": record.succeeded,
        "failed": record.failed,
        "abandoned": record.abandoned,
        "worst": asdict(record.worst_health),
    }


def build_summary(run: RunRecord, rows: Sequence[IntervalRow] | None = None) -> Document:
    """Return the document. `rows` are the run's intervals, for a caller that has read them: that takes long."""
    values, total = run.settings.to_record(), run.totals.total()
    if rows is None:
        rows = interval_rows(run.totals.series, run.wanted_rate)
    return {
        "version": SUMMARY_VERSION,
        "run_id": run.run_id,
        "run": run.name,
        "started_at": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(run.started_unix_s)),
        "started_unix_s": round(run.started_unix_s, 3),
        "duration_s": round(run.duration_s, 3),
        "measured_s": round(run.measured_s, 3),
        "left_out": left_out_metrics(run.totals),
        **verdict_metrics(run.verdict),
        "generator_bound": is_generator_bottleneck(run.warnings),
        "self_check": [asdict(warning) for warning in run.warnings],
        "complete": run.is_complete,
        "incomplete_workers": {**run.totals.incomplete_workers(), **run.lost_workers},
        "possibly_uncounted": run.possibly_uncounted,
        "possible_duplicates": run.possible_duplicates,
        "other_users": asdict(run.totals.others),
        "changes": [{"at_s": round(change.at_s, 3), "what": change.what} for change in run.changes],
        **_limit_metrics(run),
        "dataset": run.settings.dataset_name if run.data is None else source_name(run.data.source),
        "model": model_words(run.settings),
        "method": run.settings.pred_method,
        "users": max((row.users for row in rows), default=0) if run.is_shape else run.settings.users,
        "workers": len(run.totals.workers),
        "load": run.settings.arrival,
        "arrivals": arrival_metrics(run),
        **counter_metrics(total, run.measured_s, run.unserved),
        "failed": failure_records(total),
        "answers": answer_summary(total, run.settings, run.totals.series, rows, run.stages),
        "capacity": capacity_metrics(run.capacity),
        "ab": ab_metrics(run.ab),
        "scenario": scenario_metrics(run.scenario),
        "server": server_metrics(run.server, run.capacity),
        "stages": [stage_metrics(stage) for stage in run.stages],
        "addresses": address_metrics(total),
        "names": {
            name: {**counter_metrics(one, run.measured_s), "answers": answer_metrics(one, run.settings)}
            for name, one in sorted(run.totals.names.items())
        },
        "by_worker": {worker: worker_metrics(record) for worker, record in sorted(run.totals.workers.items())},
        "master": asdict(run.master_health),
        "data": None if run.data is None else asdict(run.data),
        "settings": {name: {"value": value, "source": run.sources.get(name, "")} for name, value in values.items()},
        "versions": versions(),
    }


def _limit_metrics(run: RunRecord) -> Document:
    """Return what became of rows that were to be sent once, and of a number of requests."""
    return {
        "once": None if run.once is None else asdict(run.once),
        "request_limit": None if run.request_numbers is None else asdict(run.request_numbers),
    }


def versions() -> dict[str, str]:
    """Return the versions of this program, of Python and of the libraries that matter to a number."""
    found = {"inference_swarm": __version__, "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "unknown"
    return found
