"""Real model servers on loopback: the trained pipeline of a folder, served as each server's users serve it.

`serve` starts one in its own virtual environment, in a group of processes that `close` ends. A `Case` is a server
together with one API that it speaks.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from swarm_processes import OUR_VARIABLES, free_port, wait_until

SERVED = Path(__file__).resolve().parent / "served"
END_S = 10.0
FOR_THIS_CHECKOUT = (*OUR_VARIABLES, "PYTHON", "VIRTUAL_ENV", "PYTEST")
QUIET = {
    "DO_NOT_TRACK": "1",
    "BENTOML_DO_NOT_TRACK": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_NUM_THREADS": "1",
}


@dataclass(frozen=True, slots=True)
class Case:
    """A server and an API; `options` are those of the swarm for a method of the model."""

    server: str
    api: str
    options: Callable[[str], tuple[str, ...]]

    def arguments(self, url: str, method: str) -> list[str]:
        return ["--host", url, "--api", self.api, *self.options(method)]


def _output(method: str) -> tuple[str, ...]:
    return ("--model", "stroke", "--pred-method", method)


def _model(method: str) -> tuple[str, ...]:
    return ("--model", {"predict": "stroke", "predict_proba": "stroke-proba"}[method])


def _method(method: str) -> tuple[str, ...]:
    return ("--pred-method", method)


CASES = (
    Case("mlflow", "mlflow", _method),
    Case("mlserver", "open-inference", _output),
    Case("kserve", "kserve-v1", _model),
    Case("kserve", "open-inference", _model),
    Case("bentoml", "bentoml", _method),
)


@dataclass(slots=True)
class RealServer:
    """One that runs. `counted` says how many predictions it has been asked for by its own account."""

    url: str
    log_file: Path
    process: subprocess.Popen[bytes]
    counted: Callable[[], int]

    def close(self) -> None:
        """End all its processes."""
        for asked in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, asked)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(END_S)
        with suppress(ProcessLookupError):  # what the first of them has left
            os.killpg(self.process.pid, signal.SIGKILL)

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")


def python_environment(environment: Path, folder: Path) -> dict[str, str]:
    """What a program in a server's environment inherits: nothing of this checkout and its tests."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(FOR_THIS_CHECKOUT)}
    return {**kept, **QUIET, "PATH": f"{environment / 'bin'}:{kept['PATH']}", "BENTOML_HOME": str(folder / "bentoml")}


def run_in(environment: Path, folder: Path, *arguments: object) -> None:
    """A program of `served/`, to its end."""
    command = [str(environment / "bin" / "python"), *map(str, arguments)]
    done = subprocess.run(
        command, env=python_environment(environment, folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]


def serve(name: str, environment: Path, folder: Path, log_file: Path) -> RealServer:
    """The server, ready."""
    command, url, extra, ready, counted = _STARTS[name](environment / "bin", folder, log_file)
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**python_environment(environment, folder), **extra},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = RealServer(url, log_file, process, counted)

    def is_ready() -> bool:
        assert process.poll() is None, server.log()[-4000:]
        with suppress(OSError), urllib.request.urlopen(url + ready, timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    try:
        wait_until(is_ready, 60, f"{name} is ready")
    except BaseException:
        server.close()
        raise
    return server


Start = tuple[list[str], str, Mapping[str, str], str, Callable[[], int]]


def _mlflow(programs: Path, folder: Path, log_file: Path) -> Start:
    port = free_port()
    command = [str(programs / "mlflow"), "models", "serve", "-m", str(folder / "mlflow"), "-h", "127.0.0.1"]

    def counted() -> int:  # it has no metrics; its log has a line for each request
        return len(re.findall(r'"POST /invocations HTTP/1.1" 200', log_file.read_text(errors="replace")))

    return [*command, "-p", str(port), "--env-manager", "local"], _url(port), {}, "/ping", counted


def _mlserver(programs: Path, folder: Path, log_file: Path) -> Start:
    port, metrics_port = free_port(), free_port()
    ports = {"http_port": port, "grpc_port": free_port(), "metrics_port": metrics_port}
    # Workers of its own die with uvloop 0.23, and are started again for ever.
    settings = {"host": "127.0.0.1", **ports, "parallel_workers": 0, "debug": False}
    model = {
        "name": "stroke",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(folder / "model.joblib"), "version": "v1"},
    }
    (folder / "stroke").mkdir(exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "stroke" / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
    counted = _metric(f"{_url(metrics_port)}/metrics", r"model_infer_request_success_total\{.*\}")
    return [str(programs / "mlserver"), "start", str(folder)], _url(port), {}, "/v2/models/stroke/ready", counted


def _kserve(programs: Path, folder: Path, log_file: Path) -> Start:
    port = free_port()
    command = [str(programs / "python"), str(SERVED / "kserve_models.py"), str(folder), "--http_port", str(port)]
    counted = _metric(f"{_url(port)}/metrics", r"request_predict_seconds_count\{.*\}")
    return [*command, "--enable_grpc", "false"], _url(port), {}, "/v2/health/ready", counted


def _bentoml(programs: Path, folder: Path, log_file: Path) -> Start:
    port = free_port()
    command = [str(programs / "bentoml"), "serve", "bentoml_service:Stroke", "--host", "127.0.0.1", "--port", str(port)]
    extra = {"SERVED_FOLDER": str(folder), "PYTHONPATH": str(SERVED)}
    counted = _metric(
        f"{_url(port)}/metrics",
        r'bentoml_service_request_total\{endpoint="/predict(?:_proba)?",http_response_code="200".*\}',
    )
    return [*command, "--working-dir", str(SERVED)], _url(port), extra, "/readyz", counted


_STARTS: Mapping[str, Callable[[Path, Path, Path], Start]] = {
    "mlflow": _mlflow,
    "mlserver": _mlserver,
    "kserve": _kserve,
    "bentoml": _bentoml,
}


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _metric(url: str, series: str) -> Callable[[], int]:
    """The sum of a counter's series in a page for Prometheus."""

    def counted() -> int:
        with urllib.request.urlopen(url, timeout=10) as answer:
            page = answer.read().decode()
        return sum(int(float(value)) for value in re.findall(rf"^{series} (\S+)$", page, re.MULTILINE))

    return counted
