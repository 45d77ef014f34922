from __future__ import annotations

import math
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from arrow_cases import (
    CASES,
    TEXT,
    decode,
    expected,
    float32_value,
    nullable,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.data import json_rows
from inference_swarm.data.json_rows import SLICE_ROWS, RowFormat, encode_block, encode_rows
from inference_swarm.errors import DataError


def column(values: pa.Array | pa.ChunkedArray) -> list[Any]:
    """What each row of a one-column table decodes to, as an object and as an array."""
    table = pa.table({"x": values})
    rows = [decode(body)["x"] for body in encode_rows(table).to_pylist()]
    assert rows == [decode(body)[0] for body in encode_arrays(table).to_pylist()]
    return rows


def encode_arrays(table: pa.Table) -> pa.Array:
    """Each row as a JSON array."""
    parts = list(encode_block(table, RowFormat.of_keys(b"[", [b""] * table.num_columns, b"]")))
    return pa.concat_arrays(parts) if parts else pa.array([], pa.binary())


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_decoded_value_equals_the_row(name: str, data: st.DataObject) -> None:
    case = CASES[name]
    values = data.draw(nullable(case[1]))
    start = data.draw(st.integers(0, len(values)))
    array = pa.array(values, case[0])
    wanted = [expected(case, value) for value in values]
    assert column(array) == wanted
    assert column(array.slice(start)) == wanted[start:]
    assert column(pa.chunked_array([array.slice(start), array.slice(0, start)])) == wanted[start:] + wanted[:start]


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_decoded_nested_value_equals_the_row(name: str, data: st.DataObject) -> None:
    case = CASES[name]
    rows = data.draw(nullable(nullable(case[1])))
    start = data.draw(st.integers(0, len(rows)))
    wanted = [None if row is None else [expected(case, value) for value in row] for row in rows]
    lists = pa.array(rows, pa.list_(case[0]))
    structs = pa.array(
        [None if row is None else {"a b": row[0] if row else None, "n": row} for row in rows],
        pa.struct([("a b", case[0]), ("n", pa.list_(case[0]))]),
    )
    assert column(lists.slice(start)) == wanted[start:]
    assert column(structs.slice(start)) == [
        None if row is None else {"a b": row[0] if row else None, "n": row} for row in wanted[start:]
    ]
    if name != "category of integers":  # Arrow has no cast of it to a large list
        assert column(pa.array(rows, pa.large_list(case[0])).slice(start)) == wanted[start:]
    maps = pa.array(
        [None if row is None else [(f"k{n}", value) for n, value in enumerate(row)] for row in rows],
        pa.map_(pa.string(), case[0]),
    )
    assert column(maps.slice(start)) == [
        None if row is None else {f"k{n}": value for n, value in enumerate(row)} for row in wanted[start:]
    ]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_rows_of_many_columns_equal_what_was_written(data: st.DataObject) -> None:
    names = data.draw(st.lists(TEXT, min_size=1, max_size=7, unique=True))
    cases = [CASES[data.draw(st.sampled_from(sorted(CASES)))] for _ in names]
    rows = data.draw(st.integers(0, 6))
    values = [data.draw(st.lists(st.none() | case[1], min_size=rows, max_size=rows)) for case in cases]
    table = pa.table([pa.array(v, case[0]) for v, case in zip(values, cases, strict=True)], names=names)
    wanted = [[expected(case, v[row]) for v, case in zip(values, cases, strict=True)] for row in range(rows)]
    assert [decode(body) for body in encode_rows(table).to_pylist()] == [
        dict(zip(names, row, strict=True)) for row in wanted
    ]
    assert [decode(body) for body in encode_arrays(table).to_pylist()] == wanted


@given(st.lists(st.none() | st.floats(width=32), max_size=10))
def test_float32_decodes_to_the_same_float32(values: list[float | None]) -> None:
    decoded = column(pa.array(values, pa.float32()))
    assert [None if v is None else float(np.float32(float(v))) for v in decoded] == [
        None if v is None else float32_value(v) for v in values
    ]


@given(st.lists(st.floats(width=16), max_size=10))
def test_float16_decodes_to_the_same_float16(values: list[float]) -> None:
    decoded = column(pa.array(np.array(values, np.float16)))
    assert [None if v is None else float(np.float16(float(v))) for v in decoded] == [
        v if math.isfinite(v) else None for v in values
    ]


def test_floats_stay_floats_and_negative_zero_keeps_its_sign() -> None:
    assert encode_rows(pa.table({"x": [2.0, -0.0, 1e20]})).to_pylist() == [b'{"x":2.0}', b'{"x":-0.0}', b'{"x":1e+20}']


def test_nanoseconds_are_kept_and_categories_with_a_null_value_are_null() -> None:
    assert column(pa.array([1, None, 10**18 + 1], pa.timestamp("ns"))) == [
        "1970-01-01T00:00:00.000000001",
        None,
        "2001-09-09T01:46:40.000000001",
    ]
    assert column(pa.array([-1], pa.duration("ns"))) == ["-PT0.000000001S"]
    assert column(pa.array([-(2**63)], pa.duration("ns"))) == ["-PT9223372036.854775808S"]
    assert column(pa.DictionaryArray.from_arrays([0, 1, None], pa.array(["a", None]))) == ["a", None, None]


def test_offsets_with_seconds_are_given_in_utc() -> None:
    before_standard_time = pa.array([-(10**10), 0], pa.timestamp("s", "Europe/Berlin"))
    assert column(before_standard_time) == ["1653-02-10T06:13:20+00:00", "1970-01-01T01:00:00+01:00"]


def test_times_are_written_in_full_next_to_missing_ones() -> None:
    assert column(pa.array([None, 0, None, 1], pa.timestamp("s", "+05:30"))) == [
        None,
        "1970-01-01T05:30:00+05:30",
        None,
        "1970-01-01T05:30:01+05:30",
    ]
    assert column(pa.array([None, 0], pa.timestamp("ms"))) == [None, "1970-01-01T00:00:00.000"]


def test_years_beyond_9999_are_written_as_iso_dates() -> None:
    assert column(pa.array([253402300800, 0], pa.timestamp("s"))) == ["10000-01-01T00:00:00", "1970-01-01T00:00:00"]


def test_every_null_column_and_extension_type_is_encoded() -> None:
    assert column(pa.nulls(2)) == [None, None]
    assert column(pa.nulls(2, pa.int64())) == [None, None]
    uuids = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16)))
    assert column(uuids) == [str(uuid.UUID(bytes=b"0" * 16))]
    assert column(pc.run_end_encode(pa.array([1, 1, None]))) == [1, 1, None]
    assert column(pa.array([{}, None], pa.struct([]))) == [{}, None]


