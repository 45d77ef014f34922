"""A worker that is told to end while its requests are slow: what is counted then, and which users are shown."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_server import Recording
from suite.prefork import Process
from swarm_processes import LOCUSTFILE, Swarm, wait_until

from inference_swarm.errors import ExitCode

pytestmark = pytest.mark.processes

USERS = 200
WATCH = """
import gevent, locust, os

@locust.events.init.add_listener
def on_init(environment, runner, **_):
    if isinstance(runner, locust.runners.MasterRunner):
        gevent.spawn(watch, runner)

def watch(runner):
    seen = None
    with open(os.environ["SHOWN_USERS"], "w", buffering=1) as file:
        while True:
            now = runner.user_count, runner.draining_user_count
            if now != seen:
                seen = now
                file.write("%d %d\\n" % now)
            gevent.sleep(0.005)
"""


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": list(range(400))}), path)
    return path


def start(swarm: Swarm, recording: Recording, rows: Path, *arguments: str, workers: int) -> tuple[Process, Process]:
    """A master whose users all run, and one of its workers."""
    watch = swarm.folder / "watch.py"
    watch.write_text(WATCH)
    master = swarm.start_master(
        "-f", f"{LOCUSTFILE},{watch}", "--host", recording.url, "--data", str(rows), "-u", str(USERS),
        "-r", str(USERS), "-t", "120s", *arguments, workers=workers, env={"SHOWN_USERS": str(swarm.folder / "shown")},
    )  # fmt: skip
    started = [swarm.start_worker(number) for number in range(1, workers + 1)]
    wait_until(lambda: "All users spawned" in swarm.log("master"), 40, "the users")
    return master, started[0]


def shown(swarm: Swarm) -> list[tuple[int, int]]:
    """(running, draining) users, each time that they changed."""
    lines = (swarm.folder / "shown").read_text().splitlines()
    return [(int(running), int(draining)) for running, draining in map(str.split, lines)]


def test_requests_that_a_drain_or_the_end_cuts_off_are_abandoned_and_no_failures(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    recording.delay_s = 25.0
    master, leaving = start(swarm, recording, rows, "--stop-timeout", "1", workers=2)
    wait_until(lambda: recording.count == USERS, 20, "a request of each user")
    leaving.terminate()
    assert leaving.wait(30) == ExitCode.PASSED
    wait_until(lambda: recording.count == USERS + USERS // 2, 20, "its users on the other worker")
    master.send_signal(signal.SIGTERM)
    assert master.wait(40) == ExitCode.INCOMPLETE, swarm.log("master")
    summary = swarm.summary()
    assert summary["abandoned"] == recording.count == USERS + USERS // 2
    assert (summary["requests"], summary["failures"], summary["errors"]) == (0, 0, {})
    assert (summary["complete"], summary["verdict"]) == (True, "interrupted")
    assert max(running for running, _ in shown(swarm)) == USERS
    assert (USERS, USERS // 2) in shown(swarm), shown(swarm)
    assert "requests   0, 0 failed (0 %), 300 abandoned" in swarm.log("master")


def test_users_of_an_open_load_are_never_more_than_wanted_while_others_take_over(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    recording.delay_s = 0.5
    open_load = ["--arrival", "constant", "--rate", "200", "--stop-timeout", "5"]
    master, leaving = start(swarm, recording, rows, *open_load, workers=3)
    wait_until(lambda: recording.count > 100, 20, "requests")
    leaving.terminate()
    assert leaving.wait(30) == ExitCode.PASSED
    wait_until(lambda: shown(swarm)[-1] == (USERS, 0), 20, "that none drains any more")
    master.send_signal(signal.SIGTERM)
    assert master.wait(40) == ExitCode.INCOMPLETE, swarm.log("master")
    assert max(running for running, _ in shown(swarm)) == USERS
    assert max(draining for _, draining in shown(swarm)) in (USERS // 3, USERS // 3 + 1), shown(swarm)
    summary = swarm.summary()
    assert summary["requests"] + summary["abandoned"] == recording.count


def test_a_load_that_was_not_there_while_the_only_worker_changed_does_not_pass(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    master = swarm.start_master(
        "--host", recording.url, "--data", str(rows), "-u", "5", "-r", "5", "-t", "10s", workers=1
    )
    leaving = swarm.start_worker(1)
    wait_until(lambda: recording.count > 5, 30, "requests")
    leaving.terminate()
    assert leaving.wait(30) == ExitCode.PASSED
    sent = recording.count
    time.sleep(2)
    swarm.start_worker(2)
    wait_until(lambda: recording.count > sent, 30, "requests of the other worker")
    assert master.wait(40) == ExitCode.INCOMPLETE, swarm.log("master")
    summary = swarm.summary()
    assert summary["requests"] == recording.count
    assert summary["verdict"] == "incomplete"
    reason = summary["reasons"][0]  # a busy machine has others
    assert re.fullmatch(r"for at least \d\.\d s no worker ran users", reason), reason
