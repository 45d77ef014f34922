"""A master that dies: workers stop sending and join the next one by themselves; the run's folder keeps its numbers."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import msgpack  # type: ignore[import-untyped]
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_server import Recording
from swarm_processes import Swarm, wait_until

from inference_swarm.measure.totals import SwarmTotals

pytestmark = pytest.mark.processes


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": list(range(400))}), path)
    return path


def test_workers_stop_within_five_seconds_and_serve_the_next_master(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    recording.delay_s = 0.05
    arguments = ["--host", recording.url, "--data", str(rows), "-u", "20", "-r", "100", "--stop-timeout", "5"]
    swarm.start_master(*arguments, "--run-name", "first", workers=3)
    workers = swarm.start_worker(1, "--processes", "3")
    wait_until(lambda: "All users spawned" in swarm.log("master"), 40, "the users")
    time.sleep(4)  # so that there is a report
    swarm.processes["master"].kill()
    killed_s = time.monotonic()
    wait_until(
        lambda: time.monotonic() > killed_s + 5 and time.monotonic() - recording.times_s[-1] > 1, 10, "no more requests"
    )
    assert recording.times_s[-1] - killed_s < 5
    assert recording.times_s[-1] - killed_s > 1  # a short silence is no reason to stop
    sent_in_first = recording.count
    assert workers.poll() is None

    # what the interrupted run left
    folder = swarm.results / "runs" / "first"
    assert not (folder / "summary.json").exists()
    described = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    state = msgpack.unpackb((folder / "state.msgpack").read_bytes(), strict_map_key=False)
    totals = SwarmTotals.from_state(state["totals"])
    assert described["run_id"] == totals.run_id
    assert described["settings"]["users"] == 20
    assert state["is_ended"] is False
    assert 0 < totals.total().ended <= sent_in_first
    assert sum(worker.sent for worker in totals.workers.values()) == totals.total().ended

    second = swarm.start_master(*arguments, "--run-name", "second", "-t", "3s", workers=3)
    started_s = time.monotonic()
    wait_until(lambda: swarm.log("master").count("has joined") == 6, 10 + 5, "the workers at the new master")
    assert time.monotonic() - started_s < 10
    assert second.wait(60) == 0, swarm.log("master")
    summary = json.loads((swarm.results / "runs" / "second" / "summary.json").read_text(encoding="utf-8"))
    assert summary["requests"] == recording.count - sent_in_first > 0
    assert summary["failures"] == 0
    assert summary["complete"] is True
    assert summary["workers"] == 3
    assert workers.wait(20) == 0


def test_a_worker_that_was_frozen_past_its_masters_patience_comes_back_and_nothing_counts_twice(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    recording.delay_s, recording.finds_owners = 0.05, True
    master = swarm.start_master(
        "--host", recording.url, "--data", str(rows), "-u", "20", "-r", "40", "--stop-timeout", "5", workers=2
    )
    swarm.start_worker(1, "--processes", "2")
    wait_until(lambda: "All users spawned" in swarm.log("master"), 40, "the users")
    frozen = psutil.Process(swarm.processes["worker-1"].pid).children()[0]
    frozen.suspend()
    wait_until(lambda: "is lost" in swarm.log("master"), 10, "that the master notices")
    wait_until(lambda: active(recording) == 20, 5, "its users on the other worker")
    frozen.resume()
    wait_until(lambda: "is back" in swarm.log("master"), 20, "that it comes back")

    def senders() -> set[int]:
        since_s = time.monotonic() - 1
        return {
            recording.owners[peer] for peer, at in zip(recording.peers, recording.times_s, strict=False) if at > since_s
        }

    wait_until(lambda: frozen.pid in senders() and active(recording) == 20, 10, "its users")
    master.send_signal(signal.SIGTERM)
    assert master.wait(40) == 0, swarm.log("master")
    summary = swarm.summary()
    assert summary["requests"] == recording.count
    assert summary["complete"] is True


def active(recording: Recording) -> int:
    since_s = time.monotonic() - 0.6
    times = recording.times_s
    latest = range(max(0, len(times) - 4000), len(times))
    return len({recording.peers[index] for index in latest if times[index] > since_s})
