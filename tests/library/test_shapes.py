"""Runs whose load a LoadTestShape decides: their ends, and the next one."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from recording_server import Recording
from swarm_processes import Swarm, wait_until

pytestmark = pytest.mark.processes

SHAPE = """
from inference_swarm import InferenceUser, attach
from locust import LoadTestShape

class ModelUser(InferenceUser):
    pass

class Shape(LoadTestShape):
    def tick(self):
        return {tick}

attach()
"""
LONG = "(2, 10) if self.get_run_time() < 60 else None"
WAYS = {"alone": ("--processes", "0"), "workers": ("--processes", "2")}


def locustfile(swarm: Swarm, tick: str) -> str:
    path = swarm.folder / "shape_file.py"
    path.write_text(SHAPE.format(tick=tick), encoding="utf-8")
    return str(path)


def options(swarm: Swarm, recording: Recording, tick: str) -> tuple[str, ...]:
    rows = swarm.folder / "rows.csv"
    rows.write_text("n\n1\n2\n", encoding="utf-8")
    recording.delay_s = 0.02
    return (
        "-f", locustfile(swarm, tick), "--host", recording.url, "--data", str(rows), "--results", str(swarm.results),
        "--master-bind-port", str(swarm.master_port), "--master-port", str(swarm.master_port),
    )  # fmt: skip


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("way", WAYS)
def test_a_shape_that_is_cut_short_leaves_all_results_and_is_interrupted(
    swarm: Swarm, recording: Recording, way: str, told: signal.Signals
) -> None:
    page, statistics = swarm.folder / "page.html", swarm.folder / "statistics"
    process = swarm.start(
        "master", *options(swarm, recording, LONG), *WAYS[way], "--headless", "--html", str(page), "--json-file",
        str(statistics),
    )  # fmt: skip
    wait_until(lambda: recording.count > 20, 30, "requests")
    process.send_signal(told)
    assert process.wait(60) == 4, swarm.log("master")
    summary = swarm.summary()
    assert summary["verdict"] == "interrupted"
    assert summary["exit_code"] == 4
    assert summary["requests"] <= recording.count <= summary["requests"] + summary["abandoned"]
    assert page.exists()
    (entry,) = json.loads(Path(f"{statistics}.json").read_text(encoding="utf-8"))
    assert entry["num_requests"] == summary["requests"]
    assert "Traceback" not in swarm.log("master")


def test_users_of_a_shape_that_are_no_whole_number_are_one_more(swarm: Swarm, recording: Recording) -> None:
    done = swarm.run(
        *options(swarm, recording, "(1.2 + self.get_run_time() / 10, 10) if self.get_run_time() < 3 else None"),
        "--headless", "--processes", "0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "TypeError" not in done.stderr
    assert swarm.summary()["requests"] == recording.count > 100
    assert swarm.summary()["users"] == 2
    assert "s at 2 users" in done.stderr


def test_a_shape_with_a_rate_of_zero_ends_the_run_in_words(swarm: Swarm, recording: Recording) -> None:
    done = swarm.run(*options(swarm, recording, "(2, 0)"), "--headless", "--processes", "0")
    assert done.returncode != 0
    assert "The load shape asks for a spawn rate of 0. Fix: one above 0." in done.stderr
