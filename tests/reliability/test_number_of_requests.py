"""`--requests N`: the whole swarm sends exactly N, whoever joins and leaves; and what is said when a worker is lost."""

from __future__ import annotations

import signal
from pathlib import Path
from subprocess import CompletedProcess

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
from locust.exception import StopUser

class ModelUser(InferenceUser):
    @task
    def predict(self):
        {task}

attach()
"""


def run_tasks(swarm: Swarm, recording: Recording, rows: Path, tasks: str, *options: str) -> CompletedProcess[str]:
    (swarm.folder / "tasks.py").write_text(tasks, encoding="utf-8")
    return swarm.run(
        "-f", str(swarm.folder / "tasks.py"), "--headless", "--host", recording.url, "--data", str(rows), "--results",
        str(swarm.results), "--master-bind-port", str(swarm.master_port), *options,
    )  # fmt: skip


def test_a_run_whose_users_have_all_ended_by_themselves_ends_and_says_why(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    tasks = TASKS.format(task="self.send(self.next_body())")
    done = run_tasks(swarm, recording, rows, tasks, "--processes", "0", "-u", "4", "-r", "100", "--row-order", "once")
    assert done.returncode == 4, done.stderr
    assert "only invoke() may take one" in done.stderr
    summary = swarm.summary()
    assert (summary["requests"], summary["verdict"]) == (0, "interrupted")
    assert "all its users have ended by themselves" in " ".join(summary["reasons"])


@pytest.mark.parametrize(
    ("users", "spawn_rate", "requests", "processes"),
    [(3, 2, 30, "0"), (2, 100, 20, "2")],
    ids=["each_step_of_the_ramp_replaces_those_who_have_ended", "they_end_with_their_last_request"],
)
def test_users_that_end_by_themselves_are_no_fault_of_a_run_that_sends_all(
    swarm: Swarm, recording: Recording, rows: Path, users: int, spawn_rate: int, requests: int, processes: str
) -> None:
    tasks = TASKS.format(
        task="""self.invoke()
        self.sent = getattr(self, "sent", 0) + 1
        if self.sent == 10:
            raise StopUser"""
    )
    done = run_tasks(
        swarm, recording, rows, tasks, "--processes", processes, "-u", str(users), "-r", str(spawn_rate), "--requests",
        str(requests),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert swarm.summary()["requests"] == requests == recording.count