def test_fixed_size_lists_with_null_entries_keep_their_items() -> None:
    array = pa.array([[1, 2000], None, [None, 4]], pa.list_(pa.int64(), 2))
    assert column(array) == [[1, 2000], None, [None, 4]]
    assert column(array.slice(1)) == [None, [None, 4]]


def test_what_pandas_writes_for_missing_values_becomes_null() -> None:
    frame = pd.DataFrame(
        {
            "nan": [1.5, np.nan, np.inf],
            "nat": [pd.Timestamp("2024-07-03 09:46:40"), pd.NaT, pd.NaT],
            "na": pd.array([2**63 - 1, pd.NA, 0], dtype="Int64"),
            "none": ["a", None, "b"],
            "category": pd.Categorical(["x", None, "y"]),
        }
    )
    decoded = [decode(body) for body in encode_rows(pa.Table.from_pandas(frame)).to_pylist()]
    assert decoded[1] == dict.fromkeys(frame.columns)
    assert decoded[2] == {"nan": None, "nat": None, "na": 0, "none": "b", "category": "y"}
    assert (decoded[0]["nan"], decoded[0]["na"], decoded[0]["none"]) == (Decimal("1.5"), 2**63 - 1, "a")
    assert decoded[0]["nat"].startswith("2024-07-03T09:46:40")


