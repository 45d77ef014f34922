"""`train` and `serve`: the commands of the package `server`, which needs packages that the swarm does without."""

from __future__ import annotations

import argparse
import importlib
import sys

from inference_swarm.errors import ExitCode

_MODULES = {"train": "server.train.__main__", "serve": "server.serve"}
_PACKAGES = ("catboost", "lightgbm", "xgboost", "fastapi", "uvicorn")
WAY_TO_INSTALL = "pip install 'inference-swarm[server]'"


def make_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser, for completion."""
    module = importlib.import_module(_MODULES[name])
    parser: argparse.ArgumentParser = module._parser()
    return argparse.ArgumentParser(add_help=False, parents=[parser], conflict_handler="resolve")


def missing_packages() -> list[str]:
    """Return the packages of the reference server that are not installed."""
    from importlib.util import find_spec

    return [name for name in _PACKAGES if find_spec(name) is None]


def missing_words(command: str) -> str:
    """Return what to say when packages are missing; empty if none is."""
    missing = missing_packages()
    if not missing:
        return ""
    return (
        f"`{command}` needs {', '.join(missing)}, which the swarm does without.\n"
        f"  Fix: {WAY_TO_INSTALL}, or test a server of your own with `run HOST`."
    )


def main(args: list[str] | None = None) -> int:
    """Entry point; the first argument is `train` or `serve`."""
    name, *rest = sys.argv[1:] if args is None else args
    if words := missing_words(name):
        print(words, file=sys.stderr)
        return ExitCode.BAD_CONFIGURATION
    code: int = importlib.import_module(_MODULES[name]).main(rest)
    return code
