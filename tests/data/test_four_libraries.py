"""Any table, written by pyarrow, pandas, polars and DuckDB: a server gets the values that were written."""

from __future__ import annotations

import base64
import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from sent import sent_rows

from inference_swarm.errors import DataError

EPOCH = dt.datetime(1970, 1, 1)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
INSTANTS = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))
NS_INSTANTS = st.datetimes(dt.datetime(1678, 1, 1), dt.datetime(2262, 1, 1))


@dataclass(frozen=True)
class Kind:
    """A type, the values to draw, what a value is in a request, and the libraries that have no such type."""

    type: pa.DataType
    values: st.SearchStrategy[Any]
    shown: Callable[[Any], Any] = field(default=lambda value: value)
    lacking: frozenset[str] = frozenset()


def clock(value: dt.time) -> str:
    return value.isoformat(timespec="microseconds")


def instant(value: dt.datetime) -> str:
    return value.isoformat(timespec="microseconds")


def seconds(value: dt.timedelta) -> str:
    sign, size = ("-", -value) if value < dt.timedelta() else ("", value)
    return f"{sign}PT{size // dt.timedelta(seconds=1)}.{size.microseconds:06d}S"


def plain_number(value: float) -> Decimal | None:
    return Decimal(repr(value)) if np.isfinite(value) else None


def single(value: float) -> Decimal | None:
    return Decimal(str(np.float32(value))) if np.isfinite(value) else None


def integers(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else st.integers(0, 2**bits - 1)


def decimals(digits: int, places: int) -> st.SearchStrategy[Decimal]:
    most = 10**digits - 1
    return st.integers(-most, most).map(lambda unscaled: Decimal(f"{unscaled}E-{places}"))


def items(inner: Kind) -> Callable[[list[Any]], list[Any]]:
    return lambda values: [None if value is None else inner.shown(value) for value in values]


WITHOUT_ARROW = frozenset({"pandas", "polars", "duckdb"})
SIMPLE: dict[str, Kind] = {
    **{f"int{bits}": Kind(getattr(pa, f"int{bits}")(), integers(bits, signed=True)) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": Kind(getattr(pa, f"uint{bits}")(), integers(bits, signed=False)) for bits in (8, 16, 32, 64)},
    "float16": Kind(
        pa.float16(), st.floats(width=16).map(np.float16), lambda v: single(float(v)), frozenset({"polars", "duckdb"})
    ),
    "float32": Kind(pa.float32(), st.floats(width=32), single),
    "float64": Kind(pa.float64(), st.floats(), plain_number),
    "bool": Kind(pa.bool_(), st.booleans()),
    "text": Kind(pa.string(), TEXT),
    "large text": Kind(pa.large_string(), TEXT),
    "text view": Kind(pa.string_view(), TEXT, lacking=frozenset({"pandas"})),
    "uuid": Kind(pa.uuid(), st.uuids().map(lambda v: v.bytes), lambda v: str(uuid.UUID(bytes=v)), WITHOUT_ARROW),
    "date": Kind(pa.date32(), st.dates(), lambda v: v.isoformat()),
    "time": Kind(pa.time64("us"), st.times(), clock),
    "timestamp": Kind(pa.timestamp("us"), INSTANTS, instant),
    "timestamp ms": Kind(
        pa.timestamp("ms"),
        INSTANTS.map(lambda v: v.replace(microsecond=v.microsecond // 1000 * 1000)),
        instant,
    ),
    "timestamp ns": Kind(pa.timestamp("ns"), NS_INSTANTS, instant),
    "timestamp UTC": Kind(pa.timestamp("us", "UTC"), INSTANTS, lambda v: instant(v) + "Z"),
    "duration": Kind(pa.duration("us"), st.timedeltas(dt.timedelta(-10_000), dt.timedelta(10_000)), seconds),
    "decimal of 4 bytes": Kind(pa.decimal128(9, 2), decimals(9, 2)),
    "decimal of 8 bytes": Kind(pa.decimal128(18, 5), decimals(18, 5)),
    "decimal of 16 bytes": Kind(pa.decimal128(38, 10), decimals(38, 10)),
    "decimal of 32 bytes": Kind(pa.decimal256(76, 20), decimals(76, 20), lacking=WITHOUT_ARROW),
    "category": Kind(pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["a", "b", "é"])),
    "bytes": Kind(
        pa.binary(), st.binary(max_size=6).map(lambda v: b"\xff" + v), lambda v: base64.b64encode(v).decode()
    ),
    "bytes of text": Kind(pa.binary(), TEXT.map(str.encode), bytes.decode),
}
NUMBERS, WORDS = SIMPLE["int64"], SIMPLE["text"]
NESTED: dict[str, Kind] = {
    "list": Kind(
        pa.list_(pa.float64()), st.lists(SIMPLE["float64"].values | st.none(), max_size=3), items(SIMPLE["float64"])
    ),
    "list of lists": Kind(
        pa.list_(pa.list_(pa.string())), st.lists(st.lists(TEXT | st.none(), max_size=2) | st.none(), max_size=3)
    ),
    "list of dates": Kind(
        pa.list_(pa.date32()), st.lists(st.dates() | st.none(), max_size=3), items(SIMPLE["date"])
    ),
    "struct": Kind(
        pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))]),
        st.fixed_dictionaries({"a": NUMBERS.values | st.none(), "b": st.lists(TEXT, max_size=2) | st.none()}),
    ),
    "map": Kind(
        pa.map_(pa.string(), pa.int64()),
        st.dictionaries(TEXT, NUMBERS.values | st.none(), max_size=3).map(lambda v: list(v.items())),
        dict,
        frozenset({"pandas", "polars"}),  # polars makes a list of structs of it
    ),
}  # fmt: skip
KINDS = SIMPLE | NESTED


