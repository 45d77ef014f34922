"""The real kubectl on what we render and document, against a small API of our own: there is no cluster here."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from fake_api import FakeApi, fake_api

from inference_swarm.cli.kustomize import kustomize
from manifests.build import K8S

DOCS = (K8S.parent / "docs" / "kubernetes.md").read_text(encoding="utf-8")
pytestmark = [pytest.mark.processes, pytest.mark.needs("kubectl", "scripts/render installs one")]


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with fake_api() as made:
        yield made


def kubectl(api: FakeApi, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["kubectl", "--server", api.url, "--kubeconfig", "/dev/null", *arguments],
        input=text, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_second_apply_changes_nothing(api: FakeApi) -> None:
    """But for disruption budgets, whose selector kubectl sends each time: its patch strategy is `replace`."""
    manifests = kustomize(K8S)
    for _ in range(2):
        done = kubectl(api, "apply", "--validate=false", "-f", "-", text=manifests)
        assert done.returncode == 0, done.stderr
    said = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert len(said) > 10
    assert {name for name, word in said.items() if word != "unchanged"} == {"poddisruptionbudget.policy/swarm-worker"}
    ((path, patch),) = api.patches
    assert path.endswith("/poddisruptionbudgets/swarm-worker")
    assert list(patch["spec"]) == ["selector"]
    # what docs/kubernetes.md offers to see that nothing changes
    assert "`kubectl diff -k k8s` shows nothing and ends with 0" in DOCS
    difference = kubectl(api, "diff", "-f", "-", text=manifests)
    assert (difference.returncode, difference.stdout) == (0, ""), difference.stderr


@pytest.mark.parametrize(
    ("conditions", "code"),
    [
        ([{"type": "Complete", "status": "True"}], 0),
        ([{"type": "FailureTarget", "status": "True"}, {"type": "Failed", "status": "True"}], 0),
        (None, 1),
    ],
)
def test_the_documented_wait_ends_for_passed_and_failed_jobs_and_no_other(
    api: FakeApi, conditions: list[dict[str, str]] | None, code: int
) -> None:
    (documented,) = re.findall(r"^kubectl -n (\S+) wait --for=jsonpath='(\S+)' --timeout=\S+ (\S+)$", DOCS, re.M)
    namespace, expression, job = documented
    status = {"ready": 0, "terminating": 0} | ({} if conditions is None else {"conditions": conditions})
    api.objects[f"/apis/batch/v1/namespaces/{namespace}/jobs/swarm-master"] = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "swarm-master", "namespace": namespace, "resourceVersion": "1"},
        "status": status,
    }
    done = kubectl(api, "-n", namespace, "wait", f"--for=jsonpath={expression}", "--timeout=1s", job)
    assert done.returncode == code, done.stdout + done.stderr


@pytest.mark.needs("promtool", "prometheus")
def test_the_documented_scrape_configuration_is_one(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(scrape_configs:\n.*?)```", DOCS, re.S)
    (config,) = yaml.safe_load(block)["scrape_configs"]
    (discovery,) = config["kubernetes_sd_configs"]
    assert discovery == {"role": "pod", "namespaces": {"names": ["inference-swarm", "inference-swarm-job"]}}
    # Debian's promtool is built without that discovery: the rest is checked with another.
    found = re.sub(r"    kubernetes_sd_configs:\n(?:      .*\n)+", "    static_configs: [{targets: [x]}]\n", block)
    (tmp_path / "prometheus.yml").write_text(found)
    done = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_documented_copy_of_results_makes_its_folder_first() -> None:
    (step,) = re.findall(r"# 5\. the results\n(.*?)\n\n", DOCS, re.S)
    lines = step.splitlines()
    assert lines[0] == "mkdir -p experiment-results"
    assert lines[1].endswith("| tar x -C experiment-results")
