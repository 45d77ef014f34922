"""Workers come and go under load, by every way there is: users, rows and counts stay right."""

from __future__ import annotations

import json
import random
import signal
import time
from functools import partial
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_server import Recording
from swarm_processes import Swarm, wait_until

pytestmark = pytest.mark.processes

USERS = 40


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": list(range(400))}), path)
    return path


def active_users(recording: Recording, window_s: float = 0.6) -> int:
    """Connections that a request came in on lately: every user has one of its own."""
    since_s = time.monotonic() - window_s
    times = recording.times_s
    latest = range(max(0, len(times) - 4000), len(times))
    return len({recording.peers[index] for index in latest if times[index] > since_s})


def has_ended(process: psutil.Process) -> bool:
    """Also when its parent has not heard of it yet."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def wait_for_users(recording: Recording, users: int, what: str, timeout_s: float = 5.0) -> None:
    """Waits until exactly this number of users send."""
    try:
        wait_until(lambda: active_users(recording) == users, timeout_s, what)
    except AssertionError:
        raise AssertionError(
            f"{active_users(recording)} users instead of {users} after {timeout_s} s: {what}"
        ) from None


def start_swarm(swarm: Swarm, recording: Recording, rows: Path, workers: int, *arguments: str) -> None:
    recording.delay_s = 0.05
    swarm.start_master(
        "--host", recording.url, "--data", str(rows), "-u", str(USERS), "-r", "40", "--stop-timeout", "30",
        *arguments, workers=workers,
    )  # fmt: skip
    for number in range(1, workers + 1):
        swarm.start_worker(number)
    wait_for_users(recording, USERS, "the users of the start", timeout_s=30)


def stop_swarm(swarm: Swarm) -> int:
    """SIGTERM to the master; its exit code."""
    master = swarm.processes["master"]
    master.send_signal(signal.SIGTERM)
    return master.wait(40)


def test_users_are_kept_while_workers_leave_one_by_one_and_come_back(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    recording.finds_owners = True
    start_swarm(swarm, recording, rows, 4)
    for number, left in ((1, 3), (2, 2), (3, 1)):
        swarm.processes[f"worker-{number}"].send_signal(signal.SIGTERM)
        wait_for_users(recording, USERS, f"users on {left} workers")
        assert swarm.processes[f"worker-{number}"].wait(20) == 0, swarm.log(f"worker-{number}")
    for number in (5, 6, 7):
        swarm.start_worker(number)
    wait_until(lambda: swarm.log("master").count("has joined") == 7, 20, "the newcomers")
    wait_for_users(recording, USERS, "users on 4 workers again")
    pids = [swarm.processes[f"worker-{number}"].pid for number in (4, 5, 6, 7)]

    def users_by_worker() -> list[int]:
        since_s = time.monotonic() - 0.6
        peers = {peer for peer, at in zip(recording.peers, recording.times_s, strict=False) if at > since_s}
        owners = [recording.owners[peer] for peer in peers]
        return [owners.count(pid) for pid in pids]

    wait_until(lambda: users_by_worker() == [10, 10, 10, 10], 10, "ten users on each worker")
    assert stop_swarm(swarm) == 0, swarm.log("master")
    summary = swarm.summary()
    assert summary["failures"] == 0
    assert summary["complete"] is True
    assert summary["workers"] == 7
    assert summary["requests"] == recording.count


def test_a_killed_worker_is_noticed_its_users_come_back_and_the_result_says_what_may_be_missing(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    start_swarm(swarm, recording, rows, 3)
    # Several reports must have come, so that what may be missing is little beside what is known.
    wait_until(lambda: recording.times_s[-1] - recording.times_s[0] > 9, 20, "some intervals of requests")
    swarm.processes["worker-2"].kill()
    wait_for_users(recording, USERS, "users on the others", timeout_s=6)
    assert stop_swarm(swarm) == 4
    summary = swarm.summary()
    assert summary["complete"] is False
    (reason,) = summary["incomplete_workers"].values()
    assert "not heard of" in reason
    missing = recording.count - summary["requests"]
    assert 0 <= missing <= summary["possibly_uncounted"] < recording.count / 2
    assert summary["failures"] == 0


@pytest.mark.parametrize(("seed", "stops"), [*((seed, 1) for seed in range(20)), (20, 5)])
def test_what_a_worker_sent_before_sigterm_is_counted_to_the_last_request(
    swarm: Swarm, recording: Recording, rows: Path, seed: int, stops: int
) -> None:
    """Twenty runs with a stop at a random moment of a report's interval, and one with five of them."""
    moment = random.Random(seed)
    workers = stops + 1
    recording.delay_s = 0.02
    swarm.start_master(
        "--host", recording.url, "--data", str(rows), "-u", str(USERS), "-r", "200", "--stop-timeout", "30",
        workers=workers,
    )  # fmt: skip
    parent = swarm.start_worker(1, "--processes", str(workers))  # forked, since they start quickly
    wait_for_users(recording, USERS, "the users of the start", timeout_s=40)
    for child in psutil.Process(parent.pid).children()[:stops]:
        time.sleep(moment.uniform(0, 3 / stops))
        child.terminate()
        wait_until(partial(has_ended, child), 20, "the end of the worker")
    assert stop_swarm(swarm) == 0, swarm.log("master")
    summary = swarm.summary()
    assert summary["requests"] == recording.count
    assert summary["failures"] == 0
    assert summary["complete"] is True
    assert summary["workers"] == workers
    assert parent.wait(20) == 0


def test_every_row_has_an_owner_while_eight_workers_become_three_and_eight_again(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    recording.delay_s = 0.05
    swarm.start_master(
        "--host", recording.url, "--data", str(rows), "-u", str(USERS), "-r", "40", "--stop-timeout", "30",
        "--row-order", "shuffle", workers=8,
    )  # fmt: skip
    first = swarm.start_worker(1, "--processes", "8")
    wait_for_users(recording, USERS, "the users of the start", timeout_s=40)
    leaving = psutil.Process(first.pid).children()[:5]
    for child in leaving:
        child.terminate()
    for child in leaving:
        wait_until(partial(has_ended, child), 20, "the end of the worker")
    wait_for_users(recording, USERS, "users on three workers", timeout_s=20)

    def rows_since(start: int) -> set[int]:
        return {json.loads(body)["n"] for body in recording.bodies[start:]}

    at_three = recording.count
    wait_until(lambda: rows_since(at_three) == set(range(400)), 20, "every row from three workers")
    swarm.start_worker(2, "--processes", "5")
    wait_until(lambda: swarm.log("master").count("has joined") == 13, 30, "eight workers again")
    wait_for_users(recording, USERS, "users on eight workers", timeout_s=20)
    at_eight = recording.count
    wait_until(lambda: rows_since(at_eight) == set(range(400)), 20, "every row from eight workers")
    assert stop_swarm(swarm) == 0, swarm.log("master")
    summary = swarm.summary()
    assert summary["failures"] == 0
    assert summary["requests"] == recording.count
