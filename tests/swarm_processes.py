"""Starts the real `locust` command on our locustfile for tests, with files in a folder of the test."""

from __future__ import annotations

import csv
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pytest
from suite import prefork
from suite.prefork import Process

ROOT = Path(__file__).resolve().parent.parent
LOCUSTFILE = ROOT / "locust" / "locustfile.py"
OUR_VARIABLES = ("LOCUST_", "SWARM_", "DATASET_NAME", "LOAD_MODEL", "PRED_METHOD", "LOGLEVEL", "WORKERS")
# On a machine that is busy with something else all takes longer. Only a test that fails waits as long as it may.
PATIENCE = 4.0
POLL_S = 0.02


# Below those that the kernel gives to whoever asks for any, which may be another test's a moment later.
PORTS = range(20_000, 32_000)
AT_A_TIME = 16


def _ports() -> Iterator[int]:
    """Those of this process of pytest, in turn, from one of them on that is another one in the next session."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % AT_A_TIME
    own = PORTS[number::AT_A_TIME]
    first = os.getpid() % len(own)
    return itertools.cycle([*own[first:], *own[:first]])


_own_ports = _ports()


def free_port() -> int:
    """A port of loopback that is free and given to no other test that runs."""
    for port in itertools.islice(_own_ports, len(PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no port from {PORTS.start} to {PORTS.stop - 1} is free")


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Polls; fails the test with `what` when it has waited several times as long as a quiet machine needs."""
    began_s = asked_s = time.monotonic()
    while not condition():
        now_s = time.monotonic()
        waited_s = now_s - began_s
        assert waited_s < timeout_s * PATIENCE, f"not within {timeout_s * PATIENCE:g} s: {what}"
        # A third of the time at most goes into the question, and what takes long is noticed a fiftieth later.
        time.sleep(max(POLL_S, 2 * (now_s - asked_s), waited_s / 50))
        asked_s = time.monotonic()


class Swarm:
    """Real Locust processes of one test; all are ended with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results"
        self.config = folder / "config.json"
        self.config.write_text("{}", encoding="utf-8")
        self.master_port = free_port()
        self.processes: dict[str, Process] = {}

    def write_config(self, document: Mapping[str, Any]) -> None:
        """The config.json that every process of this test reads."""
        self.config.write_text(json.dumps(document), encoding="utf-8")

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Ours without any setting of the machine, plus `extra`."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(OUR_VARIABLES)}
        return {**kept, "SWARM_CONFIG": str(self.config), "HOME": str(self.folder), **(extra or {})}

    def run(
        self, *arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """One `locust` command to its end; what it leaves running cannot hold this up."""
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            process = self._start(arguments, env, output, errors)
            try:
                code = process.wait(timeout_s * PATIENCE)
            except subprocess.TimeoutExpired:
                end(process)
                pytest.fail(f"not ended within {timeout_s * PATIENCE:g} s: {arguments}\n{read(output)}\n{read(errors)}")
            return subprocess.CompletedProcess(process.args, code, read(output), read(errors))

    def start(self, name: str, *arguments: str, env: Mapping[str, str] | None = None) -> Process:
        """A `locust` command in the background, logging to `<name>.log`."""
        with self.log_file(name).open("ab") as log:
            process = self._start(arguments, env, log, log)
        self.processes[name] = process
        return process

    def _start(
        self, arguments: Sequence[str], env: Mapping[str, str] | None, output: IO[bytes], errors: IO[bytes]
    ) -> Process:
        return prefork.start(self.command(*arguments), self.folder, self.environment(env), output, errors)

    def start_master(self, *arguments: str, workers: int, env: Mapping[str, str] | None = None) -> Process:
        """A headless master that waits for N workers."""
        return self.start(
            "master", "--master", "--headless", "--master-bind-host", "127.0.0.1",
            "--master-bind-port", str(self.master_port), "--expect-workers", str(workers),
            "--results", str(self.results), *arguments, env=env,
        )  # fmt: skip

    def start_worker(self, number: int, *arguments: str) -> Process:
        """A worker that joins the master of this test."""
        return self.start(
            f"worker-{number}",
            "--worker",
            "--master-host",
            "127.0.0.1",
            "--master-port",
            str(self.master_port),
            *arguments,
        )

    @staticmethod
    def command(*arguments: str) -> list[str]:
        """argv of Locust with our locustfile."""
        return [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *arguments]

    def log_file(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def log(self, name: str) -> str:
        """What a process has printed so far."""
        return self.log_file(name).read_text(errors="replace")

    def run_folders(self) -> list[Path]:
        """Folders of the runs so far, oldest first."""
        return sorted((self.results / "runs").glob("*"))

    @staticmethod
    def read_summary(folder: Path) -> dict[str, Any]:
        """summary.json of a run."""
        document: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        return document

    def summary(self) -> dict[str, Any]:
        """summary.json of the only run."""
        folders = self.run_folders()
        assert len(folders) == 1, [folder.name for folder in folders]
        document: dict[str, Any] = json.loads((folders[0] / "summary.json").read_text(encoding="utf-8"))
        return document

    def close(self) -> None:
        """Ends every process of the test."""
        for process in self.processes.values():
            if process.poll() is None:
                end(process)


def end(process: Process) -> None:
    """With all of its session."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def read(file: IO[bytes]) -> str:
    """All of a file that another process has written through a descriptor of it."""
    file.seek(0)
    return file.read().decode(errors="replace").replace("\r\n", "\n")


def aggregated(table: Path) -> tuple[int, int]:
    """Requests and failures of all names in one of Locust's tables."""
    with table.open(newline="") as file:
        row = list(csv.DictReader(file))[-1]
    assert row["Name"] == "Aggregated"
    return int(row["Request Count"]), int(row["Failure Count"])
