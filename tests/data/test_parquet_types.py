"""Every type that parquet has, as four libraries write it: what is sent is what the file means."""

from __future__ import annotations

import base64
import datetime as dt
import json
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from sent import notes_of, sent_rows

from inference_swarm.data.dataset import read_manifest
from inference_swarm.errors import DataError

DAY = dt.datetime(2024, 2, 29, 12, 34, 56)


def write(path: Path, values: Any, kind: pa.DataType | None = None, **options: Any) -> Path:
    pq.write_table(pa.table({"x": pa.array(values, kind)}), path, **options)
    return path


def column(source: Path | str) -> list[Any]:
    return [row["x"] for row in sent_rows(source)]


# --- INT96


@pytest.mark.parametrize("has_arrow_schema", [True, False])
def test_an_int96_timestamp_of_any_year_is_sent_as_it_is(has_arrow_schema: bool, tmp_path: Path) -> None:
    years = [1, 1677, 1969, 2024, 2263, 9999]
    values = [dt.datetime(year, 12, 31, 23, 59, 59, 123456) for year in years] + [None]
    kind = pa.timestamp("us")
    path = write(
        tmp_path / "1.parquet", values, kind,
        use_deprecated_int96_timestamps=True, store_schema=has_arrow_schema,
    )  # fmt: skip
    assert column(path) == [f"{year:04d}-12-31T23:59:59.123456" for year in years] + [None]


def test_an_int96_timestamp_keeps_its_nanoseconds(tmp_path: Path) -> None:
    values = pa.array([1_700_000_000_123_456_789, -1, None], pa.timestamp("ns"))
    path = write(tmp_path / "1.parquet", values, use_deprecated_int96_timestamps=True)
    assert column(path) == ["2023-11-14T22:13:20.123456789", "1969-12-31T23:59:59.999999999", None]


def test_int96_columns_of_one_file_may_need_different_units(tmp_path: Path) -> None:
    table = pa.table(
        {
            "far": pa.array([dt.datetime(9999, 1, 1)], pa.timestamp("us")),
            "fine": pa.array([1], pa.timestamp("ns")),
            "n": [1],
        }
    )
    pq.write_table(table, tmp_path / "1.parquet", use_deprecated_int96_timestamps=True, store_schema=False)
    wanted = {"far": "9999-01-01T00:00:00.000000", "fine": "1970-01-01T00:00:00.000000001", "n": 1}
    assert sent_rows(tmp_path) == [wanted]
    assert list(sent_rows(tmp_path)[0]) == ["far", "fine", "n"]


def test_an_int96_column_that_no_unit_holds_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", [1], pa.timestamp("ns"), use_deprecated_int96_timestamps=True)
    write(tmp_path / "2.parquet", [dt.datetime(9999, 1, 1)], pa.timestamp("us"), use_deprecated_int96_timestamps=True)
    with pytest.raises(DataError, match=r"Column 'x' has INT96 timestamps with digits below a microsecond, and others"):
        read_manifest(str(tmp_path))


def test_a_nested_int96_timestamp_is_sent_as_it_is(tmp_path: Path) -> None:
    values = [[{"t": dt.datetime(9999, 1, 1)}], None, []]
    kind = pa.list_(pa.struct([("t", pa.timestamp("us"))]))
    path = write(tmp_path / "1.parquet", values, kind, use_deprecated_int96_timestamps=True, store_schema=False)
    assert column(path) == [[{"t": "9999-01-01T00:00:00.000000"}], None, []]


# --- bytes that are text


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(4)])
@pytest.mark.parametrize("has_arrow_schema", [True, False])
def test_bytes_that_are_text_throughout_are_sent_as_text_and_that_is_said(
    kind: pa.DataType, has_arrow_schema: bool, tmp_path: Path
) -> None:
    path = write(tmp_path / "1.parquet", [b"male", None, "é z".encode()], kind, store_schema=has_arrow_schema)
    assert column(path) == ["male", None, "é z"]
    assert notes_of(path) == f"{path}: 'x' holds bytes that are all UTF-8 and is sent as text"


def test_one_value_that_is_no_text_makes_the_whole_column_base64(tmp_path: Path) -> None:
    values = [b"text"] * 20 + [b"\xff\xfe"]
    path = write(tmp_path / "1.parquet", values, row_group_size=5)
    assert column(path) == [base64.b64encode(value).decode() for value in values]
    assert notes_of(path) == f"{path}: 'x' holds bytes that are not text and is sent in base64"


