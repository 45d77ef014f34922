"""The rules that the manifests keep, each shown to fail when it is broken; and what is put together with what."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from manifests.agreement import Code, check_agreement
from manifests.build import K8S, OVERLAYS, build, build_combination, combinations
from manifests.objects import Item, config_map, find, needed_secrets
from manifests.policy import check_policy
from manifests.schemas import NEWEST, OLDEST, Schemas

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("manifests")]  # kubectl builds them, once for all tests


@pytest.fixture(scope="module")
def code() -> Code:
    return Code.read()


@pytest.fixture(scope="module")
def default() -> list[Item]:
    return build(K8S)


@pytest.fixture(scope="module")
def everything() -> list[Item]:
    return build_combination(
        ("external-target", "data-volume", "data-s3", "secure-channel", "autoscale", "monitoring",
         "prometheus-operator", "ingress", "cluster-values")
    )  # fmt: skip


@pytest.mark.parametrize("folder", [".", *(f"overlays/{name}" for name in OVERLAYS)])
def test_default_and_overlays_keep_every_rule(folder: str, code: Code) -> None:
    items = build(K8S / folder)
    schemas = Schemas()
    problems = [problem for item in items for problem in schemas.check(item)]
    assert problems + check_policy(items) + check_agreement(items, code) == []
    assert schemas.validations >= 2 * (len(items) - 1)


def test_the_oldest_supported_version_is_1_29_and_the_newest_is_newer() -> None:
    assert OLDEST == "1.29"
    assert [int(part) for part in NEWEST.split(".")] > [1, 29]


def container(items: list[Item], kind: str, name: str) -> dict[str, Any]:
    item = find(items, kind, name)
    assert item is not None
    found: dict[str, Any] = item["spec"]["template"]["spec"]["containers"][0]
    return found


def pod(items: list[Item], name: str) -> dict[str, Any]:
    item = find(items, "Deployment", name)
    assert item is not None
    found: dict[str, Any] = item["spec"]["template"]["spec"]
    return found


def worker(items: list[Item]) -> dict[str, Any]:
    return container(items, "Deployment", "swarm-worker")


def master(items: list[Item]) -> dict[str, Any]:
    return container(items, "Deployment", "swarm-master")


def spec(items: list[Item], kind: str, name: str) -> dict[str, Any]:
    item = find(items, kind, name)
    assert item is not None
    found: dict[str, Any] = item["spec"]
    return found


def settings(items: list[Item]) -> dict[str, str]:
    return config_map(items, master(items)["envFrom"][0]["configMapRef"]["name"])


BROKEN: dict[str, tuple[Callable[[list[Item]], object], str]] = {
    "no limits": (lambda i: worker(i)["resources"].pop("limits"), "expected limits.cpu"),
    "no requests": (lambda i: worker(i)["resources"]["requests"].pop("memory"), "expected requests.memory"),
    "an impatient probe": (
        lambda i: worker(i)["readinessProbe"].update(timeoutSeconds=5),
        "readinessProbe waits 5 s, expected 10 s",
    ),
    "dead after half a minute": (
        lambda i: master(i)["livenessProbe"].update(periodSeconds=10, failureThreshold=3),
        "livenessProbe gives up after 30 s",
    ),
    "a server out of its Service when it is loaded": (
        lambda i: container(i, "Deployment", "inference-server").update(
            readinessProbe={"httpGet": {"path": "/health", "port": "http"}, "timeoutSeconds": 10}
        ),
        "readinessProbe asks over HTTP",
    ),
    "a strategy that each apply changes": (
        lambda i: spec(i, "Deployment", "swarm-worker")["strategy"].pop("type"),
        "its strategy has no type",
    ),
    "a drain that hangs": (
        lambda i: spec(i, "PodDisruptionBudget", "swarm-worker").pop("unhealthyPodEvictionPolicy"),
        "expected unhealthyPodEvictionPolicy AlwaysAllow",
    ),
    "no way to OpenShift's DNS": (
        lambda i: spec(i, "NetworkPolicy", "swarm-only-dns")["egress"].pop(),
        "no way to DNS in openshift-dns, port 5353 TCP",
    ),
    "no probe": (lambda i: master(i).pop("livenessProbe"), "expected livenessProbe"),
    "a probe of no port": (
        lambda i: container(i, "Deployment", "inference-server")["readinessProbe"]["tcpSocket"].update(port="web"),
        "asks the port 'web'",
    ),
    "root": (lambda i: pod(i, "swarm-worker")["securityContext"].update(runAsUser=0), "a user that is not root"),
    "may be root": (lambda i: pod(i, "swarm-worker")["securityContext"].pop("runAsNonRoot"), "runAsNonRoot"),
    "no seccomp": (lambda i: pod(i, "swarm-master")["securityContext"].pop("seccompProfile"), "seccompProfile"),
    "writable root": (lambda i: worker(i)["securityContext"].pop("readOnlyRootFilesystem"), "readOnlyRootFilesystem"),
    "capabilities": (lambda i: worker(i)["securityContext"].pop("capabilities"), "capabilities.drop"),
    "a token": (lambda i: pod(i, "swarm-worker").pop("automountServiceAccountToken"), "automountServiceAccountToken"),
    "service links": (lambda i: pod(i, "swarm-worker").pop("enableServiceLinks"), "enableServiceLinks"),
    "latest": (lambda i: worker(i).update(image="inference-swarm:latest"), "a tag that is not latest"),
    "no tag": (lambda i: worker(i).update(image="localhost:5000/inference-swarm"), "a tag that is not latest"),
    "a shell": (lambda i: worker(i).update(command=["sh", "-c", "x"]), "no shell as process 1"),
    "no time to drain": (lambda i: settings(i).update(LOCUST_STOP_TIMEOUT="31"), "terminationGracePeriodSeconds is 60"),
    "a Service to nowhere": (
        lambda i: spec(i, "Service", "swarm-master")["ports"][0].update(targetPort="http"),
        "has no port named 'http'",
    ),
    "a Service by number": (
        lambda i: spec(i, "Service", "swarm-master")["ports"][0].update(targetPort=8089),
        "has no port named 8089",
    ),
    "a Service of nobody": (
        lambda i: spec(i, "Service", "swarm-master")["selector"].update(x="y"),
        "Service/swarm-master: selects no pods",
    ),
    "a policy for another port": (
        lambda i: spec(i, "NetworkPolicy", "swarm-worker-to-master")["egress"][0]["ports"][0].update(port=5558),
        "has no port 5558",
    ),
    "nothing denied": (
        lambda i: i.remove(find(i, "NetworkPolicy", "swarm-only-dns") or {}),
        "no policy denies what is not allowed",
    ),
    "a volume of nobody": (lambda i: master(i)["volumeMounts"].append({"name": "x", "mountPath": "/x"}), "a volume x"),
    "another number of workers": (
        lambda i: spec(i, "Deployment", "swarm-worker").update(replicas=7),
        "replicas is 7, but swarm-cluster says 2 workers",
    ),
    "a secret": (
        lambda i: i.append(
            {"kind": "Secret", "metadata": {"name": "s", "namespace": "inference-swarm", "labels": {}}, "data": {}}
        ),
        "a secret must not be in the manifests",
    ),
    "two namespaces": (lambda i: i[-1]["metadata"].update(namespace="other"), "expected the one Namespace"),
    "an unknown variable": (lambda i: settings(i).update(SWARM_USRES="5"), "nobody reads the environment variable"),
    "an unknown Locust variable": (lambda i: settings(i).update(LOCUST_USRES="5"), "variable LOCUST_USRES"),
    "a bad value": (lambda i: settings(i).update(LOCUST_USERS="many"), "LOCUST_USERS is 'many', expected"),
    "an unknown role": (lambda i: worker(i).update(args=["slave"]), "knows no role 'slave'"),
    "an unknown question": (
        lambda i: worker(i)["livenessProbe"]["exec"].update(command=["python", "docker/health.py", "alive"]),
        "livenessProbe runs python docker/health.py alive",
    ),
    "another port": (lambda i: master(i)["ports"][0].update(containerPort=8090), "port web is 8090, the code has 8089"),
    "another image": (lambda i: worker(i).update(image="inference-swarm:0.0.9"), "is none of compose.yaml's"),
    "a master elsewhere": (lambda i: worker(i)["env"][0].update(value="master"), "no Service is the master at master"),
    "a target elsewhere": (
        lambda i: settings(i).update(LOCUST_HOST="http://inference-server:8001"),
        "LOCUST_HOST has port 8001",
    ),
    "another group": (lambda i: pod(i, "swarm-master")["securityContext"].update(fsGroup=1), "fsGroup is 1"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_found(name: str, default: list[Item], code: Code) -> None:
    items = copy.deepcopy(default)
    change, problem = BROKEN[name]
    change(items)
    problems = check_policy(items) + check_agreement(items, code)
    assert any(problem in found for found in problems), problems


def test_an_unknown_field_is_refused_by_the_schemas(default: list[Item]) -> None:
    items = copy.deepcopy(default)
    worker(items)["readinesProbe"] = {}
    item = find(items, "Deployment", "swarm-worker")
    assert item is not None
    problems = Schemas().check(item)
    assert len(problems) == 2, "one for each version"
    assert all("readinesProbe" in problem for problem in problems)


def test_a_service_monitor_is_checked_by_its_structure(everything: list[Item]) -> None:
    monitor = copy.deepcopy(find(everything, "ServiceMonitor", "swarm-master"))
    assert monitor is not None
    assert Schemas().check(monitor) == []
    monitor["spec"]["endpoints"][0]["intervall"] = "5s"
    assert Schemas().check(monitor) == ["ServiceMonitor/swarm-master: unknown field intervall of an endpoint"]


@pytest.mark.parametrize(
    ("components", "problem"),
    [
        (("reference-server", "autoscale", "job", "cluster-values"), "there is no Deployment swarm-worker"),
        (("reference-server", "ingress", "job", "cluster-values"), "there is no port web of Service swarm-master"),
        (
            ("reference-server", "monitoring", "prometheus-operator", "job", "cluster-values"),
            "no Service that it selects has a port web",
        ),
        (("reference-server", "monitoring", "job", "cluster-values"), "swarm-master has no port 8089"),
        (
            ("reference-server", "ingress", "monitoring", "prometheus-operator", "cluster-values"),
            "name prometheus-operator before ingress",
        ),
        (("reference-server",), "replicas is 0, but swarm-cluster says 3 workers"),
    ],
)
def test_components_that_do_not_go_together_are_found(components: tuple[str, ...], problem: str) -> None:
    assert any(problem in found for found in check_policy(build_combination(components)))


def test_a_pod_monitor_finds_the_port_of_a_headless_run_and_its_structure_is_checked(code: Code) -> None:
    items = build_combination(("external-target", "job", "job-metrics", "prometheus-operator", "cluster-values"))
    assert check_policy(items) + check_agreement(items, code) == []
    monitor = find(items, "PodMonitor", "swarm-master")
    assert monitor is not None
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    master_container = container(items, "Job", "swarm-master")
    ports = {port["name"]: port["containerPort"] for port in master_container["ports"]}
    assert ports[endpoint["port"]] == 9646
    assert {"name": "SWARM_METRICS_PORT", "value": "9646"} in master_container["env"]
    changed = copy.deepcopy(monitor)
    changed["spec"]["endpoints"] = changed["spec"].pop("podMetricsEndpoints")
    assert Schemas().check(changed) == [
        "PodMonitor/swarm-master: unknown field spec.endpoints",
        "PodMonitor/swarm-master: spec.podMetricsEndpoints is empty",
    ]
    master_container["env"] = []
    assert any("SWARM_METRICS_PORT" in problem for problem in check_agreement(items, code))


@pytest.mark.parametrize("components", [("monitoring",), ("job", "job-metrics")])
def test_without_the_operator_no_object_needs_its_kinds(components: tuple[str, ...], code: Code) -> None:
    items = build_combination(("reference-server", *components, "cluster-values"))
    assert check_policy(items) + check_agreement(items, code) == []
    assert {item["apiVersion"] for item in items if "monitoring" in item["apiVersion"]} == set()


def test_dns_is_open_where_kubernetes_and_openshift_have_it(default: list[Item]) -> None:
    rules = spec(default, "NetworkPolicy", "swarm-only-dns")["egress"]
    ways = {
        rule["to"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]: {
            (port["port"], port["protocol"]) for port in rule["ports"]
        }
        for rule in rules
    }
    assert ways == {
        "kube-system": {(53, "UDP"), (53, "TCP")},
        "openshift-dns": {(5353, "UDP"), (5353, "TCP")},
    }


def test_no_drain_hangs_on_pods_that_are_not_ready() -> None:
    for components in (("reference-server",), ("reference-server", "job")):
        items = build_combination((*components, "cluster-values"))
        budgets = [item for item in items if item["kind"] == "PodDisruptionBudget"]
        assert budgets
        assert {budget["spec"]["unhealthyPodEvictionPolicy"] for budget in budgets} == {"AlwaysAllow"}


def test_the_pod_that_checks_the_network_may_reach_nothing_but_dns() -> None:
    items = build_combination(("external-target", "network-check", "cluster-values"))
    check = find(items, "Job", "swarm-network-check")
    assert check is not None
    labels = check["spec"]["template"]["metadata"]["labels"]
    policies = [
        policy["metadata"]["name"]
        for policy in items
        if policy["kind"] == "NetworkPolicy" and policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    ]
    assert policies == ["swarm-only-dns"]
    assert check["spec"]["backoffLimit"] == 0


def test_all_combinations_that_make_sense_are_built() -> None:
    chosen = list(combinations())
    assert len(set(chosen)) == len(chosen) == 2 * 4 * 2 * (2**3 + 2)
    assert {name for names in chosen for name in names} == {path.name for path in (K8S / "components").iterdir()}


def test_the_number_of_workers_has_one_place(everything: list[Item]) -> None:
    scaler = spec(everything, "HorizontalPodAutoscaler", "swarm-worker")
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 9)
    assert "replicas" not in spec(everything, "Deployment", "swarm-worker")
    job = build_combination(("external-target", "job", "cluster-values"))
    workers = spec(job, "Job", "swarm-worker")
    assert (workers["parallelism"], workers["completions"]) == (3, 3)
    assert spec(job, "PodDisruptionBudget", "swarm-worker")["minAvailable"] == 3
    environment = {entry["name"]: entry for entry in container(job, "Job", "swarm-master")["env"]}
    assert environment["SWARM_WORKERS"]["valueFrom"]["configMapKeyRef"] == {"name": "swarm-cluster", "key": "workers"}
    assert config_map(job, "swarm-cluster")["workers"] == "3"


def test_a_job_is_never_restarted_and_its_pods_are_the_deployments() -> None:
    job = build_combination(("external-target", "data-volume", "data-s3", "secure-channel", "job", "cluster-values"))
    master_job = spec(job, "Job", "swarm-master")
    assert (master_job["backoffLimit"], master_job["ttlSecondsAfterFinished"]) == (0, 86400)
    assert master_job["template"]["spec"]["restartPolicy"] == "Never"
    same = build_combination(("external-target", "data-volume", "data-s3", "secure-channel", "cluster-values"))
    expected = pod(same, "swarm-worker")
    assert spec(job, "Job", "swarm-worker")["template"]["spec"] == {**expected, "restartPolicy": "OnFailure"}
    assert find(job, "Deployment", "swarm-master") is None


def test_a_changed_setting_rolls_the_pods_and_a_changed_number_of_workers_does_not(default: list[Item]) -> None:
    def settings_name(*components: str) -> str:
        items = default if not components else build_combination((*components, "cluster-values"))
        name: str = master(items)["envFrom"][0]["configMapRef"]["name"]
        return name

    assert settings_name("reference-server") == settings_name(), "three workers or two: the same pods"
    assert settings_name("external-target") != settings_name(), "another LOCUST_HOST: other pods"


def test_each_side_gets_its_own_secret_key_alone(everything: list[Item]) -> None:
    def keys(name: str) -> set[str]:
        (volume,) = [v for v in pod(everything, name)["volumes"] if v["name"] == "keys"]
        return {item["key"] for item in volume["secret"]["items"]}

    assert keys("swarm-master") == {"master.key_secret", "worker.key"}
    assert keys("swarm-worker") == {"worker.key_secret", "master.key"}
    assert needed_secrets(everything) == {"swarm-keys", "swarm-ui-login", "swarm-s3"}


def test_the_autoscaler_waits_out_a_run(everything: list[Item]) -> None:
    down = spec(everything, "HorizontalPodAutoscaler", "swarm-worker")["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] == 3600
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 300}]


def test_every_component_has_a_short_readme() -> None:
    for folder in (K8S / "components").iterdir():
        lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
        assert 3 <= len(lines) <= 20, folder.name


def test_no_secret_is_in_git() -> None:
    command = ["git", "grep", "-lE", r"^kind: Secret|BEGIN [A-Z ]*PRIVATE KEY|secretGenerator", "--", "k8s"]
    done = subprocess.run(command, cwd=K8S.parent, capture_output=True, text=True, check=False)
    assert done.stdout == ""
