"""Runs `kubectl kustomize`: a folder or a set of components in, Kubernetes objects out."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
K8S = ROOT / "k8s"
OVERLAYS = ("demo", "job", "production")

TARGETS = ("reference-server", "external-target")
DATA = ("data-volume", "data-s3")
INTERACTIVE = ("autoscale", "ingress", "monitoring")
"""Of no use to a headless run: it has no web UI, and its number of workers is agreed on before it begins."""

Objects = list[dict[str, Any]]


class BuildError(Exception):
    """kustomize refused; the message is its own."""


def build(folder: Path) -> Objects:
    """The objects of a kustomization. Raises BuildError."""
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{folder}: {done.stderr.strip()}")
    return parse(done.stdout)


def parse(text: str) -> Objects:
    """The objects of a YAML stream."""
    return [item for item in yaml.load_all(text, Loader=yaml.CSafeLoader) if item]


def overlay(
    bases: list[Path],
    components: list[Path],
    *,
    namespace: str | None = None,
    settings: Mapping[str, str] | None = None,
    cluster: Mapping[str, str] | None = None,
    images: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A kustomization that changes settings, cluster values and images (name: new name) of what it stands on."""
    document: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [str(path) for path in bases],
        "components": [str(path) for path in components],
    }
    if namespace:
        document["namespace"] = namespace
    if images:
        document["images"] = [{"name": name, "newName": new} for name, new in images.items()]
    document["configMapGenerator"] = [
        {"name": name, "behavior": "merge", "literals": [f"{key}={value}" for key, value in values.items()], **options}
        for name, values, options in (
            ("swarm-settings", settings, {}),
            ("swarm-cluster", cluster, {"options": {"disableNameSuffixHash": True}}),
        )
        if values
    ]
    return document


def build_overlay(document: Mapping[str, Any]) -> Objects:
    """Builds `overlay(…)`, whose paths are absolute, in a folder that exists only meanwhile."""
    with tempfile.TemporaryDirectory(prefix="swarm-overlay-") as name:
        folder = Path(name).resolve()
        relative = {
            key: [os.path.relpath(path, folder) for path in document[key]] for key in ("resources", "components")
        }
        (folder / "kustomization.yaml").write_text(json.dumps({**document, **relative}), encoding="utf-8")
        return build(folder)


def combinations() -> Iterator[tuple[str, ...]]:
    """Every set of components that makes sense, in the order in which an overlay must name them."""
    modes = [*_subsets(INTERACTIVE), ("job",)]
    for target, data, secure, mode in itertools.product(TARGETS, _subsets(DATA), ((), ("secure-channel",)), modes):
        yield (target, *data, *secure, *mode, "worker-count")


def build_combination(components: tuple[str, ...]) -> Objects:
    """The base with these components, for three workers."""
    settings = {"LOCUST_HOST": "http://model.models.svc:8080"} if "external-target" in components else {}
    cluster = {"workers": "3", "workers-max": "9", "target-port": "8080", "target-namespace": "models"}
    paths = [K8S / "components" / name for name in components]
    return build_overlay(overlay([K8S / "base"], paths, namespace="combined", settings=settings, cluster=cluster))


def _subsets(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [chosen for size in range(len(names) + 1) for chosen in itertools.combinations(names, size)]
