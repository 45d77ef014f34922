"""The containers' entry point as a process of this machine: what signals do to it, and which role it takes."""

from __future__ import annotations

import json
import os
import re
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
    wait_until(lambda: containers.is_ready("worker"), 90, "a worker that says it is ready")
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
    wait_until(lambda: said in containers.log("worker"), 90, "that the name does not resolve")
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


IMAGE_COMMANDS = [
    json.loads(line) for line in re.findall("^ENTRYPOINT (.*)", (ROOT / "docker" / "Dockerfile").read_text(), re.M)
]
BLOCKED = ["env", "--block-signal=TERM", "--block-signal=INT", "python"]


def block_signals() -> None:
    """As for process 1, which has no default for a signal: here it waits instead of being lost."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["docker/entrypoint.py", "headless"], INCOMPLETE),
        (["docker/entrypoint.py", "worker"], 0),
        (["docker/entrypoint.py", "master"], 0),
        (["-m", "server.serve", "--host", "0.0.0.0", "--port", "0"], 0),
    ],
)
def test_a_stop_that_comes_before_python_can_handle_it_is_not_lost(
    arguments: list[str], code: int, number: signal.Signals, tmp_path: Path
) -> None:
    assert any(command == [*BLOCKED, *arguments[: len(command) - len(BLOCKED)]] for command in IMAGE_COMMANDS)
    environment = {**os.environ, "SWARM_STATE_FOLDER": str(tmp_path / "state"), "LOCUST_MASTER_NODE_PORT": "9"}
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment, stderr=subprocess.PIPE, preexec_fn=block_signals
    ) as process:
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (code, b"")


@pytest.mark.parametrize(
    ("role", "variables", "words"),
    [
        ("worker", {"LOCUST_MASTER_NODE_PORT": "99999"}, "LOCUST_MASTER_NODE_PORT is '99999'"),
        ("worker", {"LOCUST_MASTER_NODE_PORT": "tcp://10.0.0.1:5557"}, "a whole number from 1 to 65,535"),
        ("worker", {"WORKER_PROCESSES": "9" * 5000}, "WORKER_PROCESSES is '999"),
        ("master", {"SWARM_UMASK": "rwx"}, "SWARM_UMASK is 'rwx'"),
        ("master", {"SWARM_UMASK": "8"}, "three octal digits"),
        ("master", {"SWARM_UMASK": "7777"}, "three octal digits"),
        ("master", {"SWARM_STATE_FOLDER": "/proc/nothing/state"}, "/proc/nothing/state cannot be written"),
        ("headless", {"SWARM_DISCOVERY_FILE": "/proc/nothing"}, "cannot be written to /proc/nothing"),
    ],
)
def test_what_the_environment_has_and_cannot_be_used_is_said_in_words(
    role: str, variables: dict[str, str], words: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "SWARM_STATE_FOLDER": str(tmp_path / "state"), **variables}
    command = [sys.executable, str(ENTRYPOINT), role]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, "Traceback" in ended.stderr) == (2, False), ended.stderr
    assert words in ended.stderr
    assert "  Fix: " in ended.stderr


def run_script(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run some lines with the entry point as a module."""
    start = f"""
import ctypes, importlib.util, os, pathlib, signal, sys, time
spec = importlib.util.spec_from_file_location("entrypoint", {str(ENTRYPOINT)!r})
entrypoint = importlib.util.module_from_spec(spec)
spec.loader.exec_module(entrypoint)
"""
    environment = {**os.environ, "SWARM_STATE_FOLDER": str(folder / "state")}
    return subprocess.run(
        [sys.executable, "-c", start + script], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_only_what_processes_say_about_themselves_is_removed_at_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    for name in ("process-7.json", "process-7.part", "waiting", "result.json"):
        (folder / name).touch()
    assert run_script("entrypoint.clear_state()", tmp_path).returncode == 0
    assert [path.name for path in folder.iterdir()] == ["result.json"]


def test_a_discovery_file_that_cannot_be_read_leaves_the_named_master(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"10.0.0.1\n\xff\n")
    script = """
os.environ["LOCUST_MASTER_NODE_HOST"] = "named"
for name in ("file", "nothing", "."):
    os.environ["SWARM_DISCOVERY_FILE"] = str(pathlib.Path(entrypoint.STATE_FOLDER).parent / name)
    print(ascii(list(entrypoint.masters_to_try())))
"""
    ended = run_script(script, tmp_path)
    assert ended.stdout.splitlines() == ["['named', '10.0.0.1', '\\ufffd']", "['named']", "['named']"], ended.stderr


def test_orphans_of_others_do_not_end_a_container_with_several_processes(tmp_path: Path) -> None:
    script = """
PR_SET_CHILD_SUBREAPER = 36  # as process 1
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
parent = os.getpid()
entrypoint.fork_processes(2)
child = os.fork()
if not child and not os.fork():
    while os.getppid() != parent:
        time.sleep(0.01)
    os._exit(7)
if not child:
    os._exit(0)
os.waitpid(child, 0)
time.sleep(1)
os._exit(0)
"""
    ended = run_script(script, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_stop_while_processes_are_forked_reaches_all_of_them(tmp_path: Path) -> None:
    script = """
signal.signal(signal.SIGTERM, entrypoint.leave)
fork = os.fork
def fork_and_be_stopped():
    child = fork()
    if child:
        os.kill(os.getpid(), signal.SIGTERM)
    return child
os.fork = fork_and_be_stopped
entrypoint.fork_processes(3)
signal.alarm(30)
signal.pause()
os._exit(9)
"""
    ended = run_script(script, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_processes_that_cannot_be_started_are_said_and_leave_none_behind(tmp_path: Path) -> None:
    script = """
fork, started = os.fork, []
def fork_two():
    if len(started) == 2:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    child = fork()
    started.append(child)
    return child
os.fork = fork_two
try:
    entrypoint.fork_processes(9)
except SystemExit as end:
    print(end.code, [os.waitpid(child, 0)[1] for child in started])
    os._exit(0)
signal.pause()
"""
    ended = run_script(script, tmp_path)
    assert ended.stdout == "2 [9, 9]\n"
    assert "WORKER_PROCESSES is 9, and after 2 none can be started (Resource temporarily" in ended.stderr
