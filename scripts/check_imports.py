"""Holds the import rule of docs/architecture.md: a stage imports only from stages to its left, `errors`, `program`."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "locust" / "inference_swarm"
STAGES = ("config", "data", "apis", "transport", "load", "measure", "judge", "run", "cluster", "export", "web", "cli")


def imported_modules(source: Path) -> list[tuple[int, str]]:
    """(line, dotted name) of everything of ours that the file imports."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                found.append((node.lineno, "." * node.level + (node.module or "")))
            elif node.module == "inference_swarm":
                found += [(node.lineno, f"inference_swarm.{alias.name}") for alias in node.names]
            elif node.module:
                found.append((node.lineno, node.module))
    return [(line, name) for line, name in found if name.startswith(("inference_swarm", "server", "."))]


def broken_rules(package: Path = PACKAGE) -> list[str]:
    """One line for each import that points right, or at wiring."""
    broken: list[str] = []
    for source in sorted(package.rglob("*.py")):
        stage = source.relative_to(package).parts[0].removesuffix(".py")
        if stage not in STAGES and stage not in ("errors", "program"):
            continue
        for line, name in imported_modules(source):
            target = name.split(".")[1] if name.startswith("inference_swarm.") else name
            if target in (
                "errors",
                "program",
                "__version__",
                "inference_swarm",
            ):  # the package itself holds only its version
                continue
            if stage in ("errors", "program") or target not in STAGES or STAGES.index(target) > STAGES.index(stage):
                broken.append(f"{source.relative_to(package.parent)}:{line}: {stage} must not import {name}")
    return broken


if __name__ == "__main__":
    found = broken_rules()
    for problem in found:
        print(problem, file=sys.stderr)
    print(f"import rules: {len(found)} broken")
    sys.exit(1 if found else 0)
