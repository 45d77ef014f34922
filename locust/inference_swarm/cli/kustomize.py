"""Runs `kubectl kustomize`, on a folder or on an overlay that is made for the moment. Text out; no YAML library."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference_swarm.program import ROOT

K8S = ROOT / "k8s"


class BuildError(Exception):
    """kustomize refused; the message is its own."""


def kustomize(folder: Path) -> str:
    """The manifests of a kustomization. Raises BuildError."""
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{folder}: {done.stderr.strip()}")
    return done.stdout


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
        {"name": name, "behavior": "merge", "literals": [f"{key}={value}" for key, value in values.items()]}
        for name, values in (("swarm-settings", settings), ("swarm-cluster", cluster))
        if values
    ]
    return document


def kustomize_overlay(document: Mapping[str, Any]) -> str:
    """The manifests of an `overlay(…)` with absolute paths, in a folder that is gone afterwards. Raises BuildError."""
    with tempfile.TemporaryDirectory(prefix="swarm-overlay-") as name:
        folder = Path(name).resolve()
        relative = {
            key: [os.path.relpath(path, folder) for path in document[key]] for key in ("resources", "components")
        }
        generators = [
            _with_files(folder, number, each) for number, each in enumerate(document.get("configMapGenerator", ()))
        ]
        whole = {**document, **relative, "configMapGenerator": generators}
        # YAML has no surrogate pairs, which JSON's escapes of an emoji are.
        (folder / "kustomization.yaml").write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")
        return kustomize(folder)


def _with_files(folder: Path, number: int, generator: Mapping[str, Any]) -> dict[str, Any]:
    """Return the generator with its values in files: of a literal kustomize takes away the quotes around it."""
    files = []
    for place, literal in enumerate(generator["literals"]):
        name, _, value = literal.partition("=")
        file = folder / f"value-{number}-{place}"
        file.write_bytes(value.encode())
        files.append(f"{name}={file.name}")
    return {**{key: value for key, value in generator.items() if key != "literals"}, "files": files}
