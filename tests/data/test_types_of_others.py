"""Types that few libraries write, of parquet and of Arrow alone: sent as what they mean, or refused."""

from __future__ import annotations

import base64
import datetime as dt
import sys
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sent import notes_of, sent_rows

from inference_swarm.data.columns import ColumnChoice
from inference_swarm.data.dataset import read_manifest
from inference_swarm.errors import DataError

sys.path.insert(0, str(Path(__file__).resolve().parent))

from parquet_bytes import (
    BSON,
    BYTE_ARRAY,
    DECIMAL,
    ENUM,
    FIXED,
    INT32,
    INT64,
    INT96,
    JSON,
    UTF8,
    byte_array,
    decimal_bytes,
    one_column,
)

DAY = dt.datetime(2024, 2, 29, 12, 34, 56)


def column(source: Path) -> list[Any]:
    return [row["x"] for row in sent_rows(source)]


# --- types that none of the libraries writes

D = Decimal
ANNOTATED: dict[str, tuple[bytes, Any]] = {
    "decimal in INT32": (
        one_column(INT32, [(-150).to_bytes(4, "little", signed=True)], DECIMAL, scale=2, precision=9), D("-1.50")
    ),
    "decimal in INT64": (
        one_column(INT64, [(10**17).to_bytes(8, "little")], DECIMAL, scale=0, precision=18), 10**17
    ),
    "decimal in FIXED(3)": (
        one_column(FIXED, [(-150).to_bytes(3, "big", signed=True)], DECIMAL, scale=2, precision=6, width=3), D("-1.50")
    ),
    "decimal in BYTE_ARRAY": (
        one_column(BYTE_ARRAY, [byte_array(decimal_bytes(D("-1.50")))], DECIMAL, scale=2, precision=20), D("-1.50")
    ),
    "long decimal in BYTE_ARRAY": (
        one_column(BYTE_ARRAY, [byte_array(decimal_bytes(D("9" * 36 + ".50")))], DECIMAL, scale=2, precision=38),
        D("9" * 36 + ".50"),
    ),
    "ENUM": (one_column(BYTE_ARRAY, [byte_array(b"low")], ENUM), "low"),
    "ENUM, logical type alone": (one_column(BYTE_ARRAY, [byte_array(b"low")], logical=4), "low"),
    "UTF8": (one_column(BYTE_ARRAY, [byte_array("é".encode())], UTF8), "é"),
    "no annotation": (one_column(BYTE_ARRAY, [byte_array(b"low")]), "low"),
    "JSON": (one_column(BYTE_ARRAY, [byte_array(b'{"a":1}')], JSON), '{"a":1}'),
    "BSON that is UTF-8": (one_column(BYTE_ARRAY, [byte_array(b"\x05\0\0\0\0")], BSON), "BQAAAAA="),
    "UUID": (
        one_column(FIXED, [uuid.UUID(int=5).bytes], width=16, logical=14), "00000000-0000-0000-0000-000000000005"
    ),
    "FLOAT16": (one_column(FIXED, [np.float16(-1.5).tobytes()], width=2, logical=15), D("-1.5")),
    "16 bytes": (one_column(FIXED, [b"0123456789abcdef"], width=16), "0123456789abcdef"),
    "INT96": (
        one_column(INT96, [(1).to_bytes(8, "little") + (2440589).to_bytes(4, "little")]),
        "1970-01-02T00:00:00.000000001",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ANNOTATED)
def test_a_physical_type_is_sent_as_its_annotation_says(name: str, tmp_path: Path) -> None:
    content, wanted = ANNOTATED[name]
    (tmp_path / "1.parquet").write_bytes(content)
    assert column(tmp_path) == [wanted]


def test_bytes_that_have_a_format_of_their_own_are_never_text(tmp_path: Path) -> None:
    duckdb.connect().execute(f"copy (select 'POINT(0 0)'::geometry x) to '{tmp_path}/1.parquet'")  # UTF-8 throughout
    assert base64.b64decode(column(tmp_path)[0])[:5] == b"\x01\x01\0\0\0"
    assert notes_of(tmp_path) == f"{tmp_path}: 'x' holds WKB and is sent in base64"


def test_a_variant_is_refused_by_name(tmp_path: Path) -> None:
    duckdb.connect().execute(f"copy (select 5::variant x, {{'a':1}}::variant y, 1 n) to '{tmp_path}/1.parquet'")
    for name in "xy":
        with pytest.raises(DataError, match=rf"Column '{name}' of .* has the type VARIANT"):
            read_manifest(str(tmp_path), choice=ColumnChoice(columns=(name,)))
    assert sent_rows(tmp_path, drop=("x", "y")) == [{"n": 1}]


def test_a_variant_inside_of_another_type_is_refused_and_a_struct_with_its_names_is_not(tmp_path: Path) -> None:
    for number, kind in enumerate((pa.binary(), pa.string())):
        values = pa.array(
            [[{"metadata": "m", "value": "v"}]], pa.list_(pa.struct([("metadata", kind), ("value", kind)]))
        )
        pq.write_table(pa.table({"x": values}), tmp_path / f"{number}.parquet")
    with pytest.raises(DataError, match=r"Column 'x' of .* has the type VARIANT"):
        read_manifest(str(tmp_path / "0.parquet"))
    assert column(tmp_path / "1.parquet") == [[{"metadata": "m", "value": "v"}]]


def test_periods_of_pandas_are_refused_by_name_and_other_extensions_are_said(tmp_path: Path) -> None:
    stored = {
        "pandas.period": (pa.array([648]), '{"freq": "M"}'),
        "pandas.interval": (pa.array([{"left": 0, "right": 1}]), '{"subtype": "int64", "closed": "right"}'),
    }
    for name, (storage, about) in stored.items():
        field = pa.field("x", storage.type, metadata={"ARROW:extension:name": name, "ARROW:extension:metadata": about})
        pq.write_table(pa.table([storage], schema=pa.schema([field])), tmp_path / f"{name}.parquet")
    with pytest.raises(DataError, match=r"Column 'x' of .* has the type pandas\.period"):
        read_manifest(str(tmp_path / "pandas.period.parquet"))
    path = tmp_path / "pandas.interval.parquet"
    assert column(path) == [{"left": 0, "right": 1}]
    assert notes_of(path) == f"{path}: 'x' has the extension type pandas.interval; what it stores is sent"


# --- types of Arrow that parquet does not have

ARROW: dict[str, tuple[pa.Array, Any]] = {
    "runs": (pa.array([1, 1, None], pa.run_end_encoded(pa.int32(), pa.int64())), [1, 1, None]),
    "runs of text": (pa.array(["a", "a", None], pa.run_end_encoded(pa.int16(), pa.string())), ["a", "a", None]),
    "runs in a list": (
        pa.ListArray.from_arrays([0, 2], pa.array(["a", "a"], pa.run_end_encoded(pa.int32(), pa.string()))),
        [["a", "a"]],
    ),
    "list view": (pa.array([[1], [2, 3], None, [], [4]], pa.list_view(pa.int64())), [[1], [2, 3], None, [], [4]]),
    "large list view": (pa.array([["a"], None, ["b"]], pa.large_list_view(pa.string())), [["a"], None, ["b"]]),
    "list view in any order": (
        pa.ListViewArray.from_arrays([2, 0, 1], [1, 2, 0], pa.array([1, 2, 3])), [[3], [1, 2], []]
    ),
    "list view in a struct": (
        pa.array([{"a": [1]}, None, {"a": None}], pa.struct([("a", pa.list_view(pa.int64()))])),
        [{"a": [1]}, None, {"a": None}],
    ),
    "list view of text views": (
        pa.array([["a" * 20, None], None, ["b"]], pa.list_view(pa.string_view())), [["a" * 20, None], None, ["b"]]
    ),
    "list view of structs of byte views": (
        pa.array([[{"b": b"\xff" * 20}], []], pa.large_list_view(pa.struct([("b", pa.binary_view())]))),
        [[{"b": base64.b64encode(b"\xff" * 20).decode()}], []],
    ),
    "list view in a map": (
        pa.array([[("a", [1, 2])], None, [], [("b", None)]], pa.map_(pa.string(), pa.list_view(pa.time64("ns")))),
        [{"a": ["00:00:00.000000001", "00:00:00.000000002"]}, None, {}, {"b": None}],
    ),
    "list view in a list of fixed size": (
        pa.array([[[1], None], None, [[2, 3], []]], pa.list_(pa.list_view(pa.duration("ns")), 2)),
        [[["PT0.000000001S"], None], None, [["PT0.000000002S", "PT0.000000003S"], []]],
    ),
    "runs of list views": (
        pa.RunEndEncodedArray.from_arrays(
            pa.array([2, 3], pa.int32()), pa.array([[253402300800], None], pa.list_view(pa.timestamp("s")))
        ),
        [["10000-01-01T00:00:00"], ["10000-01-01T00:00:00"], None],
    ),
    "text view": (pa.array(["a" * 20, None, "b"], pa.string_view()), ["a" * 20, None, "b"]),
    "byte view": (pa.array([b"\xff" * 20, None], pa.binary_view()), [base64.b64encode(b"\xff" * 20).decode(), None]),
    "bool8": (pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, None], pa.int8())), [True, False, None]),
    "decimal32": (pa.array([D("1.50"), None], pa.decimal32(5, 2)), [D("1.50"), None]),
    "decimal64": (pa.array([D("1.50"), None], pa.decimal64(12, 2)), [D("1.50"), None]),
    "date64": (pa.array([dt.date(2020, 1, 1), None], pa.date64()), ["2020-01-01", None]),
    "categories of dates": (pa.array([dt.date(2020, 1, 1), None]).dictionary_encode(), ["2020-01-01", None]),
    "categories in a list": (pa.array([["a", "b"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))), [["a", "b"]]),
    "tensor of one dimension": (
        pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(4).reshape(2, 2)), [[0, 1], [2, 3]]
    ),
    "map of instants": (
        pa.array([[(DAY, 1)]], pa.map_(pa.timestamp("s"), pa.int64())), [{"2024-02-29T12:34:56": 1}]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ARROW)
