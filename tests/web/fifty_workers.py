"""CPU time that one answer of each route costs a master with 50 workers; a program of its own, as Locust patches.

Prints a JSON object. Nothing is kept between the answers, as if each came after the time for which one is kept.
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
import pyarrow as pa
import pyarrow.parquet as pq
from locust.runners import MasterRunner, WorkerNode

from inference_swarm.config.options import OPTIONS
from inference_swarm.config.settings import Settings
from inference_swarm.data.dataset import read_manifest
from inference_swarm.judge.objectives import parse_objective
from inference_swarm.measure.counters import RequestCounters
from inference_swarm.measure.snapshot import WorkerHealth, whole_snapshot
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.run.run import Run
from inference_swarm.web.metrics import expose
from inference_swarm.web.state import ShardState
from inference_swarm.web.view import SwarmView

WORKERS = 50
ROUNDS = 40


class Runner(MasterRunner):
    """As much of a master as the view looks at."""

    def __init__(self, workers: list[str]) -> None:
        self.greenlet = None
        self.state = "running"
        self.target_user_count = 500
        self.clients: Any = {name: WorkerNode(name, "running") for name in workers}


def make_run(folder: Path, workers: list[str]) -> Run:
    path = folder / "rows.parquet"
    pq.write_table(pa.table({"n": list(range(100_000))}), path)
    settings = Settings(**{option.name: option.default for option in OPTIONS})
    totals = SwarmTotals("run")
    generator = np.random.default_rng(0)
    for name in workers:
        counters = RequestCounters(10_000)
        counters.latency.record_ns((generator.lognormal(0, 1, 10_000) * 2e6).astype(np.int64))
        counters.service.add(counters.latency)
        health = WorkerHealth(loop_lag_p99_ms=12.0, cpu_percent=95.0)  # each worker has its warnings
        totals.apply(whole_snapshot("run", name, 0, 0.0, 3.0, {"POST /invocation": counters}, health, users=10))
    objectives = [parse_objective(text) for text in ("p99<5ms", "service.p99.9<20ms", "error_rate<1%", "rate>=1000")]
    run = Run("run", settings, str(path), read_manifest(str(path)), totals, objectives)
    for name, record in totals.workers.items():
        run.self_check.observe(name, record.health)
    run.began_ns = time.monotonic_ns()
    return run


def cpu_ms(answer: Callable[[], object]) -> float:
    answer()
    began = time.process_time()
    for _ in range(ROUNDS):
        answer()
    return (time.process_time() - began) / ROUNDS * 1000


def main() -> None:
    workers = [f"host_{number:032x}" for number in range(WORKERS)]
    run = make_run(Path(sys.argv[1]), workers)
    shards = {name: ShardState(10, 2000, 2000, 500_000, True) for name in workers}
    keeper = SimpleNamespace(latest_run=run, refused="", shard_states=lambda: shards)

    def view() -> SwarmView:
        return SwarmView(SimpleNamespace(runner=Runner(workers)), keeper)  # type: ignore[arg-type]

    document = view().document()
    assert len(document["workers"]) == WORKERS
    figures = {
        "state_ms": cpu_ms(lambda: json.dumps(view().document())),
        "metrics_ms": cpu_ms(lambda: expose(view().read(), "")),
        "state_bytes": len(json.dumps(document)),
    }
    sys.stdout.write(json.dumps(figures))


main()
