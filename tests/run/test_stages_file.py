"""Stages in a file: a pipe or a device is refused, since reading it could block, or never end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inference_swarm.errors import SettingProblem
from inference_swarm.run.plan import read_stages_text


def test_the_stages_of_a_file_are_read(tmp_path: Path) -> None:
    file = tmp_path / "stages"
    file.write_text("30s@5\n# then\n30s@9\n")
    assert read_stages_text(str(file)) == file.read_text()


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingProblem, match="it is a folder, a pipe or a device"):
        read_stages_text(str(tmp_path / "pipe"))


@pytest.mark.parametrize("path", ["/dev/zero", "/"])
def test_what_is_not_a_file_is_refused(path: str) -> None:
    with pytest.raises(SettingProblem, match="it is a folder, a pipe or a device"):
        read_stages_text(path)


def test_a_file_that_cannot_be_stages_is_refused_by_its_size(tmp_path: Path) -> None:
    file = tmp_path / "big"
    with file.open("wb") as opened:
        opened.truncate(1_000_001)
    with pytest.raises(SettingProblem, match="1,000,001 bytes, more than 1,000,000"):
        read_stages_text(str(file))
