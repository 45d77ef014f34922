"""The folder of one run: its name, and files that are whole or absent, never half-written."""

from __future__ import annotations

import itertools
import json
import os
import re
from contextlib import suppress
from pathlib import Path

from inference_swarm.config.documents import ReadDocument
from inference_swarm.errors import SettingProblem

RUNS = "runs"
MAX_PART_LETTERS = 80


def run_folder_name(started_local: str, dataset: str, model: str) -> str:
    """Return `<time>_<data>_<model>`, valid in every file system; without a model where none is set."""
    parts = filter(None, (started_local, dataset or "data", model))
    names = (re.sub(r"[^A-Za-z0-9._-]+", "-", part)[:MAX_PART_LETTERS].strip("-.") or "x" for part in parts)
    return "_".join(names)


def make_run_folder(results: Path, name: str) -> Path:
    """Make a new folder below `results`/runs; `name`-2, `name`-3 … when it exists. Raises SettingProblem."""
    if Path(name).name != name or name in (".", ".."):
        raise SettingProblem(f"--run-name is {name!r}", expected="one folder name, without slashes")
    folder = results / RUNS / name
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)  # by itself: what is in its way is no earlier run
        for number in itertools.count(2):
            with suppress(FileExistsError):
                folder.mkdir()
                break
            folder = results / RUNS / f"{name}-{number}"
    except OSError as error:
        raise SettingProblem(
            f"the results folder {folder} cannot be made: {error.strerror}",
            expected="a folder that this process may write to",
            action="choose another with --results or fix its permissions",
        ) from error
    return folder


def write_whole(path: Path, text: str) -> None:
    """Write beside, then rename: a reader sees the old file or the new one. What UTF-8 cannot hold becomes `?`."""
    beside = path.with_name(path.name + ".part")
    with beside.open("w", encoding="utf-8", errors="replace", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def write_json(path: Path, document: ReadDocument) -> None:
    """Write indented JSON; NaN is refused, since it is not JSON."""
    write_whole(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
