"""Records of made-up runs, and the folders they leave."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from inference_swarm.config.options import OPTIONS
from inference_swarm.config.settings import Settings
from inference_swarm.export.heat_map import heat_map
from inference_swarm.export.intervals import hlog_intervals, interval_rows, interval_table, longest_s
from inference_swarm.export.report import render_report
from inference_swarm.export.report_data import ReportData
from inference_swarm.export.run_folder import write_json, write_whole
from inference_swarm.export.summary import RunRecord, build_summary
from inference_swarm.judge.objectives import parse_objective
from inference_swarm.judge.self_check import SelfCheck, is_generator_bottleneck
from inference_swarm.judge.stages import judge_stages
from inference_swarm.judge.verdict import RunFacts, judge
from inference_swarm.load.stage_text import parse_stages
from inference_swarm.measure.counters import FailureRecord, RequestCounters
from inference_swarm.measure.hlog import hlog_lines
from inference_swarm.measure.phases import phases_of_run
from inference_swarm.measure.server_metrics import Reading, ServerSeries
from inference_swarm.measure.snapshot import WorkerHealth, whole_snapshot
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.run.course import Change
from inference_swarm.run.run import DataRecord

NAME = "POST /invocation"


def settings_with(**changes: object) -> Settings:
    values = {option.name: option.default for option in OPTIONS}
    return Settings(**{**values, "host": "http://127.0.0.1:8000", **changes})  # type: ignore[arg-type]


def make_run(
    *,
    slo: tuple[str, ...] = (),
    intervals: int = 10,
    per_interval: int = 1000,
    median_ms: float = 5.0,
    failed: int = 0,
    workers: int = 2,
    health: WorkerHealth | None = None,
    arrivals: tuple[int, float] | None = None,
    failure_text: str = "status: 500 Oops",
    explanation: str = "",
    abandoned: int = 0,
    warm_up_s: float = 0.0,
    interrupted_because: str = "",
    name: str = "a-run",
    seed: int = 0,
    possibly_uncounted: int | None = 0,
    possible_duplicates: int = 0,
    changes: tuple[Change, ...] = (),
    **settings: object,
) -> RunRecord:
    """A run of the given number of 3 s intervals with log-normal latencies."""
    draw = np.random.default_rng(seed)
    stages = parse_stages(str(settings["stages"])) if settings.get("stages") else None
    batch_size = int(str(settings.get("batch_size", 1)))
    phases = phases_of_run([stage.duration_s for stage in stages.stages] if stages else [])
    totals, check = SwarmTotals("run", is_staged=stages is not None), SelfCheck()
    if warm_up_s:
        totals.start_epoch(warm_up_s)
        totals.left_out[NAME] = RequestCounters(123)
    for number in range(intervals):
        for worker in range(workers):
            counters = RequestCounters(per_interval - failed, rows=per_interval * batch_size, connects=3)
            times_ns = (draw.lognormal(0, 0.3, per_interval) * median_ms * 1e6).astype(np.int64)
            counters.latency.record_ns(times_ns[failed:])
            counters.service.record_ns(times_ns[failed:])
            if failed:
                at_s = 3.0 * number
                record = FailureRecord(
                    "status", failed, at_s, at_s + 2.9, 500, explanation, list(range(17, 17 + batch_size)), batch_size
                )
                counters.count_failure(failure_text, record)
                counters.failed_latency.record_ns(times_ns[:failed])
                counters.failed_service.record_ns(times_ns[:failed])
            is_final = number == intervals - 1
            if is_final:
                counters.abandoned = abandoned
            snapshot = whole_snapshot(
                "run", f"worker-{worker}", number, 3.0 * number, 3.0 * number + 3, {NAME: counters},
                health or WorkerHealth(), 0 if is_final else 10, is_final,
            )  # fmt: skip
            part = snapshot.slices[0]
            snapshot.slices[0] = replace(part, epoch=totals.epoch, stage=phases.at(round(3e9 * number)).stage)
            totals.apply(snapshot)
            check.observe(snapshot.worker, snapshot.health)
    duration_s = 3.0 * intervals
    facts = RunFacts(
        duration_s,
        unaccounted=0 if arrivals is None else totals.unaccounted(arrivals[0]),
        is_open=arrivals is not None,
        is_generator_bound=is_generator_bottleneck(check.warnings()),
        interrupted_because=interrupted_because,
    )
    return RunRecord(
        run_id="run",
        name=name,
        started_unix_s=1_700_000_000.0,
        duration_s=duration_s + warm_up_s,
        measured_s=duration_s,
        settings=settings_with(slo="; ".join(slo), **settings),
        sources={"host": "command line"},
        totals=totals,
        verdict=judge(totals.names, [parse_objective(text) for text in slo], facts),
        warnings=tuple(check.warnings()),
        stages=()
        if stages is None
        else judge_stages(
            totals,
            stages,
            [parse_objective(text) for text in slo],
            is_open=arrivals is not None,
            end_s=duration_s,
        ),
        arrivals_wanted=arrivals,
        possibly_uncounted=possibly_uncounted,
        possible_duplicates=possible_duplicates,
        changes=changes,
        data=DataRecord(f"splits/{settings.get('dataset_name') or 'rows'}/X_test.parquet", 300, 5, "f00d"),
    )


def typical_run() -> RunRecord:
    """An open load of a minute and a half with objectives, failures, eight workers and the server's own metrics."""
    server = ServerSeries()
    for at_s in range(90):
        used_s = 0.5 * at_s + math.sin(at_s / 9)
        readings = [Reading("CPU", "% of a core", 100 * used_s, True), Reading("memory", "MiB", 90.0, False)]
        server.add(float(at_s), {"http://127.0.0.1:8000/metrics": readings})
    run = make_run(
        name="20261126-220342_healthcare-dataset-stroke_xgboost", slo=("p99<50ms", "error_rate<1%", "rate>=500"),
        intervals=30, failed=4, workers=8, explanation='{"detail": "the model is being loaded, try again later"}',
        arrivals=(240_000, 2666.7), arrival="poisson", rate_rps=2666.7, warm_up_s=5.0, model="xgboost",
        dataset_name="healthcare-dataset-stroke",
    )  # fmt: skip
    return replace(run, server=server)


def rendered(run: RunRecord) -> str:
    """The run's report."""
    total, summary, series = run.totals.total(), build_summary(run), run.totals.series
    rows = interval_rows(series)
    heat = heat_map(hlog_intervals(series, is_service=False), longest_s(rows), summary["duration_s"])
    return render_report(ReportData(summary, rows, total.latency, total.service, heat))


def save_run(run: RunRecord, folder: Path) -> Path:
    """As run_files does it, without Locust's own tables."""
    folder.mkdir(parents=True)
    write_json(folder / "summary.json", build_summary(run))
    series = run.totals.series
    for name, is_service in (("latency.hlog", False), ("service.hlog", True)):
        lines = hlog_lines(run.started_unix_s, hlog_intervals(series, is_service=is_service))
        write_whole(folder / name, "".join(lines))
    write_whole(folder / "intervals.csv", interval_table(interval_rows(series)))
    return folder
