"""Folders as people have them: partitions, mixed schemas, tables of other engines, names of every kind."""

from __future__ import annotations

import datetime as dt
import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import hypothesis.strategies as st
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from sent import notes_of, sent_rows

from inference_swarm.data.dataset import read_manifest
from inference_swarm.data.partitions import partition_fields, partition_texts, partition_values
from inference_swarm.data.sources import source_name
from inference_swarm.data.storage import unreadable
from inference_swarm.errors import DataError


def put(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def refusal(source: Path | str) -> DataError:
    with pytest.raises(DataError) as caught:
        read_manifest(str(source))
    return caught.value


PEOPLE = {"age": [31, 45, 62], "country": ["DE", "FR", "DE"], "year": [2023, 2024, 2024]}


def with_pyarrow(folder: Path) -> None:
    pq.write_to_dataset(pa.table(PEOPLE), folder, partition_cols=["country", "year"])


def with_pandas(folder: Path) -> None:
    pa.table(PEOPLE).to_pandas().to_parquet(folder, partition_cols=["country", "year"])


def with_polars(folder: Path) -> None:
    pl.DataFrame(PEOPLE).write_parquet(
        folder, use_pyarrow=True, pyarrow_options={"partition_cols": ["country", "year"]}
    )


def with_duckdb(folder: Path) -> None:
    people = pa.table(PEOPLE)  # noqa: F841 - DuckDB finds it by its name
    duckdb.connect().execute(f"COPY people TO '{folder}' (FORMAT parquet, PARTITION_BY (country, year))")


@pytest.mark.parametrize("write", [with_pyarrow, with_pandas, with_polars, with_duckdb])
def test_columns_of_a_partition_are_sent_with_the_types_that_arrow_gives_them(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = tmp_path / "people"
    write(folder)
    wanted = [dict(zip(PEOPLE, row, strict=True)) for row in zip(*PEOPLE.values(), strict=True)]
    for source in (folder, f"{folder}/country=*/**/*.parquet", f"file://{folder}"):
        rows = sorted(sent_rows(source), key=lambda row: row["age"])
        assert rows == wanted
        assert list(rows[0]) == ["age", "country", "year"]
    assert "country (string), year (int32)" in notes_of(folder)


SEGMENTS = st.lists(
    st.sampled_from(
        ["1", "01", "-7", "2147483647", "2147483648", "+1", "1.5", " 1", "x", "", "a=b", "a%20b%2Fc", "true"]
    )
    | st.just("__HIVE_DEFAULT_PARTITION__"),
    min_size=1,
    max_size=4,
    unique=True,
)


@settings(deadline=None, max_examples=60)
@given(segments=SEGMENTS)
def test_partitions_have_the_types_and_values_of_pyarrow_dataset(
    segments: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("partitions")
    for number, segment in enumerate(segments):
        put(folder / f"k={segment}" / f"{number}.parquet", n=[number])
    if segments == ["__HIVE_DEFAULT_PARTITION__"]:  # pyarrow refuses it for want of a type; null is null in all types
        assert sent_rows(folder) == [{"n": 0, "k": None}]
        return
    theirs = ds.dataset(folder, partitioning="hive")
    manifest = read_manifest(str(folder))
    assert manifest.schema == pa.schema([theirs.schema.field(name) for name in ("n", "k")]).remove_metadata()
    by_number = {row["n"]: row["k"] for row in sent_rows(folder)}
    assert by_number == {row["n"]: row["k"] for row in theirs.to_table().to_pylist()}


def test_files_outside_of_a_partition_have_null_in_its_column() -> None:
    texts = [partition_texts(path) for path in ("a=1/b=x/f", "a=2/f", "f", "a=__HIVE_DEFAULT_PARTITION__/b=%2B/f")]
    fields = partition_fields(texts)
    assert [(field.name, field.type) for field in fields] == [("a", pa.int32()), ("b", pa.string())]
    assert [partition_values(each, fields) for each in texts] == [(1, "x"), (2, None), (None, None), (None, "+")]


def test_a_column_of_the_file_is_not_replaced_by_its_folder(tmp_path: Path) -> None:
    put(tmp_path / "k=7" / "1.parquet", k=["in the file"], n=[1])
    assert sent_rows(tmp_path) == [{"k": "in the file", "n": 1}]


def test_a_folder_that_is_itself_a_partition_says_that_it_becomes_no_column(tmp_path: Path) -> None:
    put(tmp_path / "k=7" / "1.parquet", n=[1])
    assert sent_rows(tmp_path / "k=7") == [{"n": 1}]
    assert "k=7 is above this folder and becomes no column" in notes_of(tmp_path / "k=7")
    assert sent_rows(f"{tmp_path}/k=7/*") == [{"n": 1, "k": 7}]


def test_rows_of_which_only_partitions_are_sent(tmp_path: Path) -> None:
    put(tmp_path / "k=7" / "1.parquet", n=[1, 2])
    put(tmp_path / "k=8" / "1.parquet", n=[3])
    assert sent_rows(tmp_path, columns=("k",)) == [{"k": 7}, {"k": 7}, {"k": 8}]


@pytest.mark.parametrize(
    ("first", "second", "rows"),
    [
        (pa.array([None]), pa.array(["x"]), [None, "x"]),
        (pa.array([1]), pa.array([1.5]), [1, 1.5]),
        (pa.array(["x"]), pa.array(["y"], pa.large_string()), ["x", "y"]),
        (pa.array(["x"]).dictionary_encode(), pa.array(["y"], pa.string_view()), ["x", "y"]),
        (
            pa.array([dt.datetime(2024, 1, 2)], pa.timestamp("us")),
            pa.array([dt.datetime(2024, 1, 3)], pa.timestamp("ms")),
            ["2024-01-02T00:00:00.000000", "2024-01-03T00:00:00.000000"],
        ),
        (pa.array([1], pa.int8()), pa.array([2**62]), [1, 2**62]),
        (pa.array([1], pa.uint32()), pa.array([-1], pa.int32()), [1, -1]),
        (pa.array([[1]]), pa.array([[1.5]], pa.large_list(pa.float64())), [[1], [1.5]]),
        (pa.array([{"a": 1}]), pa.array([{"b": "x"}]), [{"a": 1, "b": None}, {"a": None, "b": "x"}]),
    ],
)
def test_files_that_differ_harmlessly_are_unified(
    first: pa.Array, second: pa.Array, rows: list[Any], tmp_path: Path
) -> None:
    put(tmp_path / "1.parquet", n=[1], v=first)
    put(tmp_path / "2.parquet", v=second, n=[2])  # the columns in another order, too
    assert sent_rows(tmp_path) == [{"n": 1, "v": rows[0]}, {"n": 2, "v": rows[1]}]
    assert [list(row) for row in sent_rows(tmp_path)] == [["n", "v"]] * 2


def test_the_type_that_was_chosen_is_said_with_a_file_for_each(tmp_path: Path) -> None:
    put(tmp_path / "1.parquet", v=[1])
    put(tmp_path / "2.parquet", v=[1.5])
    first, second = tmp_path / "1.parquet", tmp_path / "2.parquet"
    assert (
        notes_of(tmp_path)
        == f"{tmp_path}: 'v' has the types int64 ({first}) and double ({second}): it is sent as double"
    )


def test_encodings_alone_are_not_worth_a_line(tmp_path: Path) -> None:
    put(tmp_path / "1.parquet", v=["x"])
    put(tmp_path / "2.parquet", v=pa.array(["x"], pa.large_string()).dictionary_encode())
    assert notes_of(tmp_path) == ""


def test_a_column_that_some_files_lack_is_null_there_and_that_is_said(tmp_path: Path) -> None:
    put(tmp_path / "1.parquet", a=[1])
    put(tmp_path / "2.parquet", a=[2], b=["x"])
    assert sent_rows(tmp_path) == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]
    assert "'b' is missing in 1 of 2 files and is null there" in notes_of(tmp_path)


@pytest.mark.parametrize(
    ("first", "second"),
    [(["x"], [1]), ([True], [1]), (["x"], [b"\xff"]), ([dt.date(2024, 1, 1)], ["2024-01-01"])],
)
def test_types_without_a_common_one_are_refused_with_both_files(first: Any, second: Any, tmp_path: Path) -> None:
    one, other = put(tmp_path / "1.parquet", v=first), put(tmp_path / "2.parquet", v=second)
    kinds = [pa.array(values).type for values in (second, first)]
    assert refusal(tmp_path).found == (
        f"{other} has other columns than {one}: it has 'v' as {kinds[0]} instead of {kinds[1]}."
    )


def test_a_value_that_the_common_type_cannot_hold_is_refused_and_not_rounded(tmp_path: Path) -> None:
    put(tmp_path / "1.parquet", v=[2**53 + 1])
    put(tmp_path / "2.parquet", v=[1.5])
    with pytest.raises(DataError, match=r"Column 'v' of .*1\.parquet is int64 there and double in the whole dataset"):
        sent_rows(tmp_path)


def delta(folder: Path) -> Path:
    put(folder / "part-0.parquet", n=[1])
    put(folder / "part-1.parquet", n=[2])
    log = folder / "_delta_log" / "00000000000000000001.json"
    log.parent.mkdir()
    log.write_text(json.dumps({"remove": {"path": "part-1.parquet"}}))
    return folder


def test_a_delta_table_is_refused_with_the_command_that_flattens_it(tmp_path: Path) -> None:
    table = delta(tmp_path / "table")
    for source in (table, f"{table}/*.parquet", f"file://{table}", f"file://{table}/*.parquet", tmp_path):
        error = refusal(source)
        assert "is a Delta table, whose files may hold rows that were deleted or replaced" in error.found
        assert "COPY (FROM delta_scan('" in error.action


def test_a_part_of_a_delta_table_is_refused_too_and_a_single_file_is_sent_with_a_line(tmp_path: Path) -> None:
    table = delta(tmp_path / "table")
    put(table / "k=1" / "part-2.parquet", n=[3])
    assert f"{table} is a Delta table" in refusal(table / "k=1").found
    assert sent_rows(table / "part-0.parquet") == [{"n": 1}]
    assert "is a Delta table" in notes_of(table / "part-0.parquet")


@pytest.mark.parametrize(
    ("marker", "name"),
    [
        ("metadata/00001-abc.metadata.json", "an Iceberg table"),
        ("metadata/version-hint.text", "an Iceberg table"),
        (".hoodie/hoodie.properties", "a Hudi table"),
        ("_spark_metadata/0", "a folder that Spark streams into"),
    ],
)
def test_other_tables_are_refused_by_name(marker: str, name: str, tmp_path: Path) -> None:
    put(tmp_path / "table" / "data" / "1.parquet", n=[1])
    (tmp_path / "table" / marker).parent.mkdir()
    (tmp_path / "table" / marker).write_text("x")
    for source in (tmp_path / "table", tmp_path / "table" / "data", f"file://{tmp_path}/table/data"):
        assert f"{tmp_path}/table is {name}" in refusal(source).found


def test_a_folder_called_metadata_alone_is_no_table(tmp_path: Path) -> None:
    put(tmp_path / "metadata" / "1.parquet", n=[1])
    assert sent_rows(tmp_path) == [{"n": 1}]


@pytest.mark.parametrize("name", ["X.PARQUET", "x.Parq", "x.pq", "part-0.snappy.parquet", "000000_0", "part-00000"])
def test_a_file_is_found_whatever_the_case_of_its_suffix_and_without_one(name: str, tmp_path: Path) -> None:
    put(tmp_path / name, n=[1])
    assert sent_rows(tmp_path) == [{"n": 1}]
    assert sent_rows(f"file://{tmp_path}") == [{"n": 1}]


def test_hidden_files_are_left_out_and_those_with_rows_are_named(tmp_path: Path) -> None:
    put(tmp_path / "1.parquet", n=[1])
    put(tmp_path / "_temporary" / "2.parquet", n=[2])
    for name in ("_SUCCESS", "_metadata", "_common_metadata.parquet", ".1.parquet.crc", "notes.txt"):
        (tmp_path / name).write_text("x")
    assert sent_rows(tmp_path) == [{"n": 1}]
    assert notes_of(tmp_path) == (
        f"{tmp_path}: files whose name or folder begins with _ or . are left out: _temporary/2.parquet"
    )


def test_a_partition_whose_key_begins_with_an_underscore_is_no_hidden_folder(tmp_path: Path) -> None:
    put(tmp_path / "_k=1" / "1.parquet", n=[1])
    assert sent_rows(tmp_path) == [{"n": 1, "_k": 1}]


def test_of_a_mixed_folder_the_parquet_files_are_sent_and_the_others_named(tmp_path: Path) -> None:
    put(tmp_path / "1.parquet", n=[1])
    (tmp_path / "dictionary.csv").write_text("column,meaning\nn,number\n")
    assert sent_rows(tmp_path) == [{"n": 1}]
    assert "only its parquet files are sent, not dictionary.csv" in notes_of(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"n":1}\n')
    (tmp_path / "1.parquet").unlink()
    assert refusal(tmp_path).found == f"{tmp_path} holds files of 2 formats: csv, jsonl."


def test_linked_folders_are_searched_and_a_link_to_nowhere_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "k=1" / "1.parquet", n=[1])
    (tmp_path / "in" / "loop").mkdir(parents=True)
    (tmp_path / "in" / "sub").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "loop" / "up").symlink_to(tmp_path / "in")
    assert sent_rows(tmp_path / "in") == [{"n": 1, "k": 1}]
    (tmp_path / "in" / "2.parquet").symlink_to(tmp_path / "gone.parquet")
    assert refusal(tmp_path / "in").found == f"{tmp_path}/in/2.parquet does not exist."


