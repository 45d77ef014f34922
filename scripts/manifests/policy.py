"""The rules that every rendered set of objects keeps, whatever it is put together from. Objects in, problems out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from manifests.objects import (
    Item,
    Workload,
    config_map,
    environment,
    find,
    needed_secrets,
    of_kind,
    policy_peers,
    selected,
    title,
    workloads,
)

CLUSTER_WIDE = ("Namespace",)
PART_OF = "app.kubernetes.io/part-of"
OWN_LABELS = ("app.kubernetes.io/name", "app.kubernetes.io/component")
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
PROBE_WITHIN_S = 10
DEAD_AFTER_S = 60
"""What a saturated container may take to respond, and how long it must be silent to count as dead."""
ENDS_BY_ITSELF = ("network-check",)
DNS = {(*way, protocol) for way in (("kube-system", 53), ("openshift-dns", 5353)) for protocol in ("UDP", "TCP")}
SAFE_SYSCTLS = ("net.ipv4.ip_local_port_range",)
LOGIN = "swarm-ui-login"
LAST_REPORTS_S = 30
"""Beyond the stop timeout, for the last report and its acknowledgement."""


def check_policy(items: list[Item]) -> list[str]:
    """All problems, each with the object it is in."""
    problems = [problem for workload in workloads(items) for problem in check_workload(items, workload)]
    for check in (
        check_namespace,
        check_labels,
        check_services,
        check_routes,
        check_network,
        check_dns,
        check_worker_count,
    ):
        problems += check(items)
    problems += [f"{title(item)}: a secret must not be in the manifests" for item in of_kind(items, "Secret")]
    return problems


def check_workload(items: list[Item], workload: Workload) -> Iterator[str]:
    """Pod and containers: security, resources, probes, references."""
    pod, name = workload.pod, workload.name
    security = pod.get("securityContext", {})
    required = {
        "automountServiceAccountToken: false": pod.get("automountServiceAccountToken") is False,
        "enableServiceLinks: false": pod.get("enableServiceLinks") is False,
        "securityContext.runAsNonRoot: true": security.get("runAsNonRoot") is True,
        "securityContext.seccompProfile RuntimeDefault": security.get("seccompProfile") == {"type": "RuntimeDefault"},
        "no host namespace": not (pod.get("hostNetwork") or pod.get("hostPID") or pod.get("hostIPC")),
        "no hostPath": not any("hostPath" in volume for volume in pod.get("volumes", ())),
        "only safe sysctls": all(entry["name"] in SAFE_SYSCTLS for entry in security.get("sysctls", ())),
        "a user that is not root": security.get("runAsUser", 1) != 0,
    }
    yield from (f"{name}: expected {rule}" for rule, is_kept in required.items() if not is_kept)
    strategy = workload.item["spec"].get("strategy")
    if strategy and "type" not in strategy:
        yield f"{name}: its strategy has no type, so that each kubectl apply counts as a change"
    selector = workload.item["spec"].get("selector", {}).get("matchLabels", {})
    if not selector.items() <= workload.labels.items():
        yield f"{name}: its selector does not match its own pods"
    volumes = {volume["name"]: volume for volume in pod.get("volumes", ())}
    for volume in volumes.values():
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        if claim and find(items, "PersistentVolumeClaim", claim) is None:
            yield f"{name}: there is no PersistentVolumeClaim {claim}"
    for container in workload.containers:
        where = f"{name}: container {container['name']}"
        yield from check_container(items, where, container, volumes)
        if workload.labels.get("app.kubernetes.io/component") not in ENDS_BY_ITSELF:
            yield from check_probes(where, container)
        yield from check_grace(items, workload, container)


def check_container(items: list[Item], where: str, container: Item, volumes: dict[str, Any]) -> Iterator[str]:
    """One container."""
    security = container.get("securityContext", {})
    resources = container.get("resources", {})
    _, colon, tag = container["image"].rpartition("/")[2].partition(":")
    required = {
        "allowPrivilegeEscalation: false": security.get("allowPrivilegeEscalation") is False,
        "readOnlyRootFilesystem: true": security.get("readOnlyRootFilesystem") is True,
        "capabilities.drop: [ALL]": security.get("capabilities") == {"drop": ["ALL"]},
        "an image with a tag that is not latest": bool(colon) and tag != "latest",
        "no shell as process 1, so that SIGTERM arrives": container.get("command", [""])[0] not in ("sh", "/bin/sh"),
    }
    for kind in ("requests", "limits"):
        for what in ("cpu", "memory"):
            required[f"{kind}.{what}"] = what in resources.get(kind, {})
    for mount in container.get("volumeMounts", ()):
        required[f"a volume {mount['name']}"] = mount["name"] in volumes
    yield from (f"{where}: expected {rule}" for rule, is_kept in required.items() if not is_kept)
    names = {port.get("name") for port in container.get("ports", ())}
    if None in names:
        yield f"{where}: a port has no name"
    try:
        environment(items, container)
    except KeyError as error:
        yield f"{where}: takes its environment from {error.args[0]}, which does not exist"


def check_probes(where: str, container: Item) -> Iterator[str]:
    """All three are there, ask a port that exists, and have patience with a container whose core is full."""
    names = {port.get("name") for port in container.get("ports", ())}
    for name in PROBES:
        probe = container.get(name)
        if probe is None:
            yield f"{where}: expected {name}"
            continue
        port = (probe.get("httpGet") or probe.get("tcpSocket") or {}).get("port")
        if port is not None and port not in names:
            yield f"{where}: {name} asks the port {port!r}, which it does not have"
        if probe.get("timeoutSeconds", 1) < PROBE_WITHIN_S:
            waits_s = probe.get("timeoutSeconds", 1)
            yield f"{where}: {name} waits {waits_s} s, expected {PROBE_WITHIN_S} s for a full core"
    alive = container.get("livenessProbe", {})
    patience_s = alive.get("periodSeconds", 10) * alive.get("failureThreshold", 3)
    if alive and patience_s < DEAD_AFTER_S:
        yield f"{where}: livenessProbe gives up after {patience_s} s, expected {DEAD_AFTER_S} s"
    if "httpGet" in container.get("readinessProbe", {}):
        yield f"{where}: readinessProbe asks over HTTP, which responds late under load; expected tcpSocket or exec"


def check_grace(items: list[Item], workload: Workload, container: Item) -> Iterator[str]:
    """Pods of the swarm have the time to drain."""
    try:
        text = environment(items, container).get("LOCUST_STOP_TIMEOUT")
    except KeyError:
        return
    grace_s = workload.pod.get("terminationGracePeriodSeconds", 30)
    if text is not None and grace_s < float(text.removesuffix("s")) + LAST_REPORTS_S:
        yield (
            f"{workload.name}: terminationGracePeriodSeconds is {grace_s}, LOCUST_STOP_TIMEOUT {text}; "
            f"expected {LAST_REPORTS_S} s more than that"
        )


def check_namespace(items: list[Item]) -> Iterator[str]:
    """Everything is in one namespace, which is among the objects and enforces the restricted profile."""
    names = {item["metadata"].get("namespace") for item in items if item["kind"] not in CLUSTER_WIDE}
    namespaces = of_kind(items, "Namespace")
    if names != {item["metadata"]["name"] for item in namespaces}:
        yield f"objects are in {sorted(map(str, names))}, expected the one Namespace of this set"
    for item in namespaces:
        if item["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{title(item)}: expected the restricted Pod Security profile"


def check_labels(items: list[Item]) -> Iterator[str]:
    """The labels that Kubernetes recommends."""
    for item in items:
        labels = item["metadata"].get("labels", {})
        wanted = (PART_OF, *OWN_LABELS) if item["kind"] in ("Deployment", "Job", "Service") else (PART_OF,)
        yield from (f"{title(item)}: expected the label {label}" for label in wanted if label not in labels)
    for workload in workloads(items):
        if PART_OF not in workload.labels:
            yield f"{workload.name}: its pods lack the label {PART_OF}, which the default policy selects by"


def check_services(items: list[Item]) -> Iterator[str]:
    """Every port of a Service has a name and leads to a named port of the pods."""
    for service in of_kind(items, "Service"):
        pods = selected(items, service["spec"]["selector"])
        if not pods:
            yield f"{title(service)}: selects no pods"
        for port in service["spec"]["ports"]:
            if "name" not in port:
                yield f"{title(service)}: port {port['port']} has no name"
            yield from (
                f"{title(service)}: {pod.name} has no port named {port.get('targetPort')!r}"
                for pod in pods
                if port.get("targetPort") not in pod.ports
            )


def check_routes(items: list[Item]) -> Iterator[str]:
    """What refers to another object finds it: Ingress, ServiceMonitor, autoscaler, disruption budget."""

    def has_port(service: Item | None, port: str) -> bool:
        return service is not None and any(entry["name"] == port for entry in service["spec"]["ports"])

    for ingress in of_kind(items, "Ingress"):
        for path in (path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]):
            backend = path["backend"]["service"]
            if not has_port(find(items, "Service", backend["name"]), backend["port"]["name"]):
                yield f"{title(ingress)}: there is no port {backend['port']['name']} of Service {backend['name']}"
    for monitor in of_kind(items, "ServiceMonitor"):
        labels = monitor["spec"]["selector"]["matchLabels"]
        services = [s for s in of_kind(items, "Service") if labels.items() <= s["metadata"]["labels"].items()]
        for endpoint in monitor["spec"]["endpoints"]:
            is_found = any(has_port(service, endpoint["port"]) for service in services)
            if not is_found and not _is_scraped_by_pod(items):
                yield f"{title(monitor)}: no Service that it selects has a port {endpoint['port']}"
            if LOGIN in needed_secrets(items) and LOGIN not in str(endpoint.get("basicAuth")):
                yield f"{title(monitor)}: the web UI asks for a login; name prometheus-operator before ingress"
    for scaler in of_kind(items, "HorizontalPodAutoscaler"):
        reference = scaler["spec"]["scaleTargetRef"]
        target = find(items, reference["kind"], reference["name"])
        if target is None:
            yield f"{title(scaler)}: there is no {reference['kind']} {reference['name']}"
        elif "replicas" in target["spec"]:
            yield f"{title(scaler)}: {title(target)} has replicas of its own, and each apply would set them back"
    for budget in of_kind(items, "PodDisruptionBudget"):
        if budget["spec"].get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"{title(budget)}: expected unhealthyPodEvictionPolicy AlwaysAllow, so that no drain hangs"
        if not selected(items, budget["spec"]["selector"]["matchLabels"]):
            yield f"{title(budget)}: selects no pods"


def _is_scraped_by_pod(items: list[Item]) -> bool:
    """A headless run: its master has no web port, and a PodMonitor finds the port of its metrics."""
    return any(
        endpoint["port"] in workload.ports
        for monitor in of_kind(items, "PodMonitor")
        for endpoint in monitor["spec"]["podMetricsEndpoints"]
        for workload in selected(items, monitor["spec"]["selector"]["matchLabels"])
    )


def check_dns(items: list[Item]) -> Iterator[str]:
    """The default policy lets DNS through, where the cluster has it: Kubernetes' own and OpenShift's."""
    policy = find(items, "NetworkPolicy", "swarm-only-dns")
    open_ways = {
        (peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], port["port"], port["protocol"])
        for rule in (policy["spec"]["egress"] if policy else ())
        for peer in rule["to"]
        if "namespaceSelector" in peer
        for port in rule["ports"]
    }
    for namespace, port, protocol in sorted(DNS - open_ways):
        yield f"NetworkPolicy/swarm-only-dns: no way to DNS in {namespace}, port {port} {protocol}"


def check_network(items: list[Item]) -> Iterator[str]:
    """Every pod is under a policy that denies, and policies name ports that exist."""
    policies = of_kind(items, "NetworkPolicy")
    for workload in workloads(items):
        mine = [p for p in policies if p["spec"]["podSelector"]["matchLabels"].items() <= workload.labels.items()]
        if not any({"Ingress", "Egress"} <= set(policy["spec"]["policyTypes"]) for policy in mine):
            yield f"{workload.name}: no policy denies what is not allowed"
    for policy in policies:
        own = selected(items, policy["spec"]["podSelector"]["matchLabels"])
        if not own:
            yield f"{title(policy)}: selects no pods"
        for direction, peer, port in policy_peers(policy):
            if peer is not None and not selected(items, peer):
                yield f"{title(policy)}: its peer selects no pods"
            receivers = own if direction == "ingress" else selected(items, peer) if peer is not None else []
            for receiver in receivers:
                if port not in receiver.ports.values():
                    yield f"{title(policy)}: {receiver.name} has no port {port}"


def check_worker_count(items: list[Item]) -> Iterator[str]:
    """One number of workers, wherever it is needed."""
    workers = int(config_map(items, "swarm-cluster")["workers"])
    fields = {
        "Deployment": ("replicas",),
        "Job": ("parallelism", "completions"),
        "HorizontalPodAutoscaler": ("minReplicas",),
        "PodDisruptionBudget": ("minAvailable",),
    }
    for kind, names in fields.items():
        item = find(items, kind, "swarm-worker")
        for name in names if item else ():
            assert item is not None
            number = item["spec"].get(name, workers)
            if number != workers:
                yield f"{title(item)}: {name} is {number}, but swarm-cluster says {workers} workers"
