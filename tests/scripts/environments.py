"""A virtual environment for the scripts that is this test's own: they install what their lock files say into theirs."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUR_VARIABLES = ("LOCUST_", "SWARM_", "DATASET_NAME", "LOAD_MODEL", "PRED_METHOD", "LOGLEVEL", "WORKERS")


def complete_environment(folder: Path) -> dict[str, str]:
    """Variables for a script: the packages of these tests, and stamps that say that they are what the locks want."""
    folder.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (folder / name).symlink_to(Path(sys.prefix) / name)
    for lock in ("swarm", "server", "dev"):
        shutil.copy(ROOT / "requirements" / f"{lock}.txt", folder / f".installed-{lock}")
    return {**without_ours(), "SWARM_VENV": str(folder)}


def without_ours() -> dict[str, str]:
    """This process's environment without any setting of ours."""
    return {key: value for key, value in os.environ.items() if not key.startswith(OUR_VARIABLES)}
