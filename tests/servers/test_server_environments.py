"""Environments of real servers are made where they are missing, once, and kept."""

from __future__ import annotations

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from server_environments import COMPLETE, REQUIREMENTS, cache_folder, environment_of

pytestmark = pytest.mark.processes


@pytest.fixture
def pins(tmp_path: Path) -> Path:
    """A folder of requirements with a server that needs nothing."""
    folder = tmp_path / "requirements"
    folder.mkdir()
    (folder / "nothing.txt").write_text("# none\n", encoding="utf-8")
    return folder


@pytest.mark.servers
def test_an_environment_is_made_once_however_many_want_it_and_again_when_it_is_half_made_or_has_other_pins(
    tmp_path: Path, pins: Path
) -> None:
    cache = tmp_path / "cache"
    with ThreadPoolExecutor(3) as pool:
        (folder,) = set(pool.map(lambda _: environment_of("nothing", cache, pins), range(3)))
    assert folder.parent == cache
    python = folder / "bin" / "python"
    done = subprocess.run([python, "-c", "import sys; print(sys.prefix)"], capture_output=True, check=True)
    assert done.stdout.decode().strip() == str(folder)
    mark = folder / "mark"
    mark.touch()
    assert environment_of("nothing", cache, pins) == folder
    assert mark.exists()
    # interrupted
    (folder / COMPLETE).unlink()
    python.unlink()
    assert environment_of("nothing", cache, pins) == folder
    assert python.exists()
    assert not mark.exists()
    # other pins, and nobody has used the former ones for long
    a_month_ago_s = time.time() - 31 * 86_400
    os.utime(folder / COMPLETE, (a_month_ago_s, a_month_ago_s))
    (pins / "nothing.txt").write_text("# none, still\n", encoding="utf-8")
    other = environment_of("nothing", cache, pins)
    assert other.parent == cache
    assert other != folder
    assert not folder.exists()


@pytest.mark.servers
def test_what_cannot_be_installed_is_said_by_pip(tmp_path: Path, pins: Path) -> None:
    (pins / "missing.txt").write_text(f"{tmp_path}/missing-1.0-py3-none-any.whl\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"(?s)pip install.*failed.*missing-1\.0-py3-none-any\.whl"):
        environment_of("missing", tmp_path, pins)


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"SWARM_SERVERS_CACHE": "/here"}, "/here"),
        ({"SWARM_SERVERS_CACHE": "", "XDG_CACHE_HOME": "/cache"}, "/cache/inference-swarm/servers"),
        ({}, str(Path.home() / ".cache" / "inference-swarm" / "servers")),
    ],
)
def test_the_cache_is_outside_of_the_checkout(environment: dict[str, str], folder: str) -> None:
    assert str(cache_folder(environment)) == folder


def test_every_requirement_is_pinned() -> None:
    for file in REQUIREMENTS.glob("*.txt"):
        pins = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        assert len(pins) > 40
        assert all(line.count("==") == 1 for line in pins)
