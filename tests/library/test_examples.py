"""Every file of locust/examples, by the real command against a real server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from recording_server import Recording
from swarm_processes import ROOT, Swarm

from inference_swarm import read_run

pytestmark = pytest.mark.processes

EXAMPLES = ROOT / "locust" / "examples"
TESTED = {"two_models.py", "fresh_token.py", "own_body.py", "load_shape.py", "listener.py"}


def run(
    swarm: Swarm, example: str, host: str, rows: Path, *more: str, processes: int = 1, env: dict[str, str] | None = None
) -> dict[str, Any]:
    variables = {"PYTHONPATH": f"{ROOT / 'locust'}", **(env or {})}
    result = swarm.run(
        "-f", str(EXAMPLES / example), "--headless", "--host", host, "--data", str(rows),
        "--results", str(swarm.results), "--processes", str(processes), "--master-bind-port", str(swarm.master_port),
        "--no-probe",
        *more, env=variables,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return swarm.summary()


def test_every_example_has_a_test() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == TESTED


@pytest.mark.parametrize("processes", [0, 2])
def test_two_models_at_nine_to_one_are_counted_by_name(
    swarm: Swarm, recording: Recording, rows: Path, processes: int
) -> None:
    recording.delay_s = 0.02
    summary = run(
        swarm, "two_models.py", recording.url, rows, "-u", "10", "-r", "100", "-t", "4s",
        "--slo", "p50{canary}<10s", processes=processes,
    )  # fmt: skip
    served = [target.partition("model=")[2] for target in recording.targets]
    names = summary["names"]
    assert set(served) == {"xgboost", "catboost"}
    assert names["stable"]["requests"] + names["stable"]["abandoned"] == served.count("xgboost")
    assert names["canary"]["requests"] + names["canary"]["abandoned"] == served.count("catboost")
    share = names["canary"]["requests"] / summary["requests"]
    assert share == pytest.approx(0.1, abs=0.04)
    assert summary["objectives"][0]["outcome"] == "pass"
    results = read_run(swarm.run_folders()[0])
    assert set(results.percentiles.index.get_level_values("name")) == {"", "stable", "canary", *names}
    table = (swarm.run_folders()[0] / "locust_stats.csv").read_text(encoding="utf-8")
    assert "POST,stable," in table


@contextmanager
def token_server(lifetime_s: float) -> Iterator[tuple[str, list[str]]]:
    """A server that gives out tokens and takes only one that has not expired; statuses in the order of requests."""
    issued: dict[str, float] = {}
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path == "/token":
                token = f"t{len(issued)}"
                issued[token] = time.monotonic() + lifetime_s
                return self._answer(200, {"access_token": token, "expires_in": lifetime_s})
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            is_valid = issued.get(token, 0.0) > time.monotonic()
            seen.append(token if is_valid else "refused")
            time.sleep(0.01)
            return self._answer(200 if is_valid else 401, {"predictions": [0]})

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()


def test_a_token_is_refreshed_before_it_expires(swarm: Swarm, rows: Path) -> None:
    with token_server(3.0) as (url, seen):
        summary = run(
            swarm, "fresh_token.py", url, rows, "-u", "2", "-r", "2", "-t", "6s",
            env={"TOKEN_URL": f"{url}/token"},
        )  # fmt: skip
    assert "refused" not in seen
    assert len(set(seen)) >= 2
    assert summary["failures"] == 0
    assert 0 < summary["requests"] <= len(seen)


def test_own_bodies_go_next_to_rows(swarm: Swarm, recording: Recording, rows: Path) -> None:
    recording.delay_s = 0.01
    summary = run(swarm, "own_body.py", recording.url, rows, "-u", "4", "-r", "4", "-t", "3s", processes=0)
    feedback = [body for target, body in zip(recording.targets, recording.bodies, strict=True) if target == "/feedback"]
    assert set(feedback) == {b'{"useful": true}'}
    rest = [body for target, body in zip(recording.targets, recording.bodies, strict=True) if target == "/invocation"]
    assert all(set(json.loads(body)) == {"n", "word"} for body in rest)
    names = summary["names"]
    assert names["feedback"]["requests"] + names["feedback"]["abandoned"] == len(feedback)
    assert len(feedback) / recording.count == pytest.approx(1 / 6, abs=0.08)


def test_a_load_shape_decides_users_and_the_end(swarm: Swarm, recording: Recording, rows: Path) -> None:
    recording.delay_s = 0.01
    summary = run(swarm, "load_shape.py", recording.url, rows)
    assert summary["verdict"] in ("passed", "generator-bound")
    assert summary["failures"] == 0
    assert 5 < summary["duration_s"] < 60
    assert summary["requests"] + summary["abandoned"] == recording.count


def test_a_listener_hears_of_every_request(swarm: Swarm, recording: Recording, rows: Path) -> None:
    recording.delay_s = 0.01
    log = swarm.folder / "requests.jsonl"
    summary = run(
        swarm, "listener.py", recording.url, rows, "-u", "3", "-r", "3", "-t", "3s", env={"REQUEST_LOG": str(log)}
    )
    lines = [line for path in swarm.folder.glob("requests.jsonl.*") for line in path.read_text().splitlines()]
    assert len(lines) == summary["requests"] > 0
    assert {json.loads(line)["name"] for line in lines} == {"/invocation"}
