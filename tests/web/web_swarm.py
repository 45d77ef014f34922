"""A real master with its web UI, and its workers, for tests that look at the page or its routes."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from recording_server import Recording
from swarm_processes import Swarm, free_port, wait_until


class WebSwarm:
    """Master and workers of one test, and their page."""

    def __init__(self, swarm: Swarm, target: Recording) -> None:
        self.swarm = swarm
        self.target = target
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def make_dataset(self, name: str, rows: int = 1000) -> None:
        path = self.swarm.results / "splits" / name / "X_test.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({"n": list(range(rows))}), path)

    def start(self, *arguments: str, workers: int = 2, env: Mapping[str, str] | None = None) -> None:
        self.swarm.start(
            "master", "--master", "--master-bind-host", "127.0.0.1", "--master-bind-port",
            str(self.swarm.master_port), "--web-host", "127.0.0.1", "--web-port", str(self.port),
            "--results", str(self.swarm.results), "--host", self.target.url, *arguments, env=env,
        )  # fmt: skip
        for number in range(1, workers + 1):
            self.swarm.start_worker(number)

    def wait_for_workers(self, count: int = 2) -> None:
        wait_until(lambda: self.is_up() and len(self.state()["workers"]) == count, 30, f"{count} workers")

    def is_up(self) -> bool:
        try:
            self.get("/swarm/state")
        except OSError:
            return False
        return True

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=10) as response:
            text: str = response.read().decode()
        return text

    def state(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.get("/swarm/state"))
        return document

    def post(self, path: str, fields: Mapping[str, str]) -> dict[str, Any]:
        body = urllib.parse.urlencode(fields).encode()
        with urllib.request.urlopen(self.url + path, body, timeout=30) as response:
            document: dict[str, Any] = json.loads(response.read())
        return document

    def start_run(self, **fields: str) -> dict[str, Any]:
        return self.post("/swarm", {"user_count": "10", "spawn_rate": "100", **fields})

    def wait_for_end(self, runs: int) -> list[dict[str, Any]]:
        """The summaries of N runs, oldest first."""

        def summaries() -> list[Path]:
            return sorted((self.swarm.results / "runs").glob("*/summary.json"), key=lambda path: path.stat().st_mtime)

        wait_until(lambda: len(summaries()) == runs, 30, f"{runs} runs with a summary")
        return [json.loads(path.read_text(encoding="utf-8")) for path in summaries()]

    def run_once(self, seconds: float = 2, runs: int = 1, **fields: str) -> dict[str, Any]:
        """A run of as many requests as fit into the time, started and stopped as the page does it."""
        response = self.start_run(run_time=str(int(seconds)), **fields)
        assert response["success"] is True, response
        summaries = self.wait_for_end(runs)
        wait_until(lambda: self.state()["state"] in ("ready", "stopped"), 30, "that all files are written")
        return summaries[-1]
