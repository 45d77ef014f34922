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
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before)],
        env={"PYTHONPATH": str(ROOT / "locust"), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == (has_pandas, "")
