"""One run of the swarm on this machine: Locust's own command line in, the run's summary.json out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference_swarm.program import CONFIG_FILE, LOCUSTFILE

SUMMARY = "summary.json"


@dataclass(frozen=True, slots=True)
class RunResult:
    """What one run left: exit code of the master, folder, and its summary (None when it wrote none)."""

    exit_code: int
    folder: Path
    summary: dict[str, Any] | None


def default_results() -> Path:
    """Where results are when no option says so; scripts/environment.sh sets SWARM_RESULTS outside of the checkout."""
    return Path(os.environ.get("SWARM_RESULTS") or "experiment-results")


def locust_command(*arguments: str) -> list[str]:
    """argv of Locust with our locustfile, in this Python environment."""
    return [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *arguments]


def quiet() -> dict[str, str]:
    """Return the variables of a run that logs warnings only; empty where somebody chose a level already."""
    if os.environ.get("LOGLEVEL") or os.environ.get("LOCUST_LOGLEVEL"):
        return {}
    try:
        settings = json.loads(Path(os.environ.get("SWARM_CONFIG") or CONFIG_FILE).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):  # the run says what is wrong with it
        return {}
    is_chosen = isinstance(settings, dict) and "log_level" in settings
    return {} if is_chosen else {"LOGLEVEL": "WARNING"}


def read_result(results: Path, run_name: str, exit_code: int) -> RunResult:
    """The result of a run that has ended."""
    folder = results / "runs" / run_name
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except FileNotFoundError:
        summary = None
    return RunResult(exit_code, folder, summary)


def wait_for(child: subprocess.Popen[bytes]) -> int:
    """Exit code of a child, waiting in a way that Ctrl-C interrupts."""
    while True:
        try:
            return child.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            continue


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows (the first one the headers) in columns; numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ]
        return "  ".join(cells).rstrip()

    return "\n".join([line(rows[0]), "  ".join("-" * width for width in widths), *(line(row) for row in rows[1:])])


def format_us(value: float | None) -> str:
    """A latency for reading: 412 µs, 3.21 ms, 1.234 s."""
    if value is None:
        return "-"
    if value < 1000:
        return f"{value:.0f} µs"
    if value < 1_000_000:
        return f"{value / 1000:.2f} ms"
    return f"{value / 1_000_000:.3f} s"


RESULT_HEADERS = ("dataset", "model", "requests", "failures", "rate/s", "p50", "p95", "p99")


def result_cells(summary: dict[str, Any]) -> tuple[str, ...]:
    """Cells under RESULT_HEADERS."""
    latency = summary["latency_us"]
    return (
        summary["dataset"] or "-",
        summary["model"] or "-",
        str(summary["requests"]),
        str(summary["failures"]),
        f"{summary['rate_rps']:.0f}",
        format_us(latency["p50"]),
        format_us(latency["p95"]),
        format_us(latency["p99"]),
    )
