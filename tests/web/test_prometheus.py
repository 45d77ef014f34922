"""Debian's Prometheus scrapes a real run; what PromQL answers agrees with summary.json."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dashboard_preview
import pytest
from recording_server import answer_bytes
from swarm_processes import free_port, wait_until
from web_swarm import WebSwarm

from inference_swarm.web.metrics import WIDEST_STEP

pytestmark = pytest.mark.processes

DASHBOARD = Path(__file__).resolve().parents[2] / "docker" / "grafana" / "dashboard.json"


class Prometheus:
    """One server that scrapes one target every second."""

    def __init__(self, folder: Path, target_port: int) -> None:
        self.port = free_port()
        config = folder / "prometheus.yml"
        scrape = {
            "job_name": "swarm",
            "scrape_interval": "1s",
            "static_configs": [{"targets": [f"127.0.0.1:{target_port}"]}],
        }
        config.write_text(json.dumps({"scrape_configs": [scrape]}))
        self._log = (folder / "prometheus.log").open("wb")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}",
             f"--web.listen-address=127.0.0.1:{self.port}"],
            stdout=self._log, stderr=self._log, start_new_session=True,
        )  # fmt: skip

    def query(self, promql: str) -> list[tuple[dict[str, str], float]]:
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": promql})
        with urllib.request.urlopen(url, timeout=10) as response:
            found = json.loads(response.read())["data"]["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    def query_range(self, promql: str, seconds: int) -> list[dict[str, Any]]:
        """The last N seconds, a point each."""
        now_s = time.time()
        query = {"query": promql, "start": now_s - seconds, "end": now_s, "step": 1}
        url = f"http://127.0.0.1:{self.port}/api/v1/query_range?" + urllib.parse.urlencode(query)
        with urllib.request.urlopen(url, timeout=10) as response:
            found: list[dict[str, Any]] = json.loads(response.read())["data"]["result"]
        return found

    def value(self, promql: str) -> float:
        """The only value; NaN when there is none yet."""
        try:
            found = self.query(promql)
        except OSError:
            return float("nan")
        assert len(found) <= 1, found
        return found[0][1] if found else float("nan")

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(20)
        self._log.close()


@pytest.fixture
def prometheus(web: WebSwarm, tmp_path: Path) -> Iterator[Prometheus]:
    if not shutil.which("prometheus") and os.environ.get("CI") != "true":
        pytest.skip("needs prometheus (Debian: prometheus)")
    started = Prometheus(tmp_path, web.port)
    yield started
    started.close()


def test_promql_agrees_with_the_summary(web: WebSwarm, prometheus: Prometheus) -> None:
    web.target.delay_s = 0.004
    web.start("--dataset-name", "alpha")
    web.wait_for_workers()
    wait_until(lambda: prometheus.value("up") == 1, 30, "a first scrape")
    assert prometheus.value("swarm_requests_total") != prometheus.value("swarm_requests_total")  # none before a run
    seconds = 13
    summary = web.run_once(seconds=seconds, arrival="constant", rate="300", slo="p99<1ms")
    requests = summary["requests"]
    assert requests == web.target.count
    wait_until(lambda: prometheus.value("swarm_requests_total") == requests, 20, "the last count in Prometheus")
    assert prometheus.value('sum(swarm_latency_seconds_bucket{le="+Inf"})') == requests
    assert prometheus.value("swarm_verdict") == summary["exit_code"] == 3
    assert prometheus.value("sum(swarm_shard_rows)") == 1000
    assert prometheus.value("swarm_workers") == 2
    assert prometheus.value("max_over_time(swarm_rate_wanted[1m])") == 300
    assert prometheus.value("swarm_objectives_missed") == 1
    assert prometheus.value("sum(swarm_late_total)") == summary["late"]
    assert prometheus.value("sum(swarm_dropped_total)") == summary["dropped"]
    # Workers report every 3 s, on a busy machine some late and the next at once: over four reports the rate is that of
    # the run, give or take one of them.
    rate = prometheus.value("max_over_time(sum(rate(swarm_requests_total[12s]))[40s:1s])")
    assert rate == pytest.approx(summary["rate_rps"], rel=0.35)
    mean_rate = prometheus.value(f"max_over_time(swarm_requests_total[1m]) / {summary['duration_s']}")
    in_time = summary["requests"] - summary["ended_after_load"]
    assert mean_rate * in_time == pytest.approx(summary["rate_rps"] * summary["requests"], rel=1e-3)
    for quantile, name in ((0.5, "p50"), (0.99, "p99")):
        for metric, key in (("swarm_latency_seconds", "latency_us"), ("swarm_service_seconds", "service_us")):
            estimate_us = prometheus.value(f"histogram_quantile({quantile}, {metric}_bucket)") * 1e6
            assert 1 / WIDEST_STEP <= estimate_us / summary[key][name] <= WIDEST_STEP, (name, metric)
    mean_us = prometheus.value("swarm_latency_seconds_sum / swarm_latency_seconds_count") * 1e6
    assert mean_us == pytest.approx(summary["latency_us"]["mean"], rel=1e-3)


def test_every_panel_of_the_dashboard_has_data(
    web: WebSwarm, prometheus: Prometheus, browser: Any, tmp_path: Path
) -> None:
    web.target.delay_s = 0.004
    web.target.answer = lambda body: answer_bytes(503 if b"7" in body else 200)
    web.start("--dataset-name", "alpha")
    web.wait_for_workers()
    wait_until(lambda: prometheus.value("up") == 1, 30, "a first scrape")
    images = os.environ.get("SWARM_TEST_IMAGES")
    seconds, window = (90, "20s") if images else (15, "6s")  # as Grafana has it, for a picture; two reports of a worker
    web.start_run(arrival="poisson", rate="400", slo="p99<1ms; error_rate<50%", run_time=str(seconds))
    wait_until(lambda: bool(list(web.swarm.results.glob("runs/*/summary.json"))), seconds + 30, "the end of the run")
    (summary,) = web.wait_for_end(1)
    wait_until(
        lambda: prometheus.value("sum(swarm_requests_total)") == summary["requests"], 20, "the last count in Prometheus"
    )
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    shown = []
    for panel in dashboard["panels"]:
        series = []
        for target in panel["targets"]:
            promql = target["expr"].replace("$__rate_interval", window)
            found = dashboard_preview.read_series(
                prometheus.query_range(promql, seconds + 9), target.get("legendFormat", "")
            )
            assert any(one.points for one in found), f"{panel['title']}: {promql}"
            series += [one for one in found if one.points]
        shown.append((panel, series))
    written = tmp_path / "dashboard.html"
    written.write_text(dashboard_preview.page(dashboard["title"], shown), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1400, "height": 1960})
    page.goto(written.as_uri())
    assert page.locator("section").count() == len(dashboard["panels"])
    assert page.locator("section", has_text="Verdict").locator(".stat").inner_text() == "objective missed"
    if images:
        page.screenshot(path=Path(images) / "dashboard.png", full_page=True)
