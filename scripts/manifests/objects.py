"""Reading Kubernetes objects: which there are, their pods, containers and ports, who is selected by whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Item = dict[str, Any]
WORKLOADS = ("Deployment", "Job", "StatefulSet", "DaemonSet", "CronJob", "Pod")


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment or Job and the pods it makes."""

    name: str
    item: Item
    labels: Mapping[str, str]
    pod: Item

    @property
    def containers(self) -> list[Item]:
        """All of them, init containers too."""
        return [*self.pod.get("initContainers", ()), *self.pod["containers"]]

    @property
    def ports(self) -> dict[str, int]:
        """Number by name."""
        return {port["name"]: port["containerPort"] for c in self.containers for port in c.get("ports", ())}


def title(item: Item) -> str:
    """Such as `Service/swarm-master`."""
    return f"{item['kind']}/{item['metadata']['name']}"


def of_kind(items: list[Item], kind: str) -> list[Item]:
    """All objects of a kind."""
    return [item for item in items if item["kind"] == kind]


def find(items: list[Item], kind: str, name: str) -> Item | None:
    """The object, if there is one."""
    return next((item for item in of_kind(items, kind) if item["metadata"]["name"] == name), None)


def workloads(items: list[Item]) -> list[Workload]:
    """All that make pods."""
    return [
        Workload(title(item), item, item["spec"]["template"]["metadata"]["labels"], item["spec"]["template"]["spec"])
        for item in items
        if item["kind"] in WORKLOADS
    ]


def selected(items: list[Item], labels: Mapping[str, str]) -> list[Workload]:
    """Workloads whose pods have all these labels."""
    return [workload for workload in workloads(items) if labels.items() <= workload.labels.items()]


def environment(items: list[Item], container: Item) -> dict[str, str | None]:
    """What the container's environment will be; None where only a Secret knows. Raises KeyError for a missing map."""
    found: dict[str, str | None] = {}
    for source in container.get("envFrom", ()):
        if "configMapRef" in source:
            found |= config_map(items, source["configMapRef"]["name"])
    for entry in container.get("env", ()):
        if "value" in entry:
            found[entry["name"]] = entry["value"]
        elif "configMapKeyRef" in entry["valueFrom"]:
            reference = entry["valueFrom"]["configMapKeyRef"]
            found[entry["name"]] = config_map(items, reference["name"])[reference["key"]]
        else:
            found[entry["name"]] = None
    return found


def config_map(items: list[Item], name: str) -> dict[str, str]:
    """Its data. Raises KeyError."""
    item = find(items, "ConfigMap", name)
    if item is None:
        raise KeyError(f"ConfigMap {name}")
    data: dict[str, str] = item["data"]
    return data


def needed_secrets(items: list[Item]) -> set[str]:
    """Names of the Secrets without which the pods do not start."""
    names: set[str] = set()
    for workload in workloads(items):
        for volume in workload.pod.get("volumes", ()):
            if "secret" in volume and not volume["secret"].get("optional"):
                names.add(volume["secret"]["secretName"])
        for container in workload.containers:
            references = [source.get("secretRef") for source in container.get("envFrom", ())]
            references += [e.get("valueFrom", {}).get("secretKeyRef") for e in container.get("env", ())]
            names.update(reference["name"] for reference in references if reference and not reference.get("optional"))
    return names


def policy_peers(policy: Item) -> Iterator[tuple[str, Mapping[str, str] | None, int]]:
    """(direction, labels of the peer's pods or None, port) for every rule."""
    for direction, key in (("ingress", "from"), ("egress", "to")):
        for rule in policy["spec"].get(direction, ()):
            for port in rule["ports"]:
                for peer in rule[key]:
                    selector = peer.get("podSelector")
                    yield direction, selector["matchLabels"] if selector else None, port["port"]
