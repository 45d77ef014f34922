"""A real master of several hundred simulated workers: Locust's page, its statistics and ours go on working."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from swarm_processes import wait_until
from web_swarm import WebSwarm

SIMULATOR = Path(__file__).resolve().parents[2] / "benchmarks" / "simulated_workers.py"
WORKERS, USERS, REQUESTS_A_REPORT = 300, 6000, 1000


@contextmanager
def simulated(web: WebSwarm) -> Iterator[subprocess.Popen[str]]:
    """Agents of real workers, each on a socket of its own; rows are ready at once, users send nothing."""
    process = subprocess.Popen(
        [
            *(sys.executable, str(SIMULATOR), "--port", str(web.swarm.master_port), "--first", "0"),
            *("--count", str(WORKERS), "--names", "1"),
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdin is not None
        process.stdin.write("join\n")
        process.stdin.flush()
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.processes
def test_locusts_page_and_ours_go_on_working_with_hundreds_of_workers(web: WebSwarm, tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": list(range(20_000))}), tmp_path / "many.parquet")
    web.start(
        "--data", str(tmp_path / "many.parquet"), "--no-probe", "--autostart", "--expect-workers", str(WORKERS),
        "-u", str(USERS), "-r", "50000", "-t", "1h", workers=0,
    )  # fmt: skip
    wait_until(web.is_up, 30, "the page")
    with simulated(web) as process:
        wait_until(lambda: web.state()["worker_count"] == WORKERS, 30, "all workers")
        wait_until(lambda: web.state()["users"] == USERS, 30, "all users")
        wait_until(lambda: (web.state()["run"] or {}).get("requests", 0) >= WORKERS * REQUESTS_A_REPORT, 30, "reports")
        stats = json.loads(web.get("/stats/requests"))
        assert len(stats["workers"]) == WORKERS
        assert sum(worker["user_count"] for worker in stats["workers"]) == stats["user_count"] == USERS
        assert stats["state"] == "running"
        assert "swarm-panel" in web.get("/")
        state = web.state()
        shown = state["workers"]
        assert len(shown) < 60
        assert sum(one["users"] for one in shown) == USERS
        assert f"swarm_workers {WORKERS}" in web.get("/metrics").replace(".0", "")
        web.post("/stop", {})
        summary = wait_for_summary(web)
        said = last_words(process)
    assert summary["complete"] is True
    assert summary["workers"] == WORKERS
    assert summary["requests"] == said["reports"] * REQUESTS_A_REPORT  # no report is lost
    assert said["unconfirmed"] == 0
    # Locust keeps what it has said for two seconds.
    wait_until(lambda: locusts_total(web) == summary["requests"], 10, "Locust's own count")


def locusts_total(web: WebSwarm) -> int:
    stats = json.loads(web.get("/stats/requests"))["stats"]
    return sum(one["num_requests"] for one in stats if one["name"] == "Aggregated")


def wait_for_summary(web: WebSwarm) -> dict[str, Any]:
    wait_until(lambda: bool(list(web.swarm.results.glob("runs/*/locust.html"))), 30, "the results")
    return web.swarm.summary()


def last_words(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What the simulator knows, some time after the last report."""
    assert process.stdout is not None
    until_s = time.monotonic() + 1.0
    for line in process.stdout:
        if time.monotonic() > until_s:
            found: dict[str, Any] = json.loads(line)
            return found
    raise AssertionError("the simulated workers have ended")
