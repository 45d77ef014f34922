"""What the Swarm tab and Locust's own routes say and cost the master, with 50 workers and with 2,000."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
KEPT_MS = 1000


def measured(folder: Path, workers: int, program: str = "many_workers.py") -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(program)), str(folder), str(workers)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "locust")},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])  # Locust may print a warning
    return found


@pytest.mark.processes
def test_any_number_of_viewers_takes_less_than_5_percent_of_a_core_at_50_workers(tmp_path: Path) -> None:
    found = measured(tmp_path, 50)
    assert found["state_ms"] + found["series_ms"] < 0.05 * KEPT_MS, found
    assert found["kept_ms"] < 0.1, found
    assert found["metrics_ms"] < 0.05 * 2 * KEPT_MS, found


@pytest.mark.processes
def test_2000_workers_cost_the_page_no_more_bytes_than_50_and_less_than_5_percent_of_a_core(tmp_path: Path) -> None:
    few, many = measured(tmp_path, 50), measured(tmp_path, 2000)
    assert many["state_bytes"] < 2 * few["state_bytes"], (few, many)
    assert many["state_ms"] + many["series_ms"] < 0.05 * KEPT_MS, many


@pytest.mark.processes
def test_locusts_page_its_routes_and_plugins_go_on_working_with_2000_workers(tmp_path: Path) -> None:
    found = measured(tmp_path, 2000, "locust_pages.py")
    assert (found["workers"], found["worker_count"], found["plugin"]) == (2000, 2000, {"workers": 2000, "q": "x"})
    assert found["users"] == found["users_of_workers"] == 1_000_000
    assert (found["state"], found["names"], found["tasks"]) == ("running", 20, ["MyUser"])
    assert (found["requests"], found["failures"]) == (2_000_000, 80_000)
    assert found["csv_requests"] == [100_000] * 20 + [2_000_000]
    assert found["csv_failures"] == [4000] * 20
    assert found["has_tab"] is True
    assert found["report_has"] == [True] * 20
    # Locust's page asks every two seconds; what it gets is made once in two.
    assert found["stats_ms"] < 0.05 * 2 * KEPT_MS, found
    assert found["stats_kept_ms"] < 0.01 * 2 * KEPT_MS, found
    assert max(found["csv_ms"], found["report_ms"], found["index_ms"]) < KEPT_MS, found
    # A page of workers, which is read as often as the state, is a quarter of this one at most.
    assert found["page_ms"] < 0.05 * 2 * KEPT_MS, found
    assert found["page_bytes"] < 200_000, found