def test_a_pipe_is_refused_and_does_not_hold_up_the_run(tmp_path: Path) -> None:
    put(tmp_path / "1.parquet", n=[1])
    os.mkfifo(tmp_path / "2.parquet")
    for source in (tmp_path, tmp_path / "2.parquet"):
        assert refusal(source).found == f"{tmp_path}/2.parquet is a folder, a pipe or a device."


def test_of_a_folder_of_splits_the_test_rows_are_sent_and_that_is_said(tmp_path: Path) -> None:
    for name in ("X_train", "X_test"):
        put(tmp_path / f"{name}.parquet", n=[len(name)])
    put(tmp_path / "y_test.parquet", y=[0])
    assert sent_rows(tmp_path) == [{"n": len("X_test")}]
    assert notes_of(tmp_path) == (f"{tmp_path}: of its splits only X_test is sent, not X_train.parquet, y_test.parquet")
    assert len(sent_rows(tmp_path / "X_train.parquet")) == 1


def test_a_file_without_a_column_in_common_with_the_others_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "1.parquet", a=[1], b=[1])
    put(tmp_path / "2.parquet", b=[1])
    put(tmp_path / "3.parquet", B=[1])
    assert refusal(tmp_path).found == (
        f"{tmp_path}/3.parquet has no column in common with any other file, such as {tmp_path}/1.parquet."
    )