def test_whether_bytes_are_text_is_decided_over_all_files(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", [b"text"])
    write(tmp_path / "2.parquet", [b"\xff"])
    assert column(tmp_path) == ["dGV4dA==", "/w=="]


def test_bytes_in_one_file_and_text_in_another_are_text(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", [b"female"])
    write(tmp_path / "2.parquet", ["male"])
    assert column(tmp_path) == ["female", "male"]


def test_nested_bytes_are_text_where_all_of_them_are(tmp_path: Path) -> None:
    values = [{"name": b"a", "hash": b"\xff", "tags": [b"x", None]}, {"name": b"b", "hash": b"h", "tags": None}]
    path = write(tmp_path / "1.parquet", values, store_schema=False)
    assert column(path) == [
        {"name": "a", "hash": "/w==", "tags": ["x", None]},
        {"name": "b", "hash": "aA==", "tags": None},
    ]


def test_categories_of_bytes_are_text(tmp_path: Path) -> None:
    path = write(tmp_path / "1.parquet", pa.array([b"a", b"b", None, b"a"]).dictionary_encode())
    assert column(path) == ["a", "b", None, "a"]


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.text() | st.none(), min_size=1, max_size=20))
def test_any_text_that_is_stored_as_bytes_comes_back(
    values: list[str | None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    encoded = [None if value is None else value.encode("utf-8", "ignore") for value in values]
    path = write(tmp_path_factory.mktemp("text") / "1.parquet", encoded, pa.binary(), store_schema=False)
    assert column(path) == [None if value is None else value.decode() for value in encoded]


# --- an index


def frame_with_gaps() -> pd.DataFrame:
    return pd.DataFrame({"age": [31, 45, 62]}, index=[0, 2, 7])


def test_the_index_of_a_frame_is_not_sent_when_its_metadata_is_gone_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "1.parquet"
    pq.write_table(pa.Table.from_pandas(frame_with_gaps()).replace_schema_metadata(None), path)
    assert sent_rows(path) == [{"age": 31}, {"age": 45}, {"age": 62}]
    assert notes_of(path) == (
        f"{path}: '__index_level_0__' is the index of a pandas frame and is not sent; --columns would send it"
    )
    assert sent_rows(path, columns=("__index_level_0__",)) == [{"__index_level_0__": n} for n in (0, 2, 7)]


def test_the_index_that_went_through_a_csv_file_is_not_sent_and_that_is_said(tmp_path: Path) -> None:
    frame_with_gaps().to_csv(tmp_path / "1.csv")
    pd.read_csv(tmp_path / "1.csv").to_parquet(tmp_path / "1.parquet")
    (tmp_path / "1.csv").unlink()
    assert sent_rows(tmp_path) == [{"age": 31}, {"age": 45}, {"age": 62}]
    assert "'Unnamed: 0' is the index of a pandas frame and is not sent" in notes_of(tmp_path)
    assert sent_rows(tmp_path, columns=("Unnamed: 0", "age"))[1] == {"Unnamed: 0": 2, "age": 45}


def test_a_named_index_is_not_sent_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "1.parquet"
    pd.DataFrame({"patient": ["a", "b"], "age": [1, 2]}).set_index("patient").to_parquet(path)
    assert sent_rows(path) == [{"age": 1}, {"age": 2}]
    assert "'patient' is the index of a pandas frame and is not sent" in notes_of(path)


@pytest.mark.parametrize(
    "metadata", [b"", b"null", b"[]", b'{"index_columns":null}', b'{"index_columns":[7]}', b"\xff"]
)
def test_pandas_metadata_that_cannot_be_read_is_refused_unless_the_columns_are_named(
    metadata: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "1.parquet"
    pq.write_table(pa.table({"age": [1]}).replace_schema_metadata({b"pandas": metadata}), path)
    with pytest.raises(DataError, match="has pandas metadata that cannot be read") as caught:
        read_manifest(str(path))
    assert "--columns" in caught.value.action
    assert sent_rows(path, columns=("age",)) == [{"age": 1}]


# --- the types as four libraries write them

TYPES: dict[str, tuple[Any, Any]] = {
    "int8": (pa.array([-128, 127, None], pa.int8()), [-128, 127, None]),
    "uint8": (pa.array([0, 255, None], pa.uint8()), [0, 255, None]),
    "uint64": (pa.array([2**64 - 1], pa.uint64()), [2**64 - 1]),
    "int64": (pa.array([-(2**63), 2**63 - 1]), [-(2**63), 2**63 - 1]),
    "float16": (pa.array([np.float16(1.5), None], pa.float16()), [Decimal("1.5"), None]),
    "float32": (pa.array([0.1, float("nan"), None], pa.float32()), [Decimal("0.1"), None, None]),
    "float64": (pa.array([0.1, float("inf"), None]), [Decimal("0.1"), None, None]),
    "bool": (pa.array([True, False, None]), [True, False, None]),
    "text": (pa.array(['a"\\\n€', "", None]), ['a"\\\n€', "", None]),
    "date": (pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31), None]), ["0001-01-01", "9999-12-31", None]),
    "time ms": (pa.array([dt.time(1, 2, 3, 4000)], pa.time32("ms")), ["01:02:03.004"]),
    "time us": (pa.array([dt.time(1, 2, 3, 4)]), ["01:02:03.000004"]),
    "time ns": (pa.array([1], pa.time64("ns")), ["00:00:00.000000001"]),
    "timestamp ms": (pa.array([DAY], pa.timestamp("ms")), ["2024-02-29T12:34:56.000"]),
    "timestamp us": (pa.array([DAY], pa.timestamp("us")), ["2024-02-29T12:34:56.000000"]),
    "timestamp ns": (pa.array([1], pa.timestamp("ns")), ["1970-01-01T00:00:00.000000001"]),
    "timestamp UTC": (pa.array([DAY], pa.timestamp("us", "UTC")), ["2024-02-29T12:34:56.000000Z"]),
    "decimal of 4 bytes": (pa.array([Decimal("1.50")], pa.decimal128(9, 2)), [Decimal("1.50")]),
    "decimal of 8 bytes": (pa.array([Decimal("-1.50")], pa.decimal128(18, 2)), [Decimal("-1.50")]),
    "decimal of 16 bytes": (pa.array([Decimal("1" * 36 + ".50")], pa.decimal128(38, 2)), [Decimal("1" * 36 + ".50")]),
    "decimal of 32 bytes": (pa.array([Decimal("1" * 70)], pa.decimal256(76, 0)), [int("1" * 70)]),
    "category": (pa.array(["a", "b", None, "a"]).dictionary_encode(), ["a", "b", None, "a"]),
    "uuid": (
        pa.array([uuid.UUID(int=2**127 + 5).bytes, None], pa.uuid()),
        [str(uuid.UUID(int=2**127 + 5)), None],
    ),
    "json": (pa.array(['{"a":[1]}', None], pa.json_()), ['{"a":[1]}', None]),
    "list": (pa.array([[1, None], [], None]), [[1, None], [], None]),
    "fixed list": (pa.array([[1, 2], None], pa.list_(pa.int64(), 2)), [[1, 2], None]),
    "struct": (pa.array([{"a": 1, "b": ["x"]}, None]), [{"a": 1, "b": ["x"]}, None]),
    "map": (pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())), [{"k": 1}, {}, None]),
    "list of uuid": (
        pa.ListArray.from_arrays([0, 1], pa.array([uuid.UUID(int=1).bytes], pa.uuid())), [[str(uuid.UUID(int=1))]],
    ),
    "null": (pa.nulls(2), [None, None]),
}  # fmt: skip
CODECS = ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("has_arrow_schema", [True, False])
def test_pyarrow_writes_and_the_same_value_is_sent(name: str, has_arrow_schema: bool, tmp_path: Path) -> None:
    values, wanted = TYPES[name]
    options = {"store_schema": has_arrow_schema, "write_statistics": has_arrow_schema}
    codec = CODECS[list(TYPES).index(name) % len(CODECS)]
    path = write(tmp_path / "1.parquet", values, compression=codec, row_group_size=2, **options)
    assert column(path) == wanted


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("version", ["1.0", "2.6"])
@pytest.mark.parametrize("page", ["1.0", "2.0"])
def test_every_codec_and_page_format_is_read(codec: str, version: str, page: str, tmp_path: Path) -> None:
    values = pa.array([f"text {number % 50}" for number in range(500)])
    path = write(
        tmp_path / "1.parquet", values, compression=codec, version=version, data_page_version=page, row_group_size=100
    )
    assert column(path) == values.to_pylist()