def with_pyarrow(table: pa.Table, path: Path, *, is_stored: bool, rows: int) -> None:
    pq.write_table(
        table, path, row_group_size=rows, store_schema=is_stored, write_statistics=is_stored,
        store_decimal_as_integer=not is_stored, use_dictionary=is_stored,
        compression="zstd" if is_stored else "none",
    )  # fmt: skip


def with_pandas(table: pa.Table, path: Path, *, is_stored: bool, rows: int) -> None:
    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    frame.to_parquet(path, store_schema=is_stored, row_group_size=rows, index=None if is_stored else True)


def with_polars(table: pa.Table, path: Path, *, is_stored: bool, rows: int) -> None:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    frame.write_parquet(path, statistics=rows > 1, row_group_size=rows, compression="zstd" if rows > 2 else "lz4")


def with_duckdb(table: pa.Table, path: Path, *, is_stored: bool, rows: int) -> None:
    connection = duckdb.connect()
    connection.register("written", table)
    # Not version 2: what it packs there may be out of pyarrow's reach, as the test below has it.
    form = "COMPRESSION brotli" if is_stored else "COMPRESSION snappy"
    connection.execute(f"COPY written TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE {rows}, {form})")


LIBRARIES = {"pyarrow": with_pyarrow, "pandas": with_pandas, "polars": with_polars, "duckdb": with_duckdb}


def same(sent: Any, wanted: Any) -> bool:
    """Whether both are one value: a library may keep more digits of a second than there are."""
    if isinstance(sent, list) and isinstance(wanted, list):
        return len(sent) == len(wanted) and all(map(same, sent, wanted))
    if isinstance(sent, str) and isinstance(wanted, str) and sent != wanted:
        head, point, digits = sent.partition(".")
        fraction, zone = digits[: len(digits.rstrip("ZS"))], digits[len(digits.rstrip("ZS")) :]
        short = f"{head}.{fraction[:6].ljust(6, '0')}{zone}"
        return bool(point) and short == wanted and not fraction[6:].strip("0")
    return bool(sent == wanted)


@st.composite
def tables(draw: Callable[..., Any], library: str, *, is_stored: bool) -> tuple[pa.Table, list[dict[str, Any]]]:
    """A table, and its rows as a request has them. `is_stored`: with Arrow's schema, which alone has durations."""
    rows = draw(st.integers(1, 9))
    known = {name: kind for name, kind in KINDS.items() if library not in kind.lacking}
    if not is_stored:
        del known["duration"]
    chosen = draw(st.lists(st.sampled_from(list(known)), min_size=1, max_size=4))
    columns, wanted = {}, {}
    for number, name in enumerate(chosen):
        kind = known[name]
        has_nulls = draw(st.booleans())
        values = draw(st.lists(kind.values | st.none() if has_nulls else kind.values, min_size=rows, max_size=rows))
        columns[f"{number} {name}"] = pa.array(values, kind.type)
        wanted[f"{number} {name}"] = [None if value is None else kind.shown(value) for value in values]
    return pa.table(columns), [dict(zip(wanted, row, strict=True)) for row in zip(*wanted.values(), strict=True)]


def check(sent: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    assert [list(row) for row in sent] == [list(row) for row in wanted]
    for number, (row, other) in enumerate(zip(sent, wanted, strict=True)):
        for name, value in row.items():
            if "bytes" in name and all(each[name] is None for each in wanted):
                continue  # an empty column of bytes is text
            assert same(value, other[name]), (number, name, value, other[name])


@pytest.mark.parametrize("library", LIBRARIES)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_what_a_library_writes_is_what_a_server_gets(
    library: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    is_stored = library == "polars" or data.draw(st.booleans())
    table, wanted = data.draw(tables(library, is_stored=is_stored and library != "duckdb"))
    path = tmp_path_factory.mktemp(library) / "1.parquet"
    LIBRARIES[library](table, path, is_stored=is_stored, rows=data.draw(st.integers(1, 5)))
    check(sent_rows(path, block_rows=data.draw(st.integers(1, 5))), wanted)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_what_an_arrow_file_holds_is_what_a_server_gets(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table, wanted = data.draw(tables("pyarrow", is_stored=True))
    path = tmp_path_factory.mktemp("arrow") / "1.arrow"
    feather.write_feather(table, path, chunksize=data.draw(st.integers(1, 5)))
    check(sent_rows(path, block_rows=data.draw(st.integers(1, 5))), wanted)


def test_what_pyarrow_cannot_read_is_refused_and_not_sent_as_something_else(tmp_path: Path) -> None:
    path = tmp_path / "1.parquet"
    connection = duckdb.connect()
    written = f"TO '{path}' (FORMAT parquet, PARQUET_VERSION v2)"
    connection.execute(f"COPY (SELECT 7::INTEGER AS a, 'x' AS b UNION SELECT 9, 'y' ORDER BY a) {written}")
    check(sent_rows(path, block_rows=1), [{"a": 7, "b": "x"}, {"a": 9, "b": "y"}])
    connection.execute(f"COPY (SELECT 2147483648::UINTEGER AS a) {written}")
    with pytest.raises(DataError, match=r"1\.parquet cannot be read"):  # a later pyarrow may be able to
        sent_rows(path, block_rows=1)
