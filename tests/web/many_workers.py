"""CPU time that one response of each route costs a master with N workers; a program of its own, as Locust patches.

    many_workers.py FOLDER WORKERS

Prints a JSON object. `state_ms` and `series_ms` are of a response for which nothing was kept, as the first viewer of
each second gets it; `kept_ms` of one that the others get.
"""

import locust  # noqa: F401 - first: it makes the standard library cooperative  # isort: skip

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from locust.runners import MasterRunner, WorkerNode

from inference_swarm.cluster.run_rows import RowsState
from inference_swarm.cluster.state import Phase
from inference_swarm.config.options import OPTIONS
from inference_swarm.config.settings import Settings
from inference_swarm.measure.counters import RequestCounters
from inference_swarm.measure.snapshot import WorkerHealth, whole_snapshot
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.run.course import RunCourse
from inference_swarm.run.plan import make_plan
from inference_swarm.run.run import DataRecord, Run
from inference_swarm.web.metrics import expose
from inference_swarm.web.view import SwarmView

INTERVALS = 40
SLO = "p99<5ms; service.p99.9<20ms; error_rate<1%; rate>=1000"


class Runner(MasterRunner):
    """As much of a master as the view looks at."""

    def __init__(self, workers: list[str]) -> None:
        self.greenlet = None
        self.state = "running"
        self.target_user_count = 500
        self.draining_user_count = 0
        self.clients: Any = {name: WorkerNode(name, "running") for name in workers}


def make_run(folder: Path, workers: list[str]) -> Run:
    values = {option.name: option.default for option in OPTIONS}
    settings = Settings(**{**values, "host": "http://127.0.0.1:8000", "data": "rows.parquet", "slo": SLO})
    totals = SwarmTotals("run")
    generator = np.random.default_rng(0)
    for name in workers:
        counters = RequestCounters(10_000)
        counters.latency.record_ns((generator.lognormal(0, 1, 10_000) * 2e6).astype(np.int64))
        counters.service.add(counters.latency)
        health = WorkerHealth(loop_lag_p99_ms=12.0, cpu_percent=95.0)  # each worker has its warnings
        totals.apply(whole_snapshot("run", name, 0, 0.0, 3.0, {"POST /invocation": counters}, health, users=10))
        for number in range(1, INTERVALS if name == workers[0] else 1):
            start_s = 3.0 * number
            names = {"POST /invocation": counters}
            totals.apply(whole_snapshot("run", name, number, start_s, start_s + 3, names, health, users=10))
    plan = make_plan(settings, {}, "", "this master")
    course = RunCourse("run", plan.load, totals, began_s=time.monotonic() - 3.0 * INTERVALS)
    run = Run(plan, DataRecord("rows.parquet", 100_000, 500, "f00d"), course, totals, folder)
    for name, record in totals.workers.items():
        run.self_check.observe(name, record.health)
    return run


def cpu_ms(answer: Callable[[], object], rounds: int = 20) -> float:
    """The least of some rounds: other programs on the same core make the others longer, CPU time too."""
    answer()

    def once() -> float:
        began_s = time.process_time()
        answer()
        return time.process_time() - began_s

    return min(once() for _ in range(rounds)) * 1000


def main() -> None:
    count = int(sys.argv[2])
    workers = [f"host-{number % 50}_{number:08x}" for number in range(count)]
    run = make_run(Path(sys.argv[1]), workers)
    shards = {name: RowsState(10, 2000, 2000, 500_000, True) for name in workers}
    job = SimpleNamespace(rows=SimpleNamespace(states=lambda: shards))
    adapter = SimpleNamespace(state=SimpleNamespace(phase=Phase.RUNNING, job=job))
    runs = SimpleNamespace(adapter=adapter, latest=run, refused="")
    environment = SimpleNamespace(runner=Runner(workers))

    def view() -> SwarmView:
        return SwarmView(environment, runs)  # type: ignore[arg-type]

    def state() -> bytes:
        # A third of the workers has reported since, as in each second of a run.
        for name in workers[::3]:
            run.self_check.observe(name, run.totals.workers[name].health)
        return view().state_body()

    kept = view()
    body = kept.state_body()
    assert json.loads(body)["worker_count"] == count
    kept.series_body(0.0)

    def series() -> bytes:
        kept._series_read_s = 0.0  # what has settled stays, all else is read again
        return kept.series_body(60.0)

    measured = {
        "state_ms": cpu_ms(state),
        "series_ms": cpu_ms(series),
        "kept_ms": cpu_ms(lambda: (kept.state_body(), kept.series_body(60.0)), 200),
        "metrics_ms": cpu_ms(lambda: expose(view().read(), ""), 3),
        "state_bytes": len(body),
    }
    sys.stdout.write(json.dumps(measured))


if __name__ == "__main__":
    main()