def test_a_page_that_is_not_what_was_written_is_refused(tmp_path: Path) -> None:
    path = write(
        tmp_path / "1.parquet", range(1000), compression="none", use_dictionary=False, write_page_checksum=True
    )
    content = bytearray(path.read_bytes())
    content[content.index((777).to_bytes(8, "little"))] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"1\.parquet cannot be read .*checksum"):
        sent_rows(path)


def test_row_groups_without_rows_are_no_blocks(tmp_path: Path) -> None:
    schema = pa.schema([("x", pa.int64())])
    with pq.ParquetWriter(tmp_path / "1.parquet", schema) as writer:
        for values in ([], [1, 2], [], [3], []):
            writer.write_table(pa.table({"x": pa.array(values, pa.int64())}))
    assert column(tmp_path) == [1, 2, 3]


def test_pandas_types_are_sent_as_what_they_hold(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "nullable": pd.array([1, None], "Int64"),
            "flag": pd.array([True, None], "boolean"),
            "text": pd.array(["x", None], "string"),
            "category": pd.Categorical(["low", "high"], ["low", "high"], ordered=True),
            "when": pd.to_datetime(["2024-01-01T10:00:00", None]),
            "period": pd.PeriodIndex(["2024-01", "2024-02"], freq="M").astype(str),
            "delta": pd.to_timedelta(["1 day", None]),
            "object": ["a", 1.5],
        }
    )
    frame["object"] = frame["object"].astype(str)
    frame.to_parquet(tmp_path / "1.parquet")
    first, second = sent_rows(tmp_path)
    assert {**first, "when": str(first["when"])[:19], "delta": str(first["delta"]).split(".")[0]} == {
        "nullable": 1, "flag": True, "text": "x", "category": "low", "when": "2024-01-01T10:00:00",
        "period": "2024-01", "delta": "PT86400", "object": "a",
    }  # fmt: skip
    assert second == {
        "nullable": None, "flag": None, "text": None, "category": "high", "when": None, "period": "2024-02",
        "delta": None, "object": "1.5",
    }  # fmt: skip


