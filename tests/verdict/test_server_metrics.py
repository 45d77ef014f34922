"""The server's own metrics in a real run: read each second, shown over time; what cannot be read is a gap."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from recording_server import Recording
from swarm_processes import Swarm

pytestmark = pytest.mark.processes


class Metrics(BaseHTTPRequestHandler):
    """Half a core of CPU, seven requests in flight."""

    def do_GET(self) -> None:
        text = (
            f"# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total {time.monotonic() / 2}\n"
            "# TYPE nv_inference_pending_request_count gauge\n"
            'nv_inference_pending_request_count{model="a"} 3\nnv_inference_pending_request_count{model="b"} 4\n'
        ).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def metrics_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/metrics"
    server.shutdown()
    server.server_close()


def test_the_servers_own_metrics_are_in_every_file_and_gaps_are_said(
    swarm: Swarm, rows: Path, recording: Recording, metrics_url: str
) -> None:
    result = swarm.run(
        "--headless", "--host", recording.url, "--data", str(rows), "--results", str(swarm.results), "--processes", "0",
        "-u", "2", "-r", "10", "-t", "6s", "--wait-min", "0.05", "--wait-max", "0.05",
        "--server-metrics", metrics_url, "--server-metrics", "http://127.0.0.1:1/metrics",
        "--server-pid", str(os.getpid()),
    )  # fmt: skip
    summary = swarm.summary()
    assert (result.returncode, summary["verdict"] in ("passed", "generator-bound")) == (0, True), result.stderr
    server = summary["server"]
    assert server["metrics"]["queue"] == {"unit": "", "mean": 7.0, "max": 7.0, "last": 7.0}
    assert server["metrics"]["CPU"]["mean"] == pytest.approx(50, rel=0.2)
    assert server["metrics"]["memory of the process"]["last"] > 10
    assert server["failures"] >= 2
    assert "http://127.0.0.1:1/metrics" in server["sentences"][-1]
    assert "The server's metrics cannot be read, which leaves gaps" in result.stderr
    (folder,) = (swarm.results / "runs").iterdir()
    assert (folder / "server.csv").read_text(encoding="utf-8").startswith("at_s,")
    assert "The server's own metrics" in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--server-metric", "1bad"], "--server-metric is '1bad'"),
        (["--server-metrics", "localhost:8002"], "--server-metrics is 'localhost:8002'"),
        (["--server-pid", "none"], "argument --server-pid"),
    ],
)
def test_a_wrong_source_is_refused_at_start(swarm: Swarm, arguments: list[str], words: str) -> None:
    result = swarm.run("--headless", "--processes", "0", "--host", "http://127.0.0.1:1", *arguments)
    assert result.returncode == 2
    assert words in result.stderr
