"""A virtual environment for each real model server: made where it is missing, kept between runs, outside the checkout.

In: `requirements/NAME.txt`. Out: the environment's folder; its name has a digest of these pins and of the Python.
As a program it makes all of them beside each other: python tests/servers/server_environments.py. CI begins with that.
Its parts may be removed at any time; SWARM_SERVERS_CACHE names another place.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent / "requirements"
NAMES = ("mlflow", "mlserver", "kserve", "bentoml")
CACHE_VARIABLE = "SWARM_SERVERS_CACHE"
COMPLETE = "complete"
UNUSED_S = 30 * 86_400
PIP_S = 900


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where environments are kept, as the XDG base directory specification has it."""
    if named := environment.get(CACHE_VARIABLE):
        return Path(named).absolute()
    base = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "inference-swarm" / "servers"


def environment_of(name: str, cache: Path | None = None, requirements: Path = REQUIREMENTS) -> Path:
    """The folder of the environment; makes it when it is missing, and waits when somebody else does.

    Raises RuntimeError with the end of pip's output.
    """
    pins = (requirements / f"{name}.txt").read_text(encoding="utf-8")
    cache = cache_folder() if cache is None else cache
    folder = cache / f"{name}-{_digest(pins)}"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"{folder.name}.lock"):
        if not (folder / COMPLETE).exists():
            _make(folder, requirements / f"{name}.txt")
            (folder / COMPLETE).touch()
        os.utime(folder / COMPLETE)
    _remove_unused(cache)
    return folder


def _digest(pins: str) -> str:
    about = f"{pins}\n{sys.version}\n{platform.machine()}"
    return hashlib.sha256(about.encode()).hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """A process that ends, however, releases it."""
    with path.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(folder: Path, requirements: Path) -> None:
    """What an interrupted run has left is no start."""
    shutil.rmtree(folder, ignore_errors=True)
    # Compiled when it is imported, which most of it never is.
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(folder / "bin" / "python"), *pip, "--only-binary", ":all:", "-r", str(requirements)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PIP_S)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def _remove_unused(cache: Path) -> None:
    """Those of pins that nobody has used for a month."""
    for marker in cache.glob(f"*/{COMPLETE}"):
        if time.time() - marker.stat().st_mtime > UNUSED_S:
            shutil.rmtree(marker.parent, ignore_errors=True)


def main() -> int:
    def made(name: str) -> int:
        began_s = time.monotonic()
        try:
            folder = environment_of(name)
        except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
            sys.stderr.write(f"{name}: {error}\n")
            return 1
        sys.stdout.write(f"{name}: {folder}, {time.monotonic() - began_s:.0f} s\n")
        return 0

    with ThreadPoolExecutor(len(NAMES)) as pool:
        return max(pool.map(made, NAMES))


if __name__ == "__main__":
    sys.exit(main())
