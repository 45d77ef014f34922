"""The serving command as a process: where it listens, how it ends, what it refuses to start with."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from swarm_processes import wait_until

from server.serve import _listen
from tests.server.conftest import Trained

ROOT = Path(__file__).resolve().parents[2]
PLAIN = {key: value for key, value in os.environ.items() if key not in ("DATASET_NAME", "LOAD_MODEL")}


@contextmanager
def serving(trained: Trained, *options: str, environment: dict[str, str] | None = None) -> Iterator[Any]:
    """A real server on a free port; yields its process and its address."""
    command = [sys.executable, "-m", "server.serve", "--port", "0", "--models", str(trained.results / "models")]
    process = subprocess.Popen(
        [*command, *options], cwd=ROOT, env=PLAIN | (environment or {}), stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if match := re.search(r"serving at (http://\S+)", line):
                yield process, match[1]
                break
        else:
            pytest.fail("the server ended before it served")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers too: they hold the other end of the pipe
        process.communicate()


def spawned(parent: int) -> list[psutil.Process]:
    """The workers of a server; multiprocessing's own helper is none of them."""
    children = psutil.Process(parent).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as response:
        return json.load(response)


def post(url: str, row: dict[str, Any]) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(row).encode()), timeout=30) as response:
        return json.load(response)


@pytest.mark.processes
def test_command_line_wins_over_environment_and_sigterm_ends_it_cleanly(trained: Trained) -> None:
    environment = {"DATASET_NAME": "triple", "LOAD_MODEL": "catboost"}
    row = trained.catalog.models["triple", "lgbm"].schema.example
    with serving(trained, "--model", "lgbm", environment=environment) as (process, url):
        assert [(one["dataset"], one["model"]) for one in get(f"{url}/health")["models"]] == [("triple", "lgbm")]
        assert post(f"{url}/invocation", row)["predictions"][0] in (1, 2, 3)
        assert get(f"{url}/stats")["by_status"] == {"200": 1}
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.mark.processes
def test_two_workers_answer_on_one_port_and_end_together(trained: Trained) -> None:
    row = trained.catalog.models["kinds", "lgbm"].schema.example
    with serving(trained, "--workers", "2", "--dataset", "kinds", "--model", "lgbm") as (process, url):
        wait_until(lambda: len(spawned(process.pid)) == 2, 60, "both workers")
        workers = spawned(process.pid)
        assert get(f"{url}/health")["status"] == "ok"
        for answering, resting in (workers, workers[::-1]):  # the kernel gives a connection to who takes it
            resting.suspend()
            assert post(f"{url}/invocation", row)["predictions"][0] in ("yes", "no")
            assert get(f"{url}/stats")["pid"] == answering.pid
            time.sleep(6)  # longer than uvicorn lets a worker stand still by itself
            resting.resume()
        assert spawned(process.pid) == workers
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_workers_end_with_their_parent_however_it_ends(trained: Trained, number: signal.Signals) -> None:
    with serving(trained, "--workers", "2", "--dataset", "triple", "--model", "lgbm") as (process, url):
        assert get(f"{url}/health")["status"] == "ok"
        workers = psutil.Process(process.pid).children(recursive=True)
        assert len(workers) >= 2
        process.send_signal(number)
        process.wait(20)
        _, alive = psutil.wait_procs(workers, 20)
        assert alive == []
        with socket.socket() as again:  # nobody holds the port
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", int(url.rsplit(":", 1)[1])))


@pytest.mark.processes
def test_a_server_that_is_too_busy_to_answer_stays_ready_and_one_that_still_loads_is_not(trained: Trained) -> None:
    """As Kubernetes' readiness probe asks: by a connection, which the kernel takes for a process that stands still."""
    with serving(trained, "--dataset", "triple", "--model", "lgbm") as (process, url):
        port = int(url.rsplit(":", 1)[1])
        process.send_signal(signal.SIGSTOP)
        for _ in range(50):
            socket.create_connection(("127.0.0.1", port), 5).close()
        with pytest.raises(OSError, match="timed out"):
            urllib.request.urlopen(f"{url}/health", timeout=0.2)
        process.send_signal(signal.SIGCONT)
    listener = _listen("127.0.0.1", 0)
    with listener, pytest.raises(ConnectionRefusedError):
        socket.create_connection(listener.getsockname(), 5)


