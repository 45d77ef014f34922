"""The virtual environment of the scripts: made, made again when half of it is there, refused where it cannot be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from environments import ROOT, without_ours

pytestmark = pytest.mark.processes

IN_ENVIRONMENT = ROOT / "scripts" / "in_environment"

# A Python whose venv module lacks ensurepip until the file `repaired` is beside it, and which installs nothing.
PYTHON = """#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
case "$*" in
  *sys.exit*) exit 0 ;;
  "-m venv"*)
    for folder; do :; done
    rm -rf "$folder"
    mkdir -p "$folder/bin"
    touch "$folder/pyvenv.cfg"
    cp "$0" "$folder/bin/python"
    [ -e "$here/repaired" ] || { echo "ensurepip is not available" >&2; exit 1; }
    touch "$folder/bin/has-pip" ;;
  "-c import pip") [ -e "$here/has-pip" ] ;;
  "-m pip install"*) [ -e "$here/has-pip" ] || { echo "No module named pip" >&2; exit 1; } ;;
  *) echo "runs $*" ;;
esac
"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    path = tmp_path / "python" / "python3"
    path.parent.mkdir()
    path.write_text(PYTHON)
    path.chmod(0o755)
    return path


def run(python: Path, venv: Path) -> subprocess.CompletedProcess[str]:
    variables = {**without_ours(), "SWARM_VENV": str(venv), "PYTHON": str(python)}
    return subprocess.run(
        [IN_ENVIRONMENT, "swarm", "python", "x"],
        env=variables, cwd=python.parent, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_half_made_environment_is_made_again_once_python_can(python: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    first = run(python, venv)
    assert (first.returncode, "ensurepip is not available" in first.stderr) == (2, True)
    assert "python3-venv" in first.stderr
    assert (venv / "bin" / "python").exists(), "half of it is there, as after a real failure"
    (python.parent / "repaired").touch()
    second = run(python, venv)
    assert (second.returncode, second.stdout) == (0, "runs x\n"), second.stderr
    third = run(python, venv)
    assert (third.returncode, third.stderr) == (0, "")


def test_an_environment_whose_python_is_gone_is_made_again_with_its_packages(python: Path, tmp_path: Path) -> None:
    (python.parent / "repaired").touch()
    venv = tmp_path / "venv"
    assert run(python, venv).returncode == 0
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").symlink_to(tmp_path / "removed")
    again = run(python, venv)
    assert (again.returncode, again.stdout) == (0, "runs x\n"), again.stderr
    assert "Installing the dependencies" in again.stderr


def test_a_folder_that_is_no_environment_is_left_alone(python: Path, tmp_path: Path) -> None:
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "letters.txt").write_text("dear")
    done = run(python, folder)
    assert done.returncode == 2
    assert f"{folder} is not a virtual environment." in done.stderr
    assert (folder / "letters.txt").read_text() == "dear"


def test_a_place_that_cannot_be_written_is_refused_with_the_variable_that_moves_it(
    python: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    done = run(python, tmp_path / "file" / "venv")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "SWARM_VENV=" in done.stderr
    assert len(done.stderr.splitlines()) == 2
