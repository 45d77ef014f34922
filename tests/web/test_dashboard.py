"""The Grafana dashboard asks only for metrics that there are, and every expression is PromQL."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from inference_swarm.cluster.run_rows import RowsState
from inference_swarm.errors import ExitCode
from inference_swarm.judge.verdict import Status, Verdict
from inference_swarm.measure.counters import FailureRecord, RequestCounters
from inference_swarm.web.metrics import expose
from inference_swarm.web.state import RunState, SwarmState
from inference_swarm.web.worker_rows import WorkerState
from manifests.agreement import check_dashboard

DASHBOARD = Path(__file__).resolve().parent.parent.parent / "docker" / "grafana" / "dashboard.json"


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def expressions() -> list[str]:
    """With the window that Grafana puts in for this scrape interval: four of them."""
    return [target["expr"].replace("$__rate_interval", "20s") for panel in panels() for target in panel["targets"]]


def exposed() -> set[str]:
    counters = RequestCounters(failed={"timeout": FailureRecord("timeout", 1)})
    run = RunState(
        run_id="r", name="n", started_unix_s=0, duration_s=1, measured_s=1, is_over=False, target="t", dataset="",
        model="",
        method="",
        api="invocation", load="constant", source="", rows=1, blocks=1, fingerprint="", names={"a": counters},
        verdict=Verdict(Status.PASSED), rate_wanted_rps=1,
    )  # fmt: skip
    worker = WorkerState("w", "running", 1, 1, 1, 1, 1, shard=RowsState())
    text = expose(SwarmState("running", 1, 1, [worker], run), "")[0].decode()
    return set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)) | set(
        re.findall(r"^(swarm_\w+)[{ ]", text, re.MULTILINE)
    )


def test_every_metric_of_the_dashboard_exists() -> None:
    asked = {name for expression in expressions() for name in re.findall(r"swarm_\w+", expression)}
    assert asked - exposed() == set()
    assert {"swarm_latency_seconds_bucket", "swarm_requests_total", "swarm_verdict", "swarm_shard_rows"} <= asked


def test_every_code_of_the_verdict_has_its_word() -> None:
    (verdict,) = [panel for panel in panels() if panel["title"] == "Verdict"]
    words = {code: one["text"] for code, one in verdict["fieldConfig"]["defaults"]["mappings"][0]["options"].items()}
    shown = [code for code in ExitCode if code is not ExitCode.BAD_CONFIGURATION]  # such a run never begins
    assert words == {str(int(code)): code.name.lower().replace("_", " ") for code in shown}


def test_the_copy_for_kubernetes_is_the_same_and_another_is_noticed(tmp_path: Path) -> None:
    assert check_dashboard() == []
    for folder in ("docker/grafana", "k8s/components/monitoring"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "dashboard.json").write_text(folder, encoding="utf-8")
    assert check_dashboard(tmp_path) == [
        "k8s/components/monitoring/dashboard.json is not docker/grafana/dashboard.json: copy it"
    ]


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


@pytest.mark.processes
@pytest.mark.needs("promtool", "Debian: prometheus")
def test_every_expression_is_promql(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    records = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(expressions())]
    rules.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": records}]}))
    checked = subprocess.run(["promtool", "check", "rules", str(rules)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.processes
@pytest.mark.needs("promtool", "Debian: prometheus")
def test_the_configuration_of_the_profile_monitoring_is_valid() -> None:
    file = DASHBOARD.parent.parent / "prometheus.yml"
    checked = subprocess.run(["promtool", "check", "config", str(file)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
