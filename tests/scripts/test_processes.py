"""Child processes of a command: all end with it, however it ends; our own server is asked without a proxy."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_server import Recording, recording_server
from swarm_processes import free_port, wait_until

from inference_swarm.cli.processes import wait_until_healthy

sys.path.insert(0, str(Path(__file__).resolve().parent))

from environments import ROOT, complete_environment, without_ours

pytestmark = pytest.mark.processes

# Starts a child that ends on SIGTERM and one that must be killed, in sessions of their own as all children are. Each
# writes its line in one piece, as three of them write to one terminal.
TWO_CHILDREN = """
import sys
from inference_swarm.cli import processes
processes.STOP_GRACE_S = 0.2
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf' + chr(10), end='', flush=True)"
with processes.Processes() as children:
    on = "; time.sleep(600)"
    one = children.start("one", [sys.executable, "-c", "import time; print('one' + chr(10), end='', flush=True)" + on])
    two = children.start("two", [sys.executable, "-c", deaf + on])
    print(f"children {one.pid} {two.pid}{chr(10)}", end="", flush=True)
    two.wait()
"""


def read_until(descriptor: int, words: list[str]) -> str:
    text = ""
    while not all(word in text for word in words):
        if not select.select([descriptor], [], [], 60)[0]:
            pytest.fail(f"of {words} there was only {text!r}")
        text += os.read(descriptor, 4096).decode()
    return text


def start_on_terminal(command: list[str | Path], variables: dict[str, str]) -> tuple[subprocess.Popen[bytes], int]:
    """A command on a terminal of its own, as its session's first process; closing the descriptor closes it."""
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        command, env=variables, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=take_terminal,
    )  # fmt: skip
    os.close(theirs)
    return process, ours


def are_gone(pids: list[int]) -> bool:
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids)


@pytest.mark.parametrize("way", ["close", "terminate"])
def test_a_closed_terminal_and_sigterm_end_every_child(way: str) -> None:
    variables = {**without_ours(), "PYTHONPATH": str(ROOT / "locust")}
    process, terminal = start_on_terminal([sys.executable, "-c", TWO_CHILDREN], variables)
    text = read_until(terminal, ["children", "one\r", "deaf\r"])
    pids = [int(pid) for pid in text.split("children ")[1].split("\r")[0].split()]
    if way == "close":
        os.close(terminal)
    else:
        process.send_signal(signal.SIGTERM)
    process.wait(30)
    wait_until(lambda: are_gone(pids), 10, "the end of both children")
    if way != "close":
        os.close(terminal)


def test_under_nohup_a_closed_terminal_ends_nothing() -> None:
    code = (
        "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from inference_swarm.cli.processes import Processes\n"
        "with Processes(): print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)"
    )
    variables = {**without_ours(), "PYTHONPATH": str(ROOT / "locust")}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


@pytest.mark.parametrize("command", ["demo", "matrix", "k8s_job"])
def test_a_command_that_waits_for_children_has_no_event_loop_of_locust(command: str) -> None:
    """Under gevent a signal waits for the loop, and an exception of its handler is the loop's."""
    names = "[name for name in ('gevent', 'locust') if name in sys.modules]"
    code = f"import sys, inference_swarm.cli.{command}; print({names})"
    variables = {**without_ours(), "PYTHONPATH": str(ROOT / "locust")}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@contextmanager
def load_on_a_terminal_that_closes(tmp_path: Path, command: list[str]) -> Iterator[Recording]:
    """A command that sends rows for minutes; yields when the terminal was closed and all its processes are gone."""
    variables = {**complete_environment(tmp_path / "venv"), "WORKERS": "1", "CI": "true"}
    splits = tmp_path / "results" / "splits" / "mine"
    splits.mkdir(parents=True)
    pq.write_table(pa.table({"number": [1, 2, 3]}), splits / "X_test.parquet")
    port = str(free_port())
    with recording_server() as server:
        script, *rest = command
        process, terminal = start_on_terminal(
            [ROOT / "scripts" / script, *(word.replace("HOST", server.url) for word in rest),
             "--results", str(tmp_path / "results"), "--wait-min", "0.05", "--wait-max", "0.05",
             "--master-bind-port", port, "--master-port", port],
            variables,
        )  # fmt: skip
        closing = threading.Event()
        reader = threading.Thread(target=drain_and_close, args=(terminal, closing))
        reader.start()
        wait_until(lambda: server.count > 5, 60, "requests")
        family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
        closing.set()
        reader.join()
        process.wait(60)
        wait_until(lambda: are_gone(family), 30, "the end of all processes")
        yield server


def test_a_closed_terminal_ends_a_whole_test_with_its_master_and_workers(tmp_path: Path) -> None:
    results = str(tmp_path / "results")
    command = ["start.sh", "test", "HOST", "2", "2", "10m", "--datasets", "mine", "--models", "lgbm"]
    with load_on_a_terminal_that_closes(tmp_path, [*command, "--results", results, "--"]) as server:
        (summary,) = (tmp_path / "results" / "runs").glob("*/summary.json")
        assert json.loads(summary.read_text())["requests"] == server.count


def test_a_headless_run_whose_terminal_closes_writes_what_it_has_measured(tmp_path: Path) -> None:
    command = ["run_locust_headless.sh", "HOST", "2", "2", "10m", "--", "--dataset-name", "mine"]
    with load_on_a_terminal_that_closes(tmp_path, command) as server:
        (summary,) = (tmp_path / "results" / "runs").glob("*/summary.json")
        assert json.loads(summary.read_text())["requests"] == server.count


def drain_and_close(descriptor: int, closing: threading.Event) -> None:
    """Reads what is said until the terminal is to close."""
    while not closing.is_set():
        if select.select([descriptor], [], [], 0.05)[0]:
            os.read(descriptor, 65536)
    os.close(descriptor)


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.processes
@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_our_own_server_is_asked_without_a_proxy(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, f"http://127.0.0.1:{free_port()}")  # where nothing listens
    (tmp_path / "log").touch()
    with HTTPServer(("127.0.0.1", 0), _Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
            wait_until_healthy(f"http://127.0.0.1:{server.server_port}/", child, tmp_path / "log", timeout_s=5)
            child.kill()
        server.shutdown()