@pytest.mark.processes
def test_new_connections_are_let_in_while_many_clients_keep_the_server_busy(trained: Trained) -> None:
    """However long a turn of its event loop takes, they wait for a few of them, not for one after the other."""
    row = json.dumps({"amount [€]": 1.5, "count": 2, "word": "rot"}).encode()
    path = "/invocation?dataset=triple&model=xgboost"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(row)}\r\n\r\n".encode()
    took_s: list[float] = []
    clients, newcomers = 150, 60

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> float:
        began_s = time.monotonic()
        writer.write(request)
        said = await reader.readuntil(b"\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 200"), said
        length = int(said.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        return time.monotonic() - began_s

    async def stay(port: int) -> None:
        streams = await asyncio.open_connection("127.0.0.1", port)
        while True:
            took_s.append(await ask(*streams, head + row))

    async def come(port: int) -> float:
        began_s = time.monotonic()
        streams = await asyncio.open_connection("127.0.0.1", port)
        await ask(*streams, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        return time.monotonic() - began_s

    async def measure(port: int) -> float:
        busy = [asyncio.create_task(stay(port)) for _ in range(clients)]
        while len(took_s) < 10 * clients:
            await asyncio.sleep(0.05)
        took_s.clear()
        slowest_s = max(await asyncio.gather(*(come(port) for _ in range(newcomers))))
        for task in busy:
            task.cancel()
        return slowest_s / statistics.median(took_s)

    with serving(trained, "--dataset", "triple", "--model", "xgboost") as (_, url):
        turns = asyncio.run(asyncio.wait_for(measure(int(url.rpartition(":")[2])), 60))
    assert turns < newcomers / 4


@pytest.mark.processes
def test_a_taken_port_is_told_with_the_option_that_moves_it(trained: Trained) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = _refused("--port", port, "--models", str(trained.results / "models"))
    assert f"Cannot listen on 127.0.0.1:{port}: Address already in use." in ended
    assert "Fix: choose another with --port" in ended


@pytest.mark.processes
def test_no_models_unknown_names_and_broken_files_refuse_the_start(trained: Trained, tmp_path: Path) -> None:
    models = trained.results / "models"
    empty = _refused("--models", str(tmp_path))
    assert f"No models in {tmp_path}." in empty
    assert "Fix: train them: scripts/start.sh train" in empty
    unknown = _refused("--models", str(models), "--dataset", "trible")
    assert "Unknown dataset 'trible' (did you mean 'triple'?)" in unknown
    assert "all or one or more of kinds, triple" in unknown
    shutil.copy(models / "triple_XGBoost.schema.json", tmp_path)
    (tmp_path / "triple_XGBoost.ubj").write_bytes(b"no model")
    broken = _refused("--models", str(tmp_path))
    assert f"{tmp_path / 'triple_XGBoost.ubj'} cannot be loaded" in broken
    (tmp_path / "triple_XGBoost.schema.json").write_text('{"format": 2}')
    assert f"{tmp_path / 'triple_XGBoost.schema.json'} cannot be used" in _refused("--models", str(tmp_path))


@pytest.mark.processes
def test_lightgbm_runs_on_the_bundled_openmp_library() -> None:
    """As on a slim image without libgomp1: the system's copy must not be loaded at all."""
    code = (
        "from server.openmp import load_bundled_openmp; load_bundled_openmp(); import lightgbm, numpy;"
        "x = numpy.arange(400.0).reshape(200, 2);"
        "m = lightgbm.train({'objective': 'binary', 'verbose': -1}, lightgbm.Dataset(x, x[:, 0] > 200), 3);"
        "assert m.predict(x[-1:])[0] > m.predict(x[:1])[0];"
        "print([line for line in open('/proc/self/maps') if '/libgomp.so.1' in line and 'memfd' not in line])"
    )
    if sys.platform != "linux":
        pytest.skip("only Linux wheels need it")
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.stdout.strip(), ended.returncode) == ("[]", 0), ended.stderr


def _refused(*options: str) -> str:
    command = [sys.executable, "-m", "server.serve", "--port", "0", *options]
    ended = subprocess.run(command, cwd=ROOT, env=PLAIN, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Expected: " in ended.stderr
    return ended.stderr
