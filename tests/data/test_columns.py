"""Which columns are sent, in which order, under which names; and which is the label."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from sent import notes_of, sent_rows

from inference_swarm.config.value_types import NAMES, split_names
from inference_swarm.data.blocks import iter_blocks
from inference_swarm.data.columns import ColumnChoice
from inference_swarm.data.dataset import read_manifest
from inference_swarm.errors import DataError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pq.write_table(pa.table({"id": [7, 8], "age": [31, 45], "churned": ["no", "yes"]}), tmp_path / "X.parquet")
    return tmp_path / "X.parquet"


def test_named_columns_are_sent_in_the_order_in_which_they_are_named(path: Path) -> None:
    rows = sent_rows(path, columns=("churned", "age"))
    assert rows == [{"churned": "no", "age": 31}, {"churned": "yes", "age": 45}]
    assert list(rows[0]) == ["churned", "age"]


def test_dropped_columns_are_not_sent_and_renamed_ones_have_their_new_name(path: Path) -> None:
    assert sent_rows(path, drop=("id", "churned"), rename={"age": "num__age"}) == [{"num__age": 31}, {"num__age": 45}]


def test_the_label_column_is_kept_for_each_row_and_not_sent(path: Path) -> None:
    manifest = read_manifest(str(path), None, 1, ColumnChoice(label="churned"))
    loaded = list(iter_blocks(manifest, manifest.blocks))
    assert [block.table.to_pylist() for block in loaded] == [[{"id": 7, "age": 31}], [{"id": 8, "age": 45}]]
    assert [block.labels.to_pylist() for block in loaded if block.labels is not None] == [["no"], ["yes"]]
    assert sent_rows(path, label="churned", columns=("churned", "age")) == [{"age": 31}, {"age": 45}]


def test_a_partition_may_be_the_label(tmp_path: Path) -> None:
    pq.write_to_dataset(pa.table({"n": [1, 2], "y": ["a", "b"]}), tmp_path / "in", partition_cols=["y"])
    manifest = read_manifest(str(tmp_path / "in"), choice=ColumnChoice(label="y"))
    labels = [row for block in iter_blocks(manifest, manifest.blocks) for row in (block.labels or []).to_pylist()]
    assert labels == ["a", "b"]
    assert manifest.schema.names == ["n"]


@pytest.mark.parametrize(
    ("choice", "option"),
    [
        ({"columns": ("aeg",)}, "--columns"),
        ({"drop": ("aeg",)}, "--drop-columns"),
        ({"rename": {"aeg": "x"}}, "--rename"),
        ({"label": "aeg"}, "--label-column"),
    ],
)
def test_a_column_that_is_not_there_is_refused_with_the_nearest_one(
    choice: dict[str, Any], option: str, path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        read_manifest(str(path), choice=ColumnChoice(**choice))
    assert caught.value.found == f"{option} names 'aeg', which {path} does not have."
    assert caught.value.expected == "one of its columns: 'id', 'age', 'churned'."
    assert caught.value.action == "use 'age' if that was meant."


def test_a_choice_that_leaves_nothing_or_gives_a_name_twice_is_refused(path: Path) -> None:
    with pytest.raises(DataError, match="has no columns"):
        read_manifest(str(path), choice=ColumnChoice(drop=("id", "age", "churned")))
    with pytest.raises(DataError, match="column name 'age' occurs 2 times"):
        read_manifest(str(path), choice=ColumnChoice(rename={"id": "age"}))


def test_a_column_that_is_there_twice_is_refused_unless_it_is_dropped(tmp_path: Path) -> None:
    pq.write_table(pa.table([[1], [2], [3]], names=["a", "a", "b"]), tmp_path / "1.parquet")
    for choice in ({}, {"columns": ("a",)}):
        with pytest.raises(DataError, match="column name 'a' occurs 2 times"):
            read_manifest(str(tmp_path), choice=ColumnChoice(**choice))
    assert sent_rows(tmp_path, drop=("a",)) == [{"b": 3}]


@settings(deadline=None)
@given(
    names=st.lists(
        st.text(st.characters(exclude_categories=("C", "Z")) | st.sampled_from(',"\n\r '), min_size=1), min_size=1
    )
)
def test_names_survive_the_way_from_a_list_to_text_and_back(names: list[str]) -> None:
    assert split_names(NAMES.parse(names)) == [name.strip() for name in names if name.strip()]


def test_a_column_with_spaces_around_its_name_is_chosen_without_them(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], " b": [2], "c ": [3], " y ": [4], "d": [5], " d": [6]}), tmp_path / "1.parquet")
    choice = ColumnChoice.of_settings("d,c,b", "", "b=B", "y")
    manifest = read_manifest(str(tmp_path), choice=choice)
    assert manifest.columns.label is not None
    assert manifest.columns.label.name == " y "
    chosen = {"columns": choice.columns, "rename": choice.rename, "label": choice.label}
    assert sent_rows(tmp_path, **chosen) == [{"d": 5, "c ": 3, "B": 2}]
    assert sent_rows(tmp_path, drop=("a", "b", "y", "d")) == [{"c ": 3, " d": 6}]


def test_choices_are_read_from_text_lists_and_objects() -> None:
    choice = ColumnChoice.of_settings('a, "b,c"', "d", NAMES.parse({"a": "x", "b,c": "y"}), "z")
    assert choice == ColumnChoice(("a", "b,c"), ("d",), {"a": "x", "b,c": "y"}, "z")
    with pytest.raises(DataError, match=re.escape("--rename names 'a' twice, as 'x' and 'y'.")):
        ColumnChoice.of_settings("", "", "a=x, a=y", "")
    with pytest.raises(DataError, match=re.escape("--rename has 'a'.")):
        ColumnChoice.of_settings("", "", "a", "")


def labels(path: Path, **columns: Any) -> str:
    target = path.with_name("y_test.parquet")
    pq.write_table(pa.table(columns), target)
    return str(target)


@pytest.mark.parametrize("bad", [{"y": [0, 1, 0]}, {"y": [0, 1], "z": [1, 1]}])
def test_labels_that_nobody_uses_are_warned_about_and_refused_when_they_are_used(
    bad: dict[str, Any], path: Path
) -> None:
    source = labels(path, **bad)
    manifest = read_manifest(str(path), source, are_labels_used=False)
    assert (manifest.rows, manifest.label_field) == (2, None)
    with pytest.raises(DataError, match=r"y_test\.parquet has") as caught:
        read_manifest(str(path), source)
    assert manifest.notes == (f"labels are not used: {caught.value.found}",)


def test_a_column_given_as_the_file_of_labels_is_answered_with_its_own_option(path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_manifest(str(path), "churned")
    assert caught.value.found == "--labels is 'churned', which is a column and not a file."
    assert caught.value.action == "use --label-column churned"


def test_good_labels_say_nothing(path: Path) -> None:
    manifest = read_manifest(str(path), labels(path, y=[0, 1]))
    assert [block.labels.to_pylist() for block in iter_blocks(manifest, manifest.blocks) if block.labels] == [[0, 1]]
    assert notes_of(path) == ""
