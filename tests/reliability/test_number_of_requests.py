"""`--requests N`: the whole swarm sends exactly N, whoever joins and leaves; and what is said when a worker is lost."""

from __future__ import annotations

import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_server import Recording
from swarm_processes import Swarm, wait_until

pytestmark = pytest.mark.processes


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": list(range(400))}), path)
    return path


def start(swarm: Swarm, recording: Recording, rows: Path, workers: int, *arguments: str) -> None:
    swarm.start_master(
        "--host", recording.url, "--data", str(rows), "-u", "12", "-r", "100", "--stop-timeout", "30", *arguments,
        workers=workers,
    )  # fmt: skip
    for number in range(1, workers + 1):
        swarm.start_worker(number)


def run_with_a_join_and_a_leave(swarm: Swarm, recording: Recording, rows: Path, requests: int, *load: str) -> int:
    """The exit code of the master."""
    recording.delay_s = 0.02
    start(swarm, recording, rows, 2, "--requests", str(requests), *load)
    wait_until(lambda: recording.count > requests // 5, 30, "the first requests")
    swarm.start_worker(3)
    wait_until(lambda: swarm.log("master").count("has joined") == 3, 20, "the newcomer")
    wait_until(lambda: recording.count > requests // 2, 30, "half of the requests")
    swarm.processes["worker-1"].send_signal(signal.SIGTERM)
    assert swarm.processes["worker-1"].wait(30) == 0, swarm.log("worker-1")
    return swarm.processes["master"].wait(60)


def test_exactly_so_many_are_sent_while_one_joins_and_one_leaves(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    assert run_with_a_join_and_a_leave(swarm, recording, rows, 2000) == 0, swarm.log("master")
    summary = swarm.summary()
    assert (recording.count, summary["requests"]) == (2000, 2000)
    assert summary["request_limit"] == {"asked": 2000, "sent": 2000, "maybe_sent": 0, "never_sent": 0}
    assert (summary["complete"], summary["workers"]) == (True, 3)
    assert "2,000 (2,000 sent of 2,000 asked for)" in swarm.log("master")


def test_an_open_load_ends_with_the_last_of_its_arrivals_while_one_joins_and_one_leaves(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    load = ("--arrival", "gamma", "--burstiness", "0.5", "--rate", "80", "-u", "40")
    code = run_with_a_join_and_a_leave(swarm, recording, rows, 500, *load)
    summary = swarm.summary()
    arrivals, limit = summary["arrivals"], summary["request_limit"]
    assert recording.count == limit["sent"] <= 500 == arrivals["wanted"]
    # A worker that is not scheduled for long sends what has passed to others, or drops it; both are said.
    if summary["possible_duplicates"] == 0:
        assert limit["sent"] + arrivals["dropped"] == 500, swarm.log("master")
        assert code == (1 if arrivals["dropped"] else 0), swarm.log("master")


def test_a_killed_worker_keeps_what_it_may_have_sent_and_the_run_says_so(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    recording.delay_s = 0.02
    start(swarm, recording, rows, 2, "--requests", "3000")
    wait_until(lambda: recording.count > 1000, 30, "the first requests")
    swarm.processes["worker-1"].send_signal(signal.SIGKILL)
    assert swarm.processes["master"].wait(60) == 4, swarm.log("master")
    summary = swarm.summary()
    limit = summary["request_limit"]
    assert limit["asked"] == 3000 == limit["sent"] + limit["maybe_sent"] + limit["never_sent"]
    assert limit["sent"] <= recording.count <= min(3000, limit["sent"] + limit["maybe_sent"])
    assert limit["sent"] < 3000
    assert summary["verdict"] == "incomplete"


@pytest.mark.parametrize(("run_time", "is_by_number"), [("2s", False), ("60s", True)])
def test_the_run_ends_with_whichever_comes_first(
    swarm: Swarm, recording: Recording, rows: Path, run_time: str, is_by_number: bool
) -> None:
    recording.delay_s = 0.02
    result = swarm.run(
        "--headless", "--host", recording.url, "--data", str(rows), "--results", str(swarm.results), "--processes", "0",
        "-u", "3", "-r", "100", "-t", run_time, "--requests", "400", "--warm-up", "1s",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    summary = swarm.summary()
    assert summary["request_limit"]["sent"] == recording.count
    assert (recording.count == 400) is is_by_number
    assert summary["requests"] + summary["left_out"]["requests"] == recording.count
    assert (summary["duration_s"] == pytest.approx(2, abs=0.5)) is not is_by_number


TASKS = """
from inference_swarm import InferenceUser, attach
from locust import task

class ModelUser(InferenceUser):
    {on_start}
    @task
    def predict(self):
        self.send(self.next_body())

attach()
"""


@pytest.mark.parametrize(
    ("load", "on_start", "why", "processes"),
    [
        (("--row-order", "once"), "", "only invoke() may take one", "0"),
        (("--requests", "50"), "def on_start(self): raise ValueError('no token')", "no token", "2"),
    ],
)
def test_a_run_whose_users_have_all_ended_by_themselves_ends_and_says_why(
    swarm: Swarm, recording: Recording, rows: Path, load: tuple[str, ...], on_start: str, why: str, processes: str
) -> None:
    (swarm.folder / "tasks.py").write_text(TASKS.format(on_start=on_start), encoding="utf-8")
    done = swarm.run(
        "-f", str(swarm.folder / "tasks.py"), "--headless", "--host", recording.url, "--data", str(rows), "--results",
        str(swarm.results), "--processes", processes, "--master-bind-port", str(swarm.master_port), "-u", "4", "-r",
        "100", *load,
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert why in done.stderr
    summary = swarm.summary()
    assert (summary["requests"], summary["verdict"]) == (0, "interrupted")
    assert "all its users have ended by themselves" in " ".join(summary["reasons"])
