"""`--otel`: our requests reach a receiver of OTLP as those of Locust's own users do, from forked workers too."""

from __future__ import annotations

import gzip
import os
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from recording_server import Recording, answer_bytes
from swarm_processes import Swarm

if os.environ.get("CI") != "true":
    pytest.importorskip("opentelemetry.sdk")
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Receiver:
    """An OTLP receiver over HTTP, on a free port."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.durations: dict[tuple[int, str, str], int] = {}
        """The last count of each series: process (by its first instant), name, error type."""
        self.users: list[int] = []

    def take(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    self.spans += scope.spans
        if path == "/v1/metrics":
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        self._take_metric(metric)

    def _take_metric(self, metric: Any) -> None:
        if metric.name == "locust.users.count":
            self.users += [point.as_int for point in metric.gauge.data_points]
        if metric.name == "locust.client.duration":
            for point in metric.histogram.data_points:
                told = {one.key: one.value.string_value for one in point.attributes}
                series = (point.start_time_unix_nano, told["name"], told.get("error.type", ""))
                self.durations[series] = point.count


@pytest.fixture
def receiver() -> Iterator[tuple[Receiver, str]]:
    received = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            is_packed = self.headers.get("content-encoding") == "gzip"
            received.take(self.path, gzip.decompress(body) if is_packed else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield received, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.mark.processes
def test_a_receiver_gets_each_request_as_a_span_and_in_the_histogram(
    swarm: Swarm, recording: Recording, tmp_path: Path, receiver: tuple[Receiver, str]
) -> None:
    received, endpoint = receiver
    rows = tmp_path / "rows.csv"
    rows.write_text("n\n1\n2\n3\n", encoding="utf-8")
    recording.delay_s = 0.02
    recording.answer = lambda body: answer_bytes(503 if b"3" in body else 200)
    done = swarm.run(
        "--headless", "--host", recording.url, "--data", str(rows), "--results", str(swarm.results), "-u", "2", "-r",
        "2", "-t", "12s", "--processes", "2", "--master-bind-port", str(swarm.master_port), "--otel",
        "--stop-timeout", "5",
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_METRIC_EXPORT_INTERVAL": "500"},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    summary = swarm.summary()
    counts: Counter[str] = Counter()
    for (_, name, error), count in received.durations.items():
        assert name == "/invocation"
        counts[error] += count
    assert counts == {"": summary["requests"] - summary["failures"], "AttemptError": summary["failures"]}
    assert summary["requests"] == recording.count == len(received.spans), done.stderr
    assert max(received.users) == 2
    told = Counter(
        (span.name, *sorted((one.key, one.value.string_value or one.value.int_value) for one in span.attributes))
        for span in received.spans
    )
    shared = (("http.method", "POST"), ("http.status_code", 200), ("http.url", f"{recording.url}/invocation"))
    assert told[("POST /invocation", *shared)] == counts[""]
    traces = {span.trace_id.hex() + "-" + span.span_id.hex() for span in received.spans}
    head = recording.last_head.decode()
    assert head.partition("traceparent: 00-")[2][:49] in traces


@pytest.mark.processes
def test_without_the_sdk_the_run_is_refused_and_says_how_to_install_it(swarm: Swarm) -> None:
    hidden = swarm.folder / "opentelemetry"
    hidden.mkdir()
    (hidden / "__init__.py").write_text("", encoding="utf-8")
    done = swarm.run(
        "--headless", "--host", "http://127.0.0.1:1", "-t", "1s", "--otel", "--processes", "0",
        env={"PYTHONPATH": f"{swarm.folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
    )  # fmt: skip
    assert done.returncode == 2
    assert "pip install 'inference-swarm[otel]'" in done.stderr
