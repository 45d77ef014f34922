"""What a clone has, on machines that change line ends."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.processes
def test_a_clone_with_windows_line_ends_still_runs_its_scripts(tmp_path: Path) -> None:
    """Only .gitattributes is looked at, from the working tree, so that the test needs no commit."""
    source = tmp_path / "source"
    scripts = ("scripts/start.sh", "docker/fix-permissions", "docker/entrypoint.py", "docker/Dockerfile", ".ci/run")
    for name in (".gitattributes", *scripts, "docs/images/report.png"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "core.autocrlf=false"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], cwd=source, check=True)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "-c", "core.autocrlf=true", source, clone], check=True)
    assert [name for name in scripts if b"\r" in (clone / name).read_bytes()] == []
    picture = "docs/images/report.png"
    assert (clone / picture).read_bytes() == (ROOT / picture).read_bytes()
