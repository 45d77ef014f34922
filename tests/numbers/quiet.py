"""Runs of the real command, tried again where the machine was too busy for its numbers to mean anything."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from swarm_processes import Swarm

TRIES = 2
# A server that spins through the last millisecond of each delay is late only when something else has the core.
QUIET_NS = 300_000


@dataclass(frozen=True)
class Outcome:
    """What the run says of itself, and what the server noted: when requests came, were due and were answered, in ns."""

    result: subprocess.CompletedProcess[str]
    summary: dict[str, Any]
    record: npt.NDArray[np.int64]
    folder: Path


def run_until_quiet(
    swarm: Swarm,
    start_server: Callable[[], Any],
    rows: Path,
    workers: int,
    *arguments: str,
    share: float = 95,
    timeout_s: float = 90,
) -> Outcome:
    """A run in which nothing else took the cores; skips the test if there is none. Counts must agree in any case.

    `share` of the server's own answers may not be late.
    """
    for _ in range(TRIES):
        server = start_server()
        name = f"run-{len(swarm.run_folders())}"
        result = swarm.run(
            "--headless", "--host", server.url, "--data", str(rows), "--results", str(swarm.results),
            "--processes", str(workers), "--master-bind-port", str(swarm.master_port),
            "--master-port", str(swarm.master_port), "--run-name", name, *arguments, timeout_s=timeout_s,
        )  # fmt: skip
        folder = swarm.results / "runs" / name
        assert (folder / "summary.json").exists(), result.stderr
        summary = swarm.read_summary(folder)
        record = server.stop()
        assert summary["requests"] == record.shape[1], "the server's own count"
        late_ns = float(np.percentile(record[2] - record[1], share))
        if late_ns < QUIET_NS:
            return Outcome(result, summary, record, folder)
    pytest.skip(f"this machine is too busy: the server itself answered {late_ns / 1e6:.1f} ms late (p{share:g})")
