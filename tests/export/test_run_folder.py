"""The folder of a run: a name that stays where it belongs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_swarm.errors import SettingProblem
from inference_swarm.export.run_folder import make_run_folder, run_folder_name


@given(st.text(max_size=400), st.text(max_size=400))
def test_whatever_dataset_and_model_are_called_the_name_is_one_that_every_file_system_takes(
    dataset: str, model: str
) -> None:
    name = run_folder_name("20261126-090000", dataset, model)
    assert name.startswith("20261126-090000_")
    assert Path(name).name == name
    assert name.isascii()
    assert len(name) <= 200


def test_a_dataset_that_looks_like_a_path_is_part_of_one_name(tmp_path: Path) -> None:
    name = run_folder_name("t", "../../x", "/etc/passwd")
    assert name == "t_x_etc-passwd"
    assert make_run_folder(tmp_path, name) == tmp_path / "runs" / "t_x_etc-passwd"


@pytest.mark.parametrize("name", ["../../evil", "..", ".", "a/b", "/tmp/evil"])
def test_a_name_that_would_leave_the_folder_of_runs_makes_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingProblem, match="one folder name"):
        make_run_folder(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_of_a_name_gets_a_number(tmp_path: Path) -> None:
    assert [make_run_folder(tmp_path, "x").name for _ in range(3)] == ["x", "x-2", "x-3"]


@pytest.mark.parametrize("part", ["", "runs"])
def test_a_link_to_nowhere_is_named_as_what_is_in_the_way(tmp_path: Path, part: str) -> None:
    results = tmp_path / "results"
    if part:
        results.mkdir()
    (results / part).symlink_to(tmp_path / "gone" / "gone")
    with pytest.raises(SettingProblem, match="cannot be made: File exists"):
        make_run_folder(results, "x")
