"""For every API and size of batch: the body of a request, read back, holds the rows."""

from __future__ import annotations

import csv
import io
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from arrow_cases import CASES, TEXT, decode, nullable
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.apis.table import APIS, request_format
from inference_swarm.config.api_options import APIS as NAMES
from inference_swarm.data.arrow_types import plain_type
from inference_swarm.data.json_rows import encode_rows
from tests.apis.sent_bodies import bodies_of, settings_of

Rows = list[dict[str, Any]]


def of_split(frame: dict[str, Any]) -> Rows:
    return [dict(zip(frame["columns"], row, strict=True)) for row in frame["data"]]


def of_azure(frame: dict[str, Any]) -> Rows:
    assert frame["index"] == list(range(len(frame["data"])))
    return of_split(frame)


def of_tensors(body: dict[str, Any]) -> Rows:
    inputs = body["inputs"]
    for tensor in inputs:
        assert tensor["shape"] == [len(tensor["data"]), 1]
    return [
        dict(zip([tensor["name"] for tensor in inputs], row, strict=True))
        for row in zip(*(tensor["data"] for tensor in inputs), strict=True)
    ]


def of_columns(columns: dict[str, list[Any]]) -> Rows:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def of_instance(instance: dict[str, Any]) -> dict[str, Any]:
    return {name: value["b64"] if isinstance(value, dict) else value for name, value in instance.items()}


# How a body of each API is read; `names` are the columns', where it does not hold them.
READERS: dict[str, Callable[[Any, list[str]], Rows]] = {
    "invocation": lambda body, _: body if isinstance(body, list) else [body],
    "mlflow": lambda body, _: of_split(body["dataframe_split"]),
    "kserve-v1": lambda body, _: list(body["instances"]),
    "open-inference": lambda body, _: of_tensors(body),
    "sagemaker-json": lambda body, names: [dict(zip(names, one["features"], strict=True)) for one in body["instances"]],
    "bentoml": lambda body, _: list(body["df"]),
    "tf-serving": lambda body, _: [of_instance(one) for one in body["instances"]],
    "azureml": lambda body, _: of_azure(body["input_data"]),
    "seldon-v1": lambda body, _: [
        dict(zip(body["data"]["names"], row, strict=True)) for row in body["data"]["ndarray"]
    ],
    "template": lambda body, _: list(body["rows"]),
}
CHANGES: dict[str, dict[str, Any]] = {"template": {"template": '{"t": 1, "rows": {{rows}}, "x": "é"}'}}
WITHOUT_ZONES = tuple(name for name in CASES if name not in ("timestamp UTC", "timestamp Berlin"))
BATCHES = st.sampled_from((1, 2, 5, 32))


@st.composite
def tables(draw: st.DrawFn, kinds: tuple[str, ...] = tuple(CASES), *, has_nulls: bool = True) -> pa.Table:
    names = draw(st.lists(TEXT, min_size=1, max_size=5, unique=True))
    rows = draw(st.integers(1, 9))
    arrays = []
    for _ in names:
        kind, values, _expected = CASES[draw(st.sampled_from(kinds))]
        of_column = (st.none() | values) if has_nulls else values
        arrays.append(pa.array(draw(st.lists(of_column, min_size=rows, max_size=rows)), kind))
    return pa.table(arrays, names=names)


def rows_of(table: pa.Table) -> Rows:
    return [decode(body) for body in encode_rows(table).to_pylist()]


def test_the_table_has_the_apis_that_the_setting_names_and_each_is_read_here() -> None:
    assert tuple(APIS) == NAMES
    assert {*READERS, "sagemaker-csv"} == set(NAMES)


@pytest.mark.parametrize("api", [name for name in READERS if name not in ("mlflow", "azureml", "open-inference")])
@settings(max_examples=30, deadline=None)
@given(table=tables(), batch_size=BATCHES)
def test_a_body_read_back_holds_the_rows(api: str, batch_size: int, table: pa.Table) -> None:
    check_bodies(api, batch_size, table)


@pytest.mark.parametrize("api", ["mlflow", "azureml"])
@settings(max_examples=30, deadline=None)
@given(
    table=tables(tuple(name for name in CASES if name not in ("timestamp UTC", "timestamp Berlin"))), batch_size=BATCHES
)
def test_frames_of_mlflow_hold_the_rows(api: str, batch_size: int, table: pa.Table) -> None:
    check_bodies(api, batch_size, table)


def check_bodies(api: str, batch_size: int, table: pa.Table) -> None:
    wanted = rows_of(table)
    bodies = bodies_of(table, batch_size, api=api, **CHANGES.get(api, {}))
    found = [READERS[api](decode(body), table.schema.names) for body in bodies]
    assert [row for rows in found for row in rows] == wanted
    assert [len(rows) for rows in found[:-1]] == [batch_size] * (len(found) - 1)


@settings(max_examples=30, deadline=None)
@given(table=tables(), batch_size=BATCHES)
def test_columns_of_a_template_hold_the_rows(batch_size: int, table: pa.Table) -> None:
    bodies = bodies_of(table, batch_size, api="template", template='{"c": {{columns}}, "r": {{rows}}}')
    documents = [decode(body) for body in bodies]
    assert [row for document in documents for row in of_columns(document["c"])] == rows_of(table)
    assert [row for document in documents for row in document["r"]] == rows_of(table)


