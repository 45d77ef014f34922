"""The folder for results: whether it can be written, before anything is started; a run in it. Changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

from inference_swarm.errors import SettingProblem


def find_run(name: str, results: Path) -> Path:
    """Return a folder, or the run of that name below the results."""
    given = Path(name)
    return given if given.is_dir() else results / "runs" / name


def check_writable(results: Path) -> None:
    """Raise SettingProblem when runs could not be written: a read-only disk, a file in the way, a foreign folder."""
    for name in (".", "runs", "run_table.csv"):
        path = results / name
        closed = _what_is_closed(path)
        if closed is not None:
            raise SettingProblem(
                f"Results cannot be written: {closed[0].absolute()} {closed[1]} (--results, SWARM_RESULTS).",
                expected="a folder that can be written, or made.",
                action="name another with --results FOLDER, or open this one.",
            )


def _what_is_closed(path: Path) -> tuple[Path, str] | None:
    """Return why the path is closed: its nearest existing part decides, since the rest is made below it."""
    nearest = path.absolute()
    while not os.path.lexists(nearest):
        nearest = nearest.parent
    if nearest.is_file() and nearest == path.absolute() and path.name == "run_table.csv":
        return None if os.access(nearest, os.W_OK) else (nearest, "is read-only")
    if not nearest.is_dir():
        return nearest, "is not a folder"
    return None if os.access(nearest, os.W_OK | os.X_OK) else (nearest, "is read-only")