def test_more_rows_than_a_block_keep_their_order() -> None:
    rows = 2 * SLICE_ROWS + 7
    table = pa.table({"i": np.arange(rows), "s": [str(row) for row in range(rows)]})
    for batch in (table, table.combine_chunks().to_batches()[0]):
        bodies = encode_rows(batch).to_pylist()
        assert bodies == [b'{"i":%d,"s":"%d"}' % (row, row) for row in range(rows)]
    tiny_chunks = pa.concat_tables([table.slice(start, 3) for start in range(0, 300, 3)])
    assert encode_rows(tiny_chunks).to_pylist() == bodies[:300]


def test_more_than_two_gib_of_pieces_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference_swarm.data.json_rows_assembly.INT32_MAX", 200)
    table = pa.table({"s": [str(n) * 20 for n in range(10)], "i": range(10)})
    assert [decode(body)["i"] for body in encode_rows(table).to_pylist()] == list(range(10))
    with pytest.raises(DataError, match="One row becomes more than 2 GiB"):
        encode_rows(pa.table({"s": ["x" * 300]}))


def test_only_the_categories_in_use_are_encoded_when_there_are_more_than_rows() -> None:
    many = pa.DictionaryArray.from_arrays([999, None], pa.array([str(n) for n in range(1000)]))
    assert column(many) == ["999", None]


def test_no_rows_give_no_bodies() -> None:
    assert encode_rows(pa.table({"x": pa.array([], pa.int64())})).to_pylist() == []


@pytest.mark.parametrize(
    ("table", "parts"),
    [
        (pa.table({}), ["has no columns", "at least one feature column"]),
        (pa.table([[1], [2]], names=["a", "a"]), ["'a' occurs 2 times", "rename or drop"]),
        (
            pa.table({"m": pa.array([(1, 2, 3)], pa.month_day_nano_interval())}),
            ["'m'", "month_day_nano_interval", "convert it"],
        ),
        (
            pa.table({"x": pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["f", "f"])}),
            ["'x'", "field name occurs twice"],
        ),
        (pa.table({"t": pa.array([-1], pa.int64()).view(pa.time64("us"))}), ["'t'", "outside of the type's range"]),
        (
            pa.table({"c": pa.DictionaryArray.from_arrays(pa.array([10**6, 0]), pa.array(["a"]), safe=False)}),
            ["'c'", "not in its dictionary of 1", "write the parquet file again"],
        ),
        (pa.table({"t": pa.array([2**60], pa.timestamp("s"))}), ["'t'", "outside of the type's range"]),
        (
            pa.table({"t": pa.array([1, 2], pa.timestamp("s", "Europe/Atlantis"))}),
            ["'t'", "Europe/Atlantis", "a time zone that is known here"],
        ),
        (
            pa.table({"c": pa.DictionaryArray.from_arrays(pa.array([10**6]), pa.array(["a", "b"]), safe=False)}),
            ["'c'", "cannot be encoded"],
        ),
        (pa.table({"s": pa.array([b"\xff"]).view(pa.string())}), ["'s'", "not UTF-8", "as binary"]),
    ],
)
def test_error_names_the_column_the_type_and_the_next_step(table: pa.Table, parts: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        encode_rows(table)
    for part in parts:
        assert part in str(caught.value)


def test_many_columns_become_the_same_bodies_as_few(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [pa.float64(), pa.int64(), pa.float32(), pa.uint64(), pa.int8(), pa.string(), pa.bool_()]
    values = {
        f"c{number}": pa.array([number, None if number % 5 == 0 else 3, 7]).cast(kinds[number % len(kinds)])
        for number in range(60)
    }
    table = pa.table({**values, "nan": [1.5, math.nan, math.inf], "last": pa.array([1, 2, 3])})
    for encode in (encode_rows, encode_arrays):
        few = encode(table)
        with monkeypatch.context() as patch:
            patch.setattr(json_rows, "_WIDE_COLUMNS", 10)
            assert encode(table) == few
            assert encode(table.slice(1)) == few.slice(1)