NUMBERS = tuple(name for name in CASES if "int" in name or name == "float64")
PLAIN = (*NUMBERS, "bool", "string", "large_string", "string_view", "category", "timestamp", "date", "time")


def as_sent(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else str(value)


@settings(max_examples=40, deadline=None)
@given(table=tables(has_nulls=False), batch_size=BATCHES)
def test_tensors_in_json_hold_the_rows(batch_size: int, table: pa.Table) -> None:
    bodies = [decode(body) for body in bodies_of(table, batch_size, api="open-inference")]
    datatypes = {tensor["name"]: tensor["datatype"] for tensor in bodies[0]["inputs"]}
    wanted = [
        {name: as_sent(value) if datatypes[name] == "BYTES" else value for name, value in row.items()}
        for row in rows_of(table)
    ]
    assert [row for body in bodies for row in of_tensors(body)] == wanted
    assert all(body["parameters"] == {"content_type": "pd"} for body in bodies)


FORMATS = {
    "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
    "FP16": "e", "FP32": "f", "FP64": "d", "BOOL": "?",
}  # fmt: skip


def read_binary(body: bytes, json_bytes: int) -> dict[str, list[Any]]:
    """The columns of a body in the binary form, as a server reads them."""
    columns: dict[str, list[Any]] = {}
    place = json_bytes
    for tensor in json.loads(body[:json_bytes])["inputs"]:
        data = body[place : place + tensor["parameters"]["binary_data_size"]]
        assert len(data) == tensor["parameters"]["binary_data_size"]
        place += len(data)
        if tensor["datatype"] == "BYTES":
            values: list[Any] = []
            while data:
                length = int.from_bytes(data[:4], "little")
                values.append(data[4 : 4 + length])
                data = data[4 + length :]
        else:
            values = list(
                struct.unpack(f"<{tensor['shape'][0] * tensor['shape'][1]}{FORMATS[tensor['datatype']]}", data)
            )
        assert len(values) == tensor["shape"][0] * tensor["shape"][1]
        columns[tensor["name"]] = values
    assert place == len(body)
    return columns


@settings(max_examples=40, deadline=None)
@given(table=tables(PLAIN, has_nulls=False), batch_size=BATCHES)
def test_tensors_in_the_binary_form_hold_the_rows(batch_size: int, table: pa.Table) -> None:
    request = request_format(settings_of(api="open-inference", binary=True), table.schema, batch_size)
    length = int(request.headers["Inference-Header-Content-Length"])
    bodies = bodies_of(table, batch_size, api="open-inference", binary=True)
    found = [read_binary(body, length) for body in bodies]
    for name, column in zip(table.schema.names, table.columns, strict=True):
        values = [value for columns in found for value in columns[name]]
        column = column.cast(plain_type(column.type))
        if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
            assert values == column.to_pylist()
        elif pa.types.is_floating(column.type):
            assert np.array_equal(values, column.to_numpy(), equal_nan=True)
        else:
            sent = [row[name] for row in rows_of(table)]
            assert [value.decode() for value in values] == [as_sent(value) for value in sent]


@settings(max_examples=40, deadline=None)
@given(table=tables(NUMBERS, has_nulls=False), batch_size=BATCHES)
def test_a_matrix_holds_the_rows(batch_size: int, table: pa.Table) -> None:
    table = pa.table([column.cast(pa.float64(), safe=False) for column in table.columns], names=table.schema.names)
    changes = {"api": "open-inference", "api_params": "matrix=x"}
    width = table.num_columns
    flat: list[Any] = []
    for body in map(decode, bodies_of(table, batch_size, **changes)):
        (tensor,) = body["inputs"]
        assert tensor["name"] == "x"
        assert tensor["datatype"] == "FP64"
        assert tensor["shape"] == [len(tensor["data"]) // width, width]
        flat += tensor["data"]
    assert flat == [value for row in rows_of(table) for value in row.values()]
    request = request_format(settings_of(**changes, binary=True), table.schema, batch_size)
    length = int(request.headers["Inference-Header-Content-Length"])
    binary: list[float] = []
    for body in bodies_of(table, batch_size, **changes, binary=True):
        binary += read_binary(body, length)["x"]
    assert [value if value == value and abs(value) != float("inf") else None for value in binary] == [
        None if value is None else float(value) for value in flat
    ]


@settings(max_examples=40, deadline=None)
@given(table=tables(), batch_size=BATCHES)
def test_lines_of_csv_hold_the_rows(batch_size: int, table: pa.Table) -> None:
    bodies = bodies_of(table, batch_size, api="sagemaker-csv")
    lines = list(csv.reader(io.StringIO(b"\n".join([*bodies, b""]).decode(), newline=""), strict=True))
    wanted = [[as_cell(value) for value in row.values()] for row in rows_of(table)]
    if table.num_columns == 1:  # an empty line is a row whose only cell is empty
        lines = [line or [""] for line in lines]
    assert [[float_text(cell) for cell in line] for line in lines] == [
        [float_text(cell) for cell in row] for row in wanted
    ]


def as_cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def float_text(cell: str) -> Any:
    """Numbers by their value: 1E+16 and 1e16 are the same."""
    try:
        return float(cell)
    except ValueError:
        return cell


@given(values=nullable(CASES["string"][1]))
@settings(max_examples=5, deadline=None)
def test_no_rows_are_no_bodies(values: list[Any]) -> None:
    for api in NAMES:
        assert bodies_of(pa.table({"x": pa.array([], pa.string())}), api=api, **CHANGES.get(api, {})) == []
