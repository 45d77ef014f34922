"""What the Swarm tab costs the master with 50 workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PERIOD_MS = 2000


@pytest.mark.processes
def test_an_update_every_2_s_at_50_workers_takes_less_than_5_percent_of_a_core(tmp_path: Path) -> None:
    measured = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("fifty_workers.py")), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "locust")},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert measured.returncode == 0, measured.stderr
    measured_ms = json.loads(measured.stdout)
    assert measured_ms["state_ms"] < 0.05 * PERIOD_MS, measured_ms
    assert measured_ms["metrics_ms"] < 0.05 * PERIOD_MS, measured_ms
