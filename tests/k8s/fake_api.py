"""A Kubernetes API that is just enough for kubectl: keeps objects, fills in defaults as the real one, notes patches."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Item = dict[str, Any]
KINDS = {
    "v1": ["Namespace", "ConfigMap", "Service", "PersistentVolumeClaim"],
    "apps/v1": ["Deployment"],
    "batch/v1": ["Job"],
    "policy/v1": ["PodDisruptionBudget"],
    "networking.k8s.io/v1": ["NetworkPolicy"],
}


def plural(kind: str) -> str:
    return f"{kind[:-1]}ies".lower() if kind.endswith("y") else f"{kind}s".lower()


@dataclass
class FakeApi:
    """What it holds by path, and the patches it got."""

    url: str = ""
    objects: dict[str, Item] = field(default_factory=dict)
    patches: list[tuple[str, Item]] = field(default_factory=list)

    def answer(self, path: str, query: str) -> Item | None:
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            groups = [version for version in KINDS if "/" in version]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(version) for version in groups]}
        for version, kinds in KINDS.items():
            if path == ("/api/v1" if version == "v1" else f"/apis/{version}"):
                return {"kind": "APIResourceList", "groupVersion": version, "resources": [_resource(k) for k in kinds]}
        if path in self.objects:
            return self.objects[path]
        for name in parse_qs(query).get("fieldSelector", []):
            found = self.objects.get(f"{path}/{name.removeprefix('metadata.name=')}")
            if found is not None:
                return {"kind": "List", "apiVersion": found["apiVersion"], "metadata": {}, "items": [found]}
        return None


def _group(version: str) -> Item:
    one = {"groupVersion": version, "version": version.split("/")[1]}
    return {"name": version.split("/")[0], "versions": [one], "preferredVersion": one}


def _resource(kind: str) -> Item:
    verbs = ["get", "list", "create", "patch", "watch"]
    return {"name": plural(kind), "singularName": "", "namespaced": kind != "Namespace", "kind": kind, "verbs": verbs}


def with_defaults(item: Item) -> Item:
    """What a real API makes of an object, as far as kubectl compares it."""
    item = copy.deepcopy(item)
    item["metadata"] |= {"uid": "1", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    spec = item.get("spec", {})
    if item["kind"] == "Deployment":
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
        spec["strategy"] = {"type": "RollingUpdate", **spec.get("strategy", rolling)}
        item["spec"] = {"revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, **spec}
    if item["kind"] == "Service":
        item["spec"] = {"type": "ClusterIP", "clusterIP": "10.0.0.1", "sessionAffinity": "None", **spec}
        for port in item["spec"]["ports"]:
            port.setdefault("protocol", "TCP")
    if item["kind"] == "PersistentVolumeClaim":
        item["spec"] = {"volumeMode": "Filesystem", "storageClassName": "standard", **spec}
    if item["kind"] in ("Deployment", "Job"):
        pod = item["spec"]["template"]["spec"]
        pod |= {"dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", **pod}
        for container in pod["containers"]:
            container |= {"terminationMessagePath": "/dev/termination-log", **container}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if probe in container:
                    container[probe] = {"successThreshold": 1, "failureThreshold": 3, **container[probe]}
    return item


@contextmanager
def fake_api() -> Iterator[FakeApi]:
    """Serves on loopback."""
    api = FakeApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def send(self, status: int, document: Item) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def read(self) -> Item:
            document: Item = json.loads(self.rfile.read(int(self.headers["content-length"])))
            return document

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            found = api.answer(parts.path, parts.query)
            missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            self.send(200 if found else 404, found or missing)

        def do_POST(self) -> None:
            item = self.read()
            path = f"{urlsplit(self.path).path}/{item['metadata']['name']}"
            api.objects[path] = with_defaults(item)
            self.send(201, api.objects[path])

        def do_PATCH(self) -> None:
            path = urlsplit(self.path).path
            api.patches.append((path, self.read()))
            self.send(200, api.objects[path])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        api.url = f"http://127.0.0.1:{server.server_port}"
        yield api
        server.shutdown()
