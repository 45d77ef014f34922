"""The containers' entry point as a process of this machine: what signals do to it, and which role it takes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_server import Recording, recording_server
from suite.prefork import Process
from swarm_processes import ROOT, Swarm, wait_until

pytestmark = pytest.mark.processes

ENTRYPOINT = ROOT / "docker" / "entrypoint.py"
INCOMPLETE = 4


class Containers(Swarm):
    """A swarm whose processes begin as those of the containers do."""

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return [sys.executable, str(ENTRYPOINT), *arguments]

    def _start(
        self, arguments: Sequence[str], env: Mapping[str, str] | None, output: IO[bytes], errors: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """By itself: what is tested is how it begins."""
        return subprocess.Popen(
            self.command(*arguments), cwd=self.folder, env=self.environment(env), stdin=subprocess.DEVNULL,
            stdout=output, stderr=errors, start_new_session=True,
        )  # fmt: skip

    def start_role(self, role: str, *arguments: str, **variables: str) -> Process:
        env = {
            "SWARM_STATE_FOLDER": str(self.folder / f"state-{role}"),
            "LOCUST_MASTER_NODE_HOST": "127.0.0.1",
            "LOCUST_MASTER_NODE_PORT": str(self.master_port),
            **variables,
        }
        return self.start(role, role, *arguments, env=env)

    def is_ready(self, role: str) -> bool:
        """As the container's health check asks."""
        env = self.environment({"SWARM_STATE_FOLDER": str(self.folder / f"state-{role}")})
        check = [sys.executable, "-I", "-S", str(ROOT / "docker" / "health.py"), "ready"]
        return subprocess.run(check, env=env, capture_output=True, check=False).returncode == 0

    def start_run(self, url: str, address: str = "127.0.0.1") -> Process:
        """A headless master without an end of its own."""
        rows = self.folder / "rows.parquet"
        pq.write_table(pa.table({"number": list(range(100))}), rows)
        return self.start_role(
            "headless", "--master-bind-host", address, "--master-bind-port", str(self.master_port),
            "--host", url, "--users", "4", "--spawn-rate", "4", "--run-time", "10m", "--data", str(rows),
            "--wait-min", "0.01", "--wait-max", "0.01", "--results", str(self.results),
            # Nothing listens there yet, else it would refuse to be a second master.
            LOCUST_MASTER_NODE_HOST="",
        )  # fmt: skip


@pytest.fixture
def containers(tmp_path: Path) -> Iterator[Containers]:
    made = Containers(tmp_path)
    yield made
    made.close()


@pytest.fixture
def server() -> Iterator[Recording]:
    with recording_server() as recording:
        yield recording


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_master_counts_and_writes_everything(
    containers: Containers, server: Recording, number: signal.Signals
) -> None:
    master, worker = containers.start_run(server.url), containers.start_role("worker")
    wait_until(lambda: server.count > 50, 60, "requests")
    master.send_signal(number)
    master.wait(60)
    worker.wait(60)
    assert containers.summary()["requests"] == server.count
    assert (containers.run_folders()[0] / "report.html").exists()


def test_an_interrupted_worker_delivers_its_last_report(containers: Containers, server: Recording) -> None:
    master, worker = containers.start_run(server.url), containers.start_role("worker")
    wait_until(lambda: server.count > 50, 60, "requests")
    wait_until(lambda: containers.is_ready("worker"), 30, "a worker that says it is ready")
    assert containers.is_ready("headless")
    worker.send_signal(signal.SIGINT)
    assert worker.wait(60) == 0
    sent = server.count
    master.send_signal(signal.SIGINT)
    master.wait(60)
    assert containers.summary()["requests"] == server.count == sent


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_headless_master_that_is_stopped_before_it_began_has_not_passed(
    containers: Containers, number: signal.Signals
) -> None:
    # It waits for the master that it must not join, which accepts no connection before its time is over.
    code = (
        "import importlib.util, os, sys, signal\n"
        f"spec = importlib.util.spec_from_file_location('entrypoint', {str(ENTRYPOINT)!r})\n"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
        f"module.refuse_second_master = lambda: os.kill(os.getpid(), {int(number)})\n"
        "module.main(['headless'])\n"
    )
    env = containers.environment({"SWARM_STATE_FOLDER": str(containers.folder / "state")})
    ended = subprocess.run([sys.executable, "-c", code], env=env, timeout=60, check=False)
    assert ended.returncode == INCOMPLETE


def test_a_worker_says_whether_the_name_of_its_master_resolves_and_whether_the_port_refuses(
    containers: Containers, server: Recording
) -> None:
    worker = containers.start_role(
        "worker", LOCUST_MASTER_NODE_HOST="nowhere.invalid", SWARM_DISCOVERY_FILE=str(containers.folder / "masters")
    )
    port = containers.master_port
    said = f"Waiting for a master at port {port} of nowhere.invalid: the name does not resolve ("
    wait_until(lambda: said in containers.log("worker"), 20, "that the name does not resolve")
    (containers.folder / "masters").write_text("127.0.0.1\n")
    wait_until(
        lambda: "; 127.0.0.1: the port refuses connections" in containers.log("worker"), 20, "that nobody listens"
    )
    assert worker.poll() is None


def test_a_worker_follows_a_master_whose_address_changes(containers: Containers, server: Recording) -> None:
    """A headless master has no name that its workers could look up: they read its address, and it may be killed."""
    masters = containers.folder / "masters"

    def start_master(address: str) -> Process:
        masters.write_text(f"{address}\n")
        return containers.start_run(server.url, address)

    master = start_master("127.0.0.2")
    worker = containers.start_role(
        "worker", LOCUST_MASTER_NODE_HOST="nowhere.invalid", SWARM_DISCOVERY_FILE=str(masters)
    )
    wait_until(lambda: server.count > 50, 60, "requests")
    master.kill()
    master.wait(20)
    master = start_master("127.0.0.3")
    began = "Starting Locust"
    wait_until(lambda: containers.log("headless").count(began) == 2, 60, "the next master")
    wait_until(
        lambda: "users spawned" in containers.log("headless").split(began)[2], 20, "the worker at the next master"
    )
    assert worker.poll() is None
    master.terminate()
    assert master.wait(60) == INCOMPLETE
    assert worker.wait(60) == 0


@pytest.mark.parametrize("own", [{}, {"LOCUST_WEB_HOST": "127.0.0.1"}])
def test_the_web_ui_of_a_container_is_reached_from_outside_of_it(containers: Containers, own: dict[str, str]) -> None:
    code = (
        "import importlib.util, os\n"
        f"spec = importlib.util.spec_from_file_location('entrypoint', {str(ENTRYPOINT)!r})\n"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
        "module.become_locust = lambda role, arguments: print(role, os.environ['LOCUST_WEB_HOST'], *arguments)\n"
        "module.main([])\n"
    )
    env = containers.environment({"SWARM_STATE_FOLDER": str(containers.folder / "state"), **own})
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == f"master {own.get('LOCUST_WEB_HOST', '0.0.0.0')} --master\n"


def test_options_alone_leave_the_role_to_the_environment(containers: Containers) -> None:
    env = {"SWARM_ROLE": "headless", "SWARM_STATE_FOLDER": str(containers.folder / "state")}
    done = containers.run("--users", "0.5", "--host", "http://127.0.0.1:9", env=env)
    assert done.returncode == 2, done.stderr
    assert "0.5" in done.stderr
