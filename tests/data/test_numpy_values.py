"""Arrow values become NumPy's without pandas, and whoever wants pandas has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from inference_swarm.data.numpy_values import numpy_of

ROOT = Path(__file__).resolve().parents[2]
KINDS = [
    pa.bool_(), pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64(),
    pa.float16(), pa.float32(), pa.float64(), pa.date32(), pa.string(),
]  # fmt: skip


def some_values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_boolean(kind):
        return st.booleans()
    if pa.types.is_string(kind):
        return st.text(max_size=3)
    if pa.types.is_floating(kind):
        return st.floats(width=16).map(np.float16 if kind == pa.float16() else float)
    if pa.types.is_date(kind):
        return st.dates()
    least = 0 if str(kind).startswith("u") else -(2 ** (kind.bit_width - 1))
    return st.integers(least, least + 2**kind.bit_width - 1)


@given(st.data(), st.sampled_from(KINDS), st.booleans())
def test_any_slice_is_what_pyarrow_says(data: st.DataObject, kind: pa.DataType, has_nulls: bool) -> None:
    value = some_values(kind)
    items = data.draw(st.lists(st.none() | value if has_nulls else value, max_size=40))
    start, length = data.draw(st.integers(0, 40)), data.draw(st.integers(0, 40))
    values = pa.array(items, kind).slice(start, length)
    expected = values.to_numpy(zero_copy_only=False)
    got = numpy_of(values)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


def test_what_arrow_has_computed_is_right_as_well() -> None:
    values = pa.array([1.5, None, float("inf")] * 50, pa.float32())
    for computed in (
        values.is_null(),
        values.slice(7, 100).is_valid(),
        pa.array([], pa.int32()),
        pa.nulls(9, pa.float64()),
    ):
        np.testing.assert_array_equal(numpy_of(computed), computed.to_numpy(zero_copy_only=False))


NANOSECONDS = """
from inference_swarm.data.numpy_values import leave_pandas_out
leave_pandas_out()
import pyarrow as pa
from inference_swarm.data.json_rows import iter_bodies, label_of, labels_of
at = pa.array([1_234_567_891, 1_000], pa.timestamp("ns", "UTC"))
assert label_of(at, 0) == "1970-01-01T00:00:01.234567891Z", label_of(at, 0)
assert label_of(pa.chunked_array([at.slice(1), at]), 1) == "1970-01-01T00:00:01.234567891Z"
assert label_of(pa.array([7], pa.duration("ns")), 0) == "PT0.000000007S"
assert label_of(pa.array([7], pa.int8()), 0) == 7
assert labels_of(pa.chunked_array([at.slice(1), at]))[1:] == ["1970-01-01T00:00:01.234567891Z", label_of(at, 1)]
views = pa.array([[9], [1, 2], None], pa.list_view(pa.int64()))
took = pa.array([0, 7, None], pa.duration("ns"))
rows = pa.StructArray.from_arrays([views, took], ["l", "t"], mask=pa.array([False, False, True], pa.bool_()))
nested = pa.ListArray.from_arrays(pa.array([0, 1, 1, 3], pa.int32()), rows).slice(1)
bodies = [text for array in iter_bodies(pa.table({"r": rows.slice(1)})) for text in array.to_pylist()]
assert bodies == [b'{"r":{"l":[1,2],"t":"PT0.000000007S"}}', b'{"r":null}'], bodies
bodies = [text for array in iter_bodies(pa.table({"r": nested})) for text in array.to_pylist()]
assert bodies == [b'{"r":[]}', b'{"r":[{"l":[1,2],"t":"PT0.000000007S"},null]}'], bodies
"""
PROGRAM = """
import sys
from inference_swarm.data.numpy_values import leave_pandas_out
{before}
leave_pandas_out()
import pyarrow as pa
from inference_swarm.data.json_rows import iter_bodies
kinds = [pa.int64(), pa.float64(), pa.bool_(), pa.string()]  # pyarrow needs pandas to find out a type
columns = [pa.array(cells, kind) for cells, kind in zip(([1, 2], [0.5, None], [True, None], ["a", None]), kinds)]
table = pa.Table.from_arrays(columns, ["n", "x", "b", "s"])
bodies = [text for array in iter_bodies(table) for text in array.to_pylist()]
assert bodies == [b'{{"n":1,"x":0.5,"b":true,"s":"a"}}', b'{{"n":2,"x":null,"b":null,"s":null}}'], bodies
print("pandas" in sys.modules)
import pandas as pd
frame = pd.DataFrame({{"x": pd.Series([1.0, float("nan")]), "c": pd.Categorical(["a", "b"])}})
there = pa.Table.from_pandas(frame)
assert there.column("x").null_count == 1 and pa.types.is_dictionary(there.schema.field("c").type)
assert there.to_pandas().equals(frame)
assert pa.array(frame["x"]).null_count == 1
"""


@pytest.mark.processes
@pytest.mark.parametrize(("before", "has_pandas"), [("", "False"), ("import pandas", "True")])
def test_rows_are_encoded_without_pandas_which_is_there_for_others(before: str, has_pandas: str) -> None:
    assert run_alone(PROGRAM.format(before=before)) == (has_pandas, "")


@pytest.mark.processes
def test_nanoseconds_are_kept_without_pandas_whose_types_alone_have_them() -> None:
    assert run_alone(NANOSECONDS) == ("", "")


def run_alone(program: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT / "locust"), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip(), done.stderr
