"""The distributions as a user gets them, and an environment with nothing else, outside of the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from installation import ROOT, Installed


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sdist and wheel; the wheel is made of what is in the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder], cwd=ROOT, check=True)
    (sdist,) = folder.glob("*.tar.gz")
    unpacked = tmp_path_factory.mktemp("sdist")
    subprocess.run(["tar", "-xzf", sdist, "-C", unpacked, "--strip-components=1"], check=True)
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=unpacked, check=True)
    return folder


@pytest.fixture(scope="module")
def installed(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The wheel and what it needs, in an environment that was empty."""
    venv = tmp_path_factory.mktemp("environment") / "venv"
    made = Installed.make(venv, tmp_path_factory.mktemp("user"))
    (wheel,) = distributions.glob("*.whl")
    made.install(str(wheel), "swarm")
    yield made
    shutil.rmtree(venv)  # a gigabyte, which pytest would keep for three sessions
