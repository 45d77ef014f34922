"""Builds manifests: a folder or a set of components in, Kubernetes objects out. Knows which sets make sense."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from inference_swarm.cli.kustomize import K8S, BuildError, kustomize, kustomize_overlay, overlay

__all__ = ["K8S", "BuildError", "build", "build_combination", "build_overlay", "combinations", "overlay"]

OVERLAYS = ("demo", "job", "production")

TARGETS = ("reference-server", "external-target")
DATA = ("data-volume", "data-s3")
MONITORING = ("monitoring", "prometheus-operator")
INTERACTIVE = (("autoscale",), MONITORING, ("ingress",))
"""Of no use to a headless run: it has no web UI, and its number of workers is agreed on before it begins."""

Objects = list[dict[str, Any]]
T = TypeVar("T")


def build(folder: Path) -> Objects:
    """The objects of a kustomization. Raises BuildError."""
    return parse(kustomize(folder))


def parse(text: str) -> Objects:
    """The objects of a YAML stream."""
    return [item for item in yaml.load_all(text, Loader=yaml.CSafeLoader) if item]


def build_overlay(document: Mapping[str, Any]) -> Objects:
    """The objects of an `overlay(…)`. Raises BuildError."""
    return parse(kustomize_overlay(document))


def combinations() -> Iterator[tuple[str, ...]]:
    """Every set of components that makes sense, in the order in which an overlay must name them."""
    interactive = [tuple(itertools.chain(*chosen)) for chosen in _subsets(INTERACTIVE)]
    modes = [*interactive, ("job",), ("job", "job-metrics", "prometheus-operator")]
    channels = (("network-check",), ("secure-channel",))  # the first beside everything, in half of the sets
    for target, data, channel, mode in itertools.product(TARGETS, _subsets(DATA), channels, modes):
        yield (target, *data, *channel, *mode, "cluster-values")


def build_combination(components: tuple[str, ...]) -> Objects:
    """The base with these components, for three workers."""
    settings = {"LOCUST_HOST": "http://model.models.svc:8080"} if "external-target" in components else {}
    cluster = {"workers": "3", "workers-max": "9", "target-port": "8080", "target-namespace": "models"}
    paths = [K8S / "components" / name for name in components]
    return build_overlay(overlay([K8S / "base"], paths, namespace="combined", settings=settings, cluster=cluster))


def _subsets(names: tuple[T, ...]) -> list[tuple[T, ...]]:
    return [chosen for size in range(len(names) + 1) for chosen in itertools.combinations(names, size)]