def test_nested_folders_are_searched_and_sorted_by_path(tmp_path: Path) -> None:
    for number, name in enumerate(("b/2.parquet", "a/c/1.parquet", "a/9.parquet")):
        put(tmp_path / name, n=[number])
    assert [row["n"] for row in sent_rows(tmp_path)] == [2, 1, 0]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/x/mine.parquet", "mine"),
        ("mine.v2.PARQUET", "mine.v2"),
        ("/x/people/", "people"),
        ("people/country=*/*.parquet", "people"),
        ("s3://key:secret@bucket/in/rows.csv?region=x", "rows"),
        ("s3://bucket", "bucket"),
        ("a.parquet,b.parquet", "a"),
        ("/x/splits/diabetic/X_test.parquet", "diabetic"),
        ("*", ""),
    ],
)
def test_a_source_has_a_short_name(source: str, name: str) -> None:
    assert source_name(source) == name


@pytest.mark.parametrize("name", ["a b.parquet", "a%20b.parquet", "a#b?c.parquet", "ä+é.parquet", "a%.parquet"])
def test_a_name_with_any_character_is_read_by_path_and_by_url(name: str, tmp_path: Path) -> None:
    put(tmp_path / "k=x y%20z" / name, n=[1])
    for source in (tmp_path, f"file://{tmp_path}", f"{tmp_path}/k=*/*", f"file://{tmp_path}/k=*/*"):
        assert sent_rows(source) == [{"n": 1, "k": "x y z"}]


def test_what_the_file_system_refuses_is_refused_in_words(tmp_path: Path) -> None:
    for name in ("x" * 300, f"{'x' * 300}/*.parquet", f"{'y/' * 3000}z.parquet"):
        with pytest.raises(DataError, match=r"cannot be read.*File name too long"):
            read_manifest(str(tmp_path / name))


def test_a_folder_that_may_not_be_read_is_refused_and_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    for folder in (tmp_path, tmp_path / "closed"):
        pq.write_table(pa.table({"a": [1]}), folder / "1.parquet")
    open_folder = os.scandir

    def refuse(path: str) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return open_folder(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"cannot be read.*Permission denied.*closed"):
        read_manifest(str(tmp_path))


def test_a_short_secret_is_taken_out_of_a_message_as_a_word_only() -> None:
    error = unreadable("abfs://c@a.dfs.core.windows.net/x", ValueError("container c of account: cannot connect"))
    assert "(container … of account: cannot connect)" in error.found