def test_polars_types_are_sent_as_what_they_hold(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "enum": pl.Series(["a", None], dtype=pl.Enum(["a", "b"])),
            "category": pl.Series(["x", "y"], dtype=pl.Categorical),
            "text": ["x", None],
            "bytes": [b"male", b"female"],
            "raw": [b"\xff", None],
            "date": [dt.date(2024, 2, 29), None],
            "time": [dt.time(1, 2, 3), None],
            "zoned": pl.Series([DAY, None]).dt.replace_time_zone("Europe/Berlin"),
            "span": [dt.timedelta(seconds=5), None],
            "decimal": pl.Series([Decimal("1.50"), None], dtype=pl.Decimal(10, 2)),
            "u8": pl.Series([255, None], dtype=pl.UInt8),
            "struct": [{"a": 1}, None],
            "list": [[1, 2], []],
            "array": pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int64, 2)),
            "null": pl.Series([None, None], dtype=pl.Null),
        }
    )
    wanted = [
        {
            "enum": "a", "category": "x", "text": "x", "bytes": "male", "raw": "/w==", "date": "2024-02-29",
            "time": "01:02:03.000000000", "zoned": "2024-02-29T12:34:56.000000+01:00", "span": "PT5.000000S",
            "decimal": Decimal("1.50"), "u8": 255, "struct": {"a": 1}, "list": [1, 2], "array": [1, 2], "null": None,
        },
        {
            "enum": None, "category": "y", "text": None, "bytes": "female", "raw": None, "date": None, "time": None,
            "zoned": None, "span": None, "decimal": None, "u8": None, "struct": None, "list": [], "array": [3, 4],
            "null": None,
        },
    ]  # fmt: skip
    frame.write_parquet(tmp_path / "1.parquet")
    assert sent_rows(tmp_path / "1.parquet") == wanted
    frame.write_ipc(tmp_path / "1.arrow")
    assert sent_rows(tmp_path / "1.arrow") == wanted


