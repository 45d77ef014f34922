"""Do the manifests agree with the code? Environment, values, roles, health questions, ports, images, paths.

What the code expects is read from the code itself: the settings table, Locust's parser, docker/, compose.yaml.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from inference_swarm.config.options import OPTIONS
from inference_swarm.program import ROOT
from manifests.objects import Item, Workload, config_map, environment, find, title, workloads


@dataclass(frozen=True, slots=True)
class Code:
    """What the code says about itself."""

    locust_environment: frozenset[str]
    locust_ports: dict[str, int]
    words: frozenset[str]
    roles: frozenset[str]
    questions: frozenset[str]
    server_port: int
    images: frozenset[str]
    uid: int
    workdir: str

    @classmethod
    def read(cls, root: Path = ROOT) -> Code:
        """Reads the sources; runs none of them."""
        parser = Path(str(distribution("locust").locate_file("locust/argument_parser.py"))).read_text(encoding="utf-8")
        entrypoint = (root / "docker" / "entrypoint.py").read_text(encoding="utf-8")
        health = (root / "docker" / "health.py").read_text(encoding="utf-8")
        dockerfile = (root / "docker" / "Dockerfile").read_text(encoding="utf-8")
        compose = "".join(path.read_text(encoding="utf-8") for path in (root / "compose.yaml", *_targets(root)))
        own = [*(root / "locust" / "inference_swarm").rglob("*.py"), *(root / "docker").glob("*.py")]
        return cls(
            locust_environment=frozenset(re.findall(r'env_var="(LOCUST_\w+)"', parser)),
            locust_ports={"web": _default(parser, "--web-port"), "control": _default(parser, "--master-bind-port")},
            words=frozenset(w for path in own for w in re.findall(r"\b[A-Z][A-Z_]{3,}\b", path.read_text("utf-8"))),
            roles=frozenset(re.findall(r"\w+", str(_constant(entrypoint, "ROLES")))),
            questions=frozenset(re.findall(r"^health\.py (\w+)", health, re.M)),
            server_port=int(str(_constant(health, "SERVER_PORT"))),
            images=frozenset(
                f"{name}:{tag}" for name, tag in re.findall(r"image: (\S+):\$\{IMAGE_TAG:-([^}]+)\}", compose)
            ),
            uid=int(re.findall(r"^USER (\d+)", dockerfile, re.M)[-1]),
            workdir=re.findall(r"^WORKDIR (\S+)", dockerfile, re.M)[-1],
        )


def check_dashboard(root: Path = ROOT) -> list[str]:
    """kustomize reads nothing above its own folder, so the component has a copy of the dashboard."""
    original, copy = root / "docker" / "grafana" / "dashboard.json", root / "k8s/components/monitoring/dashboard.json"
    if original.read_bytes() == copy.read_bytes():
        return []
    return [f"{copy.relative_to(root)} is not {original.relative_to(root)}: copy it"]


def check_agreement(items: list[Item], code: Code) -> list[str]:
    """All problems, each with the object it is in."""
    return [problem for workload in workloads(items) for problem in _check_workload(items, workload, code)]


def _check_workload(items: list[Item], workload: Workload, code: Code) -> Iterator[str]:
    component = workload.labels["app.kubernetes.io/component"]
    expected_ports = code.locust_ports | {"http": code.server_port}
    for name, port in workload.ports.items():
        if name == "metrics":
            continue  # below: the number is the environment's
        if expected_ports.get(name) != port:
            yield f"{workload.name}: port {name} is {port}, the code has {expected_ports.get(name)}"
    group = workload.pod["securityContext"].get("fsGroup", code.uid)
    if group != code.uid:
        yield f"{workload.name}: fsGroup is {group}, the image's user {code.uid}"
    for container in workload.containers:
        where = f"{workload.name}: container {container['name']}"
        image = container["image"].rpartition("/")[2]
        if image not in code.images:
            yield f"{where}: image {image} is none of compose.yaml's ({', '.join(sorted(code.images))})"
        yield from _check_probes(where, container, code)
        for mount in container.get("volumeMounts", ()):
            path = mount["mountPath"]
            if path.startswith("/app") and not path.startswith(code.workdir + "/"):
                yield f"{where}: {path} is not in the image's folder {code.workdir}"
        values = environment(items, container)
        yield from (f"{where}: {problem}" for problem in check_environment(values, code))
        for port in container.get("ports", ()):
            if port["name"] == "metrics" and str(port["containerPort"]) != values.get("SWARM_METRICS_PORT"):
                yield f"{where}: port metrics is {port['containerPort']}, SWARM_METRICS_PORT another"
        if component in ("master", "worker"):
            role = container["args"][0]
            if role not in code.roles:
                yield f"{where}: the entry point knows no role {role!r}"
        if component == "worker":
            yield from _check_way_to_master(items, where, values)
        if component == "master":
            yield from _check_target(items, where, values)


def check_environment(values: dict[str, str | None], code: Code) -> Iterator[str]:
    """Every name is known to somebody, and the values of our settings can be read."""
    options = {option.env: option for option in OPTIONS}
    within_others = "".join(filter(None, values.values()))
    for name, value in values.items():
        option = options.get(name)
        if option is None:
            is_known = name in (code.locust_environment if name.startswith("LOCUST_") else code.words)
            is_known = is_known or f"$({name})" in within_others  # Kubernetes puts it there
            if not is_known:
                yield f"nobody reads the environment variable {name}"
        elif value:
            try:
                option.value_type.parse(value)
            except ValueError:
                yield f"{name} is {value!r}, expected {option.value_type.expected}"


def _check_probes(where: str, container: Item, code: Code) -> Iterator[str]:
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        command = container.get(probe, {}).get("exec", {}).get("command")
        if command and ("docker/health.py" not in command or command[-1] not in code.questions):
            yield f"{where}: {probe} runs {' '.join(command)}; the health program answers {sorted(code.questions)}"


def _check_way_to_master(items: list[Item], where: str, values: dict[str, str | None]) -> Iterator[str]:
    host, port = values.get("LOCUST_MASTER_NODE_HOST"), values.get("LOCUST_MASTER_NODE_PORT")
    service = find(items, "Service", str(host))
    ports = [str(entry["port"]) for entry in service["spec"]["ports"]] if service else []
    if port not in ports:
        yield f"{where}: no Service is the master at {host}:{port}"


def _check_target(items: list[Item], where: str, values: dict[str, str | None]) -> Iterator[str]:
    """The host is a Service of the set at its port, or external-target lets the workers out to that port."""
    match = re.fullmatch(r"(https?)://([^/:]+)(?::(\d+))?(?:/.*)?", values.get("LOCUST_HOST") or "")
    if match is None:
        yield f"{where}: LOCUST_HOST is {values.get('LOCUST_HOST')!r}, expected a URL"
        return
    port = int(match[3] or {"http": 80, "https": 443}[match[1]])
    service = find(items, "Service", match[2])
    if service is not None:
        ports = [entry["port"] for entry in service["spec"]["ports"]]
        if port not in ports:
            yield f"{where}: LOCUST_HOST has port {port}, {title(service)} {ports}"
    elif int(config_map(items, "swarm-cluster")["target-port"]) != port:
        yield f"{where}: LOCUST_HOST has port {port}, target-port of swarm-cluster is another"


def _targets(root: Path) -> list[Path]:
    return sorted((root / "docker").glob("target*.yaml"))


def _default(parser: str, flag: str) -> int:
    match = re.search(rf'"{flag}",.*?default=(\d+)', parser, re.S)
    assert match is not None, flag
    return int(match[1])


def _constant(source: str, name: str) -> int | tuple[str, ...]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            value: int | tuple[str, ...] = ast.literal_eval(node.value)
            return value
    raise KeyError(name)
