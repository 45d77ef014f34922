"""What all processes of pytest share in a session: a folder, things that are made once, commands for the end.

A plug-in of pytest. The processes that pytest-xdist starts inherit the name of the folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

FOLDER_VARIABLE = "PYTEST_SHARED_FOLDER"
AT_END = "at-end.jsonl"


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        os.environ[FOLDER_VARIABLE] = tempfile.mkdtemp(prefix="pytest-shared-")


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    at_end = folder() / AT_END
    commands = at_end.read_text().splitlines() if at_end.exists() else []
    for command in reversed(commands):
        subprocess.run(json.loads(command), capture_output=True, check=False)
    shutil.rmtree(os.environ.pop(FOLDER_VARIABLE), ignore_errors=True)


def folder() -> Path:
    """The folder of this session."""
    return Path(os.environ[FOLDER_VARIABLE])


@contextmanager
def locked(name: str, *, is_shared: bool = False) -> Iterator[Path]:
    """Holds the lock of a file of the folder; a process that ends releases it."""
    path = folder() / name
    with path.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX)
        yield path


def once(name: str, make: Callable[[], str]) -> str:
    """What `make` returned for the first that asked; others wait for it. After a failure the next one tries."""
    with locked(name) as path:
        if not path.stat().st_size:
            path.write_text(make(), encoding="utf-8")
        return path.read_text(encoding="utf-8")


def run_at_end(command: Sequence[str]) -> None:
    """Remembers a command for the end of the session, whichever process that is told to."""
    with locked(AT_END) as path, path.open("a") as file:
        file.write(json.dumps(list(command)) + "\n")