DUCKDB: dict[str, tuple[str, Any]] = {
    "enum": ("'sad'::mood", "sad"),
    "text": ("'x'", "x"),
    "text as blob": ("'male'::blob", "male"),
    "blob": ("'\\xFF'::blob", "/w=="),
    "uuid": ("'5c2b1f0e-0000-4000-8000-000000000001'::uuid", "5c2b1f0e-0000-4000-8000-000000000001"),
    "tinyint": ("(-128)::tinyint", -128),
    "utinyint": ("255::utinyint", 255),
    "ubigint": ("18446744073709551615::ubigint", 2**64 - 1),
    "decimal 4": ("1.5::decimal(4,1)", Decimal("1.5")),
    "decimal 18": ("1.5::decimal(18,1)", Decimal("1.5")),
    "decimal 38": ("1.5::decimal(38,1)", Decimal("1.5")),
    "float": ("0.1::float", Decimal("0.1")),
    "date": ("date '2024-02-29'", "2024-02-29"),
    "time": ("time '10:00:00'", "10:00:00.000000"),
    "timestamp": ("timestamp '9999-12-31 10:00:00'", "9999-12-31T10:00:00.000000"),
    "timestamp_ns": ("'2024-02-29 10:00:00'::timestamp_ns", "2024-02-29T10:00:00.000000000"),
    "timestamptz": ("timestamptz '2024-02-29 10:00:00+00'", "2024-02-29T10:00:00.000000Z"),
    "list": ("[1, 2]", [1, 2]),
    "array": ("[1, 2]::int[2]", [1, 2]),
    "struct": ("{'a': 1}", {"a": 1}),
    "map": ("map{'k': 1}", {"k": 1}),
    "json": ("""'{"a":1}'::json""", '{"a":1}'),
    "bit": ("'101'::bit", "101"),
    "null": ("null::varchar", None),
}


@pytest.mark.parametrize("name", DUCKDB)
def test_duckdb_writes_and_the_same_value_is_sent(name: str, tmp_path: Path) -> None:
    expression, wanted = DUCKDB[name]
    connection = duckdb.connect()
    connection.execute("create type mood as enum ('sad', 'ok')")
    connection.execute(f"copy (select {expression} x) to '{tmp_path}/1.parquet'")
    assert column(tmp_path) == [wanted]


def test_an_interval_is_refused_by_name_and_may_be_left_out(tmp_path: Path) -> None:
    duckdb.connect().execute(f"copy (select interval 3 days x, 1 n) to '{tmp_path}/1.parquet'")
    with pytest.raises(DataError, match=r"Column 'x' of .*1\.parquet has the type INTERVAL") as caught:
        read_manifest(str(tmp_path))
    assert "--drop-columns" in caught.value.action
    assert sent_rows(tmp_path, drop=("x",)) == [{"n": 1}]


def test_a_type_that_arrow_cannot_read_is_no_damaged_file(tmp_path: Path) -> None:
    try:
        pl.DataFrame({"x": pl.Series([1], dtype=pl.Int128)}).write_parquet(tmp_path / "1.parquet")
        pq.read_schema(tmp_path / "1.parquet")
    except pa.ArrowNotImplementedError:
        pass
    else:
        pytest.skip("this Arrow reads 128-bit integers")
    with pytest.raises(DataError, match=r"1\.parquet holds a column of a type that Arrow cannot read"):
        read_manifest(str(tmp_path))


# --- any table, by hypothesis: what is sent is what pyarrow reads

SCALARS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float64(): st.floats(allow_nan=False, allow_infinity=False),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
    pa.date32(): st.dates(),
    pa.decimal128(12, 3): st.decimals(-999_999_999, 999_999_999, places=3),
    pa.list_(pa.int64()): st.lists(st.integers(-5, 5), max_size=3),
}


def decoded(value: Any) -> Any:
    if isinstance(value, dt.date):
        return value.isoformat()
    return Decimal(repr(value)) if isinstance(value, float) else value


@st.composite
def tables(draw: Callable[..., Any]) -> pa.Table:
    rows = draw(st.integers(1, 12))
    kinds = draw(st.lists(st.sampled_from(list(SCALARS)), min_size=1, max_size=4))
    columns = {}
    for number, kind in enumerate(kinds):
        values = draw(st.lists(st.none() | SCALARS[kind], min_size=rows, max_size=rows))
        array = pa.array(values, kind)
        columns[f"c{number}"] = array.dictionary_encode() if kind == pa.string() and draw(st.booleans()) else array
    return pa.table(columns)


@settings(deadline=None, max_examples=60)
@given(table=tables(), row_group_size=st.integers(1, 5), block_rows=st.integers(1, 5), stored=st.booleans())
def test_any_table_is_sent_as_pyarrow_reads_it(
    table: pa.Table, row_group_size: int, block_rows: int, stored: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / "1.parquet"
    pq.write_table(table, path, row_group_size=row_group_size, store_schema=stored)
    rows = [json.dumps(row, default=str) for row in sent_rows(path, block_rows)]
    wanted = [{name: decoded(value) for name, value in row.items()} for row in table.to_pylist()]
    assert rows == [json.dumps(row, default=str) for row in wanted]
