"""Validates objects in strict mode against the Kubernetes schemas of the oldest and the newest supported version."""

from __future__ import annotations

import json
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]

OLDEST = "1.29"
NEWEST = ".".join(kubernetes_validate.latest_version().split(".")[:2])
VERSIONS = (OLDEST, NEWEST)

_ENDPOINTS = {"ServiceMonitor": "endpoints", "PodMonitor": "podMetricsEndpoints"}
_MONITOR_KEYS = {"selector", "namespaceSelector", "jobLabel"}
_ENDPOINT_KEYS = {"port", "path", "interval", "scrapeTimeout", "scheme", "basicAuth", "tlsConfig", "honorLabels"}


class Schemas:
    """Remembers what it has seen: combinations of components share most of their objects."""

    def __init__(self) -> None:
        self._known: dict[str, list[str]] = {}
        self.validations = 0

    def check(self, item: dict[str, Any]) -> list[str]:
        """Problems of one object, in all versions."""
        key = json.dumps(item, sort_keys=True)
        if key not in self._known:
            self._known[key] = self._validate(item)
        return self._known[key]

    def _validate(self, item: dict[str, Any]) -> list[str]:
        name = f"{item['kind']}/{item['metadata']['name']}"
        if item["apiVersion"] == "monitoring.coreos.com/v1":
            return [f"{name}: {problem}" for problem in _check_monitor(item)]
        problems = []
        for version in VERSIONS:
            self.validations += 1
            try:
                kubernetes_validate.validate(item, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                where = ".".join(str(part) for part in error.path)
                problems.append(f"{name}: Kubernetes {version}: {where}: {error.message}")
            except kubernetes_validate.SchemaNotFoundError as error:
                problems.append(f"{name}: Kubernetes {version}: {error.message}")
        return problems


def _check_monitor(item: dict[str, Any]) -> list[str]:
    """The Prometheus operator's kinds have no schema here: their structure, by hand."""
    spec, list_name = item["spec"], _ENDPOINTS.get(item["kind"])
    if list_name is None:
        return ["no schema for this kind"]
    problems = [f"unknown field spec.{key}" for key in spec.keys() - _MONITOR_KEYS - {list_name}]
    if not spec.get("selector", {}).get("matchLabels"):
        problems.append("spec.selector.matchLabels is missing")
    if not spec.get(list_name):
        problems.append(f"spec.{list_name} is empty")
    for endpoint in spec.get(list_name, ()):
        problems += [f"unknown field {key} of an endpoint" for key in endpoint.keys() - _ENDPOINT_KEYS]
    return problems
