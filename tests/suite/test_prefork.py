"""A `locust` command that is forked with its imports done is like one that is started by itself."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
from recording_server import Recording
from suite.prefork import PLAIN_VARIABLE, Forked
from swarm_processes import Swarm, wait_until

ARGUMENTS = (
    "--headless",
    "--host",
    "http://127.0.0.1:1",
    "--users",
    "3",
    "--row-order",
    "sequential",
    "--print-settings",
)


def test_it_says_the_same_of_arguments_environment_and_files(swarm: Swarm, monkeypatch: pytest.MonkeyPatch) -> None:
    swarm.write_config({"model": "from the file"})
    answers = []
    for plain in ("", "1"):
        monkeypatch.setenv(PLAIN_VARIABLE, plain)
        done = swarm.run(*ARGUMENTS, env={"DATASET_NAME": "from the environment"})
        answers.append((done.returncode, done.stdout, done.stderr))
    assert answers[0] == answers[1]
    for words in ("sequential", "from the file", "from the environment"):
        assert words in answers[0][1]


def test_it_refuses_with_the_same_words_and_code(swarm: Swarm, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = []
    for plain in ("", "1"):
        monkeypatch.setenv(PLAIN_VARIABLE, plain)
        done = swarm.run("--headless", "--host", "127.0.0.1:1", "--nonsense")
        answers.append((done.returncode, done.stdout, done.stderr))
    assert answers[0] == answers[1]
    assert answers[0][0] == 2


def test_it_sends_requests_and_its_signals_and_numbers_are_its_own(
    swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    recording.finds_owners = True
    pq.write_table(pa.table({"n": list(range(10))}), tmp_path / "rows.parquet")
    process = swarm.start(
        "one", "--headless", "--processes", "0", "--host", recording.url, "--data", str(tmp_path / "rows.parquet"),
        "--results", str(swarm.results), "-u", "1",
    )  # fmt: skip
    assert isinstance(process, Forked)
    wait_until(lambda: recording.count > 5, 30, "requests")
    seen = psutil.Process(process.pid)
    assert seen.ppid() == os.getpid()
    assert seen.cwd() == str(tmp_path)
    assert os.getsid(process.pid) == process.pid
    wait_until(lambda: set(recording.owners.values()) == {process.pid}, 10, "the sender of the requests")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, swarm.log("one")
    assert swarm.summary()["requests"] == recording.count


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_end_by_a_signal_is_told_as_by_popen(swarm: Swarm, number: signal.Signals) -> None:
    process = swarm.start("one", "--worker", "--master-port", "1")
    process.send_signal(signal.SIGSTOP)  # before it can handle a signal
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    process.send_signal(number)  # to nobody
    assert process.poll() == -signal.SIGKILL
