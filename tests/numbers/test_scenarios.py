"""Each scenario against a server of known behaviour gives the known figure within 5 %, in a time that is shortened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quiet import Outcome, assert_holds, run_once
from swarm_processes import Swarm

pytestmark = pytest.mark.processes

Server = Callable[..., Any]
SHORT = "s were measured instead of at least 600 s"


def scenario_of(run: Outcome, name: str) -> dict[str, Any]:
    scenario: dict[str, Any] = run.summary["scenario"]
    assert scenario["scenario"] == name
    assert [SHORT in words for words in scenario["differences"]] == [True]
    assert f"scenario   {name}: {scenario['metric']} {scenario['text']}" in run.result.stderr
    assert "not as MLPerf has it: " in run.result.stderr
    return scenario


@pytest.mark.alone
@pytest.mark.parametrize(
    ("name", "spec", "percentile", "rows_each"),
    # The percentile is well within the slow part of the requests.
    [("single-stream", ("0.7@0.01", "0.3@0.03"), 90, 1), ("multi-stream", ("0.9@0.005", "0.1@0.02"), 99, 8)],
)
def test_one_user_sees_the_delay_of_the_server(
    swarm: Swarm, delay_server: Server, rows: Path, name: str, spec: tuple[str, ...], percentile: int, rows_each: int
) -> None:
    swarm.write_config({"users": 50, "spawn_rate": 25, "duration": "30s", "wait_time": {"max_seconds": 0.0}})

    def check(run: Outcome) -> None:
        scenario = scenario_of(run, name)
        truth_us = np.percentile((run.record[1] - run.record[0]) / 1000, percentile, method="inverted_cdf")
        assert scenario["value"] == pytest.approx(truth_us, rel=0.05)
        assert run.summary["users"] == 1
        assert run.summary["rows"] == rows_each * run.summary["requests"]
        assert run.result.returncode == 0, run.result.stderr

    assert_holds(check, lambda: run_once(swarm, lambda: delay_server(*spec), rows, 1, "--scenario", name, "-t", "6s"))


@pytest.mark.alone
def test_offline_gives_the_rows_that_the_batches_in_flight_allow(
    swarm: Swarm, delay_server: Server, rows: Path
) -> None:
    def check(run: Outcome) -> None:
        scenario = scenario_of(run, "offline")
        assert scenario["value"] == pytest.approx(
            4 * 100 / float(np.mean(run.record[1] - run.record[0]) / 1e9), rel=0.05
        )
        assert scenario["samples"] == run.summary["rows"] >= 24_576
        assert run.result.returncode == 0, run.result.stderr

    assert_holds(
        check,
        lambda: run_once(
            swarm, lambda: delay_server("1@0.1"), rows, 1,
            "--scenario", "offline", "--batch-size", "100", "-u", "4", "-r", "100", "-t", "7s",
        ),
    )  # fmt: skip


@pytest.mark.first
def test_too_few_samples_are_incomplete(swarm: Swarm, delay_server: Server, rows: Path) -> None:
    run = run_once(swarm, lambda: delay_server("1@0.1"), rows, 1, "--scenario", "single-stream", "-t", "3s")
    assert run.summary["requests"] < 64
    assert run.result.returncode == 4
    assert run.summary["verdict"] == "incomplete"
    # That the load generator was late, on a busy machine, would be one more.
    (reason,) = [because for because in run.summary["reasons"] if "load generator" not in because]
    assert reason == f"scenario single-stream: {run.summary['requests']} samples, at least 64 are needed"
    assert reason in (run.folder / "report.html").read_text(encoding="utf-8")
