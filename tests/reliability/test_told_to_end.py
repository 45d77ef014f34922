"""Signals to processes that are master and workers in one, or that have forked their workers."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_server import Recording
from swarm_processes import LOCUSTFILE, Swarm, free_port, wait_until

pytestmark = pytest.mark.processes


@pytest.fixture
def arguments(swarm: Swarm, recording: Recording, tmp_path: Path) -> list[str]:
    rows = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": list(range(400))}), rows)
    recording.delay_s = 0.05
    return [
        "--headless", "--host", recording.url, "--data", str(rows), "--results", str(swarm.results), "-u", "10",
        "-r", "100", "-t", "120s", "--stop-timeout", "5",
    ]  # fmt: skip


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_single_process_ends_with_the_exit_code_of_its_interrupted_run(
    swarm: Swarm, recording: Recording, arguments: list[str], told: signal.Signals
) -> None:
    process = swarm.start("single", *arguments, env={"WORKERS": "0"})
    wait_until(lambda: recording.count > 20, 40, "requests")
    process.send_signal(told)
    assert process.wait(60) == 4, swarm.log("single")
    summary = swarm.summary()
    assert (summary["exit_code"], summary["verdict"]) == (4, "interrupted")
    assert summary["requests"] == recording.count


@pytest.mark.skipif(os.name != "posix", reason="processes are forked on POSIX systems only")
def test_forked_workers_end_when_the_process_that_forked_them_is_killed(
    swarm: Swarm, recording: Recording, arguments: list[str]
) -> None:
    ports = ["--processes", "2", "--master-bind-host", "127.0.0.1", "--master-bind-port", str(swarm.master_port)]
    master = swarm.start("master", *arguments, *ports)
    wait_until(lambda: recording.count > 20, 40, "requests")
    workers = psutil.Process(master.pid).children()
    assert len(workers) == 2
    master.kill()
    wait_until(lambda: not psutil.wait_procs(workers, timeout=0)[1], 15, "that they end")


def test_a_web_ui_that_was_told_to_quit_after_its_run_ends_with_the_exit_code_of_the_run(
    swarm: Swarm, recording: Recording, arguments: list[str]
) -> None:
    ours = ["--autostart", "--autoquit", "0", "--web-host", "127.0.0.1", "--web-port", str(free_port())]
    arguments = [argument for argument in arguments if argument != "--headless"]
    arguments[arguments.index("120s")] = "1s"
    process = swarm.start("single", *arguments, *ours, "--slo", "p99<1us", env={"WORKERS": "0"})
    assert process.wait(60) == swarm.summary()["exit_code"] != 0, swarm.log("single")
    assert swarm.summary()["requests"] == recording.count


def test_workers_of_a_web_ui_that_is_there_for_one_run_end_with_it(
    swarm: Swarm, recording: Recording, arguments: list[str]
) -> None:
    ours = [
        "--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", str(swarm.master_port), "--expect-workers",
        "1", "--autostart", "--autoquit", "0", "--web-host", "127.0.0.1", "--web-port", str(free_port()),
    ]  # fmt: skip
    arguments = [argument for argument in arguments if argument != "--headless"]
    arguments[arguments.index("120s")] = "1s"
    master, worker = swarm.start("master", *arguments, *ours), swarm.start_worker(1)
    assert master.wait(60) == 0, swarm.log("master")
    assert worker.wait(30) == 0, swarm.log("worker-1")
    assert swarm.summary()["requests"] == recording.count > 0


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_master_that_waits_for_workers_ends_with_those_that_have_joined(
    swarm: Swarm, arguments: list[str], told: signal.Signals
) -> None:
    master = swarm.start_master(*arguments, workers=2)
    worker = swarm.start_worker(1)
    wait_until(lambda: "has joined" in swarm.log("master"), 30, "a worker")
    master.send_signal(told)
    assert master.wait(30) == 4, swarm.log("master")
    assert worker.wait(30) == 0
    assert "Traceback" not in swarm.log("master")


def hold_all_answers(recording: Recording) -> None:
    """No request ends from now on."""
    recording.delay_s = 100.0
    wait_until(lambda: time.monotonic() > recording.times_s[-1] + 0.5, 20, "that no request ends")


def interrupt_twice(swarm: Swarm, name: str) -> None:
    """The second time when the process has begun to end."""
    process = swarm.processes[name]
    process.send_signal(signal.SIGINT)
    wait_until(lambda: "SIGTERM" in swarm.log(name), 20, "that it has begun to end")
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 4, swarm.log(name)


@pytest.mark.parametrize("processes", [0, 2])
def test_a_second_interrupt_writes_what_is_in_and_waits_for_nothing(
    swarm: Swarm, recording: Recording, arguments: list[str], processes: int
) -> None:
    ports = ["--master-bind-host", "127.0.0.1", "--master-bind-port", str(swarm.master_port)]
    more = ["--stop-timeout", "100", "--processes", str(processes), *ports]
    recording.delay_s = 0.1
    swarm.start("master", *arguments, *more)
    state = swarm.results / "runs"
    wait_until(lambda: any(state.glob("*/state.msgpack")), 40, "the first report")
    hold_all_answers(recording)
    interrupt_twice(swarm, "master")
    summary = swarm.summary()
    assert (summary["verdict"], summary["exit_code"], summary["complete"]) == ("interrupted", 4, False)
    assert 0 < summary["requests"] <= recording.count
    assert summary["possibly_uncounted"] is None
    assert sum("final report" in reason for reason in summary["reasons"]) == max(1, processes)
    assert "verdict    INTERRUPTED" in swarm.log("master")
    assert (swarm.run_folders()[0] / "report.html").is_file()


def test_a_second_interrupt_ends_a_process_whose_results_cannot_be_written(
    swarm: Swarm, recording: Recording, arguments: list[str]
) -> None:
    swarm.start("single", *arguments, "--stop-timeout", "100", env={"WORKERS": "0"})
    wait_until(lambda: any((swarm.results / "runs").glob("*/state.msgpack")), 40, "the first report")
    hold_all_answers(recording)
    folder = swarm.run_folders()[0]
    folder.rename(swarm.folder / "elsewhere")
    folder.write_text("no folder")
    interrupt_twice(swarm, "single")
    assert "The results could not be written: " in swarm.log("single")


def test_workers_of_their_own_end_after_a_second_interrupt_of_their_master(
    swarm: Swarm, recording: Recording, arguments: list[str]
) -> None:
    """They would wait for another master, which nobody starts."""
    swarm.start_master(*arguments, "--stop-timeout", "2", workers=1)
    worker = swarm.start_worker(1)
    wait_until(lambda: recording.count > 20, 40, "requests")
    hold_all_answers(recording)
    interrupt_twice(swarm, "master")
    assert worker.wait(30) == 4, swarm.log("worker-1")


def test_a_master_whose_workers_do_not_come_in_time_has_no_result(swarm: Swarm, arguments: list[str]) -> None:
    master = swarm.start_master(*arguments, "--expect-workers-max-wait", "2", workers=2)
    swarm.start_worker(1)
    assert master.wait(60) == 4, swarm.log("master")
    assert "1 of 2 workers have joined within 2 s (--expect-workers-max-wait)." in swarm.log("master")
    swarm.processes["worker-1"].wait(30)


STARTED_AGAIN = """
from locust import events

@events.init.add_listener
def on_init(environment, runner, **_):
    environment.events.test_stopping.add_listener(lambda **_: runner.start(20, 10))
"""


def test_a_start_that_is_refused_while_a_run_ends_leaves_it_its_exit_code(swarm: Swarm, arguments: list[str]) -> None:
    """As the key `w` in a terminal does."""
    again = swarm.folder / "again.py"
    again.write_text(STARTED_AGAIN, encoding="utf-8")
    done = swarm.run("-f", f"{LOCUSTFILE},{again}", *arguments, "-t", "2s", "--processes", "0")
    assert done.returncode == 0, done.stderr
    assert swarm.summary()["verdict"] in ("passed", "generator-bound")
