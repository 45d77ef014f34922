"""The serving command as a process: where it listens, how it ends, what it refuses to start with."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

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


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def post(url: str, row: dict[str, Any]) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(row).encode()), timeout=30) as answer:
        return json.load(answer)


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
        assert post(f"{url}/invocation", row)["predictions"][0] in ("yes", "no")
        first = get(f"{url}/stats")["pid"]
        os.kill(first, signal.SIGSTOP)  # which of them takes a connection is up to the kernel, unless one cannot
        try:
            assert post(f"{url}/invocation", row)["predictions"][0] in ("yes", "no")
            assert get(f"{url}/stats")["pid"] not in (first, process.pid)
        finally:
            with suppress(ProcessLookupError):
                os.kill(first, signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.mark.processes
def test_a_taken_port_is_told_with_the_option_that_moves_it(trained: Trained) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = _refused("--port", port, "--models", str(trained.results / "models"))
    assert f"Cannot listen on 127.0.0.1:{port}: Address already in use." in ended
    assert "What to do: choose another with --port" in ended


@pytest.mark.processes
def test_no_models_unknown_names_and_broken_files_refuse_the_start(trained: Trained, tmp_path: Path) -> None:
    models = trained.results / "models"
    empty = _refused("--models", str(tmp_path))
    assert f"No models in {tmp_path}." in empty
    assert "What to do: train them: scripts/start.sh train" in empty
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
