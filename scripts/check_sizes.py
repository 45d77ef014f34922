"""Checks that no module of the product has more than 300 lines, and no function more than 50."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDERS = ("locust", "server", "scripts", "benchmarks", "docker")
MODULE_LINES = 300
FUNCTION_LINES = 50


def excesses(path: Path, text: str) -> Iterator[str]:
    """Yield what is too long in a module, with its place and its length."""
    lines = text.count("\n")
    if lines > MODULE_LINES:
        yield f"{path}: {lines} lines, at most {MODULE_LINES}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            length = node.end_lineno - node.lineno + 1
            if length > FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES}"


def main() -> int:
    """Print everything that is too long."""
    found = []
    for folder in FOLDERS:
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            found += excesses(path.relative_to(REPOSITORY), path.read_text(encoding="utf-8"))
    for one in found:
        print(one, file=sys.stderr)
    print(f"lengths of modules and functions: {len(found)} above the limit")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
