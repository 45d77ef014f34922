"""What the Swarm tab costs the master, with 50 workers and with 2,000."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
KEPT_MS = 1000


def measured(folder: Path, workers: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("many_workers.py")), str(folder), str(workers)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "locust")},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
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
