from __future__ import annotations

from pathlib import Path

import pytest

from inference_swarm.data import locate
from inference_swarm.data.locate import DatasetFiles, find_dataset, list_datasets
from inference_swarm.errors import DataError


def put(root: Path, name: str, *, labels: bool = False) -> Path:
    features = root / name / "X_test.parquet"
    features.parent.mkdir(parents=True)
    features.touch()
    if labels:
        features.with_name("y_test.parquet").touch()
    return features


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    return [tmp_path / "locust/test_files/splits", tmp_path / "experiment-results/splits"]


def test_the_first_root_wins_and_labels_come_from_the_same_folder(roots: list[Path]) -> None:
    second = put(roots[1], "diabetic", labels=True)
    assert find_dataset("diabetic", roots) == DatasetFiles(second, second.with_name("y_test.parquet"))
    first = put(roots[0], "diabetic")
    assert find_dataset("diabetic", roots) == DatasetFiles(first, None)


def test_datasets_of_both_roots_are_listed_once_and_sorted(roots: list[Path]) -> None:
    assert list_datasets(roots) == []
    put(roots[0], "healthcare-dataset-stroke")
    put(roots[1], "healthcare-dataset-stroke")
    put(roots[1], "UNSW_NB15_merged")
    (roots[1] / "unfinished").mkdir()
    assert list_datasets(roots) == ["UNSW_NB15_merged", "healthcare-dataset-stroke"]


def test_without_data_the_error_names_both_places_and_the_command(roots: list[Path]) -> None:
    with pytest.raises(DataError) as caught:
        find_dataset("diabetic", roots)
    message = str(caught.value)
    assert str(roots[0] / "diabetic" / "X_test.parquet") in message
    assert str(roots[1] / "diabetic" / "X_test.parquet") in message
    assert "scripts/start.sh train" in message
    assert "name a file of your own with --data" in message


def test_a_misspelt_name_is_answered_with_the_nearest_one(roots: list[Path]) -> None:
    put(roots[1], "diabetic")
    with pytest.raises(DataError, match="use 'diabetic' if that was meant"):
        find_dataset("diabetes", roots)
    with pytest.raises(DataError, match="use one of diabetic"):
        find_dataset("zzz", roots)


@pytest.mark.parametrize("name", ["", " ", ".", "..", "../diabetic", "a/b", "/etc", "a\\b", "a\nb", "a\0b"])
def test_a_name_that_could_leave_the_folder_is_refused(name: str, roots: list[Path]) -> None:
    put(roots[0].parent, "diabetic")
    with pytest.raises(DataError, match="is not the name of a folder"):
        find_dataset(name, roots)


def test_where_results_go_does_not_decide_which_data_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = tmp_path / "experiment-results" / "splits"
    monkeypatch.setattr(locate, "TRAINED_SPLITS", trained)
    roots = locate.search_roots(str(tmp_path / "elsewhere"))
    assert roots[1:] == (tmp_path / "elsewhere" / "splits", trained)
    assert locate.search_roots(str(tmp_path / "experiment-results"))[1:] == (trained,)