def test_an_arrow_file_holds_and_the_same_value_is_sent(name: str, tmp_path: Path) -> None:
    values, wanted = ARROW[name]
    table = pa.table({"x": values})
    with pa.ipc.new_file(tmp_path / "1.arrow", table.schema) as writer:
        writer.write_table(table)
    assert column(tmp_path) == wanted


def test_list_views_are_unified_with_lists(tmp_path: Path) -> None:
    for number, kind in enumerate((pa.list_view(pa.int64()), pa.list_(pa.float64()))):
        table = pa.table({"x": pa.array([[1], None, [2, 3]], kind)})
        with pa.ipc.new_file(tmp_path / f"{number}.arrow", table.schema) as writer:
            writer.write_table(table)
    assert column(tmp_path) == [[1], None, [2, 3]] * 2


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(8).reshape(2, 2, 2)), "tensor"),
        (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), "month_day_nano_interval"),
        (
            pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1]), pa.array(["a"])]),
            "sparse_union<0: int64=0, 1: string=1>",
        ),
    ],
)
def test_a_type_without_a_form_in_json_is_refused_by_name(values: pa.Array, kind: str, tmp_path: Path) -> None:
    table = pa.table({"x": values, "n": [1] * len(values)})
    with pa.ipc.new_file(tmp_path / "1.arrow", table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(DataError, match="Column 'x' ") as caught:
        read_manifest(str(tmp_path))
    assert f"has the type {kind}, which JSON has no form for." in caught.value.found
    assert sent_rows(tmp_path, drop=("x",)) == [{"n": 1}] * len(values)
