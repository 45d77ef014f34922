"""Open Inference: whose datatypes are sent, what stands in place of null, and what is refused in words."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inference_swarm.apis.table import metadata_paths, request_format
from inference_swarm.data.dataset import read_manifest
from inference_swarm.data.manifest_wire import manifest_from_wire, manifest_to_wire
from inference_swarm.errors import DataError, SettingProblem
from tests.apis.sent_bodies import settings_of

TRITON: dict[str, Any] = {"name": "triton", "version": "2.51"}
MLSERVER = {"name": "mlserver", "version": "1.7.1"}
KSERVE = {"name": "kserve", "version": "0.21"}


def model(**datatypes: str) -> dict[str, Any]:
    return {"name": "m", "inputs": [{"name": n, "datatype": d, "shape": [-1, 1]} for n, d in datatypes.items()]}


def tensors(table: pa.Table, *metadata: dict[str, Any], batch_size: int = 4, **changes: Any) -> dict[str, Any]:
    """(datatype, data) of each input by its name."""
    made = request_format(settings_of(api="open-inference", **changes), table.schema, batch_size, metadata)
    stored = [text for part in made.encode(table) for text in part.to_pylist()]
    body = json.loads(made.body_of(stored))
    return {tensor["name"]: (tensor["datatype"], tensor["data"]) for tensor in body["inputs"]}


def test_datatypes_are_those_of_the_data() -> None:
    table = pa.table(
        {
            "i": pa.array([1], pa.int16()),
            "u": pa.array([2], pa.uint8()),
            "f": pa.array([0.5], pa.float32()),
            "h": pa.array([0.5], pa.float16()),
            "b": [True],
            "s": ["é"],
            "c": pa.array(["x"]).dictionary_encode(),
            "d": [Decimal("1.50")],
            "t": [dt.datetime(2024, 3, 1)],
            "n": pa.nulls(1),
        }
    )
    assert tensors(table, batch_size=1) == {
        "i": ("INT16", [1]), "u": ("UINT8", [2]), "f": ("FP32", [0.5]), "h": ("FP16", [0.5]), "b": ("BOOL", [True]),
        "s": ("BYTES", ["é"]), "c": ("BYTES", ["x"]), "d": ("BYTES", ["1.50"]),
        "t": ("BYTES", ["2024-03-01T00:00:00.000000"]), "n": ("FP64", [None]),
    }  # fmt: skip


def test_the_servers_metadata_go_before_the_data_and_the_setting_before_both() -> None:
    table = pa.table({"age": [67, 40], "bmi": [28.0, 22.0], "n": [1, 2], "s": ["a", "b"]})
    told = model(age="FP32", bmi="INT64", n="BYTES")
    assert tensors(table, MLSERVER, told) == {
        "age": ("FP32", [67.0, 40.0]), "bmi": ("INT64", [28, 22]), "n": ("BYTES", ["1", "2"]),
        "s": ("BYTES", ["a", "b"]),
    }  # fmt: skip
    assert tensors(table, MLSERVER, told, column_types="age=bool,bmi=FP64") == {
        "age": ("BOOL", [True, True]), "bmi": ("FP64", [28.0, 22.0]), "n": ("BYTES", ["1", "2"]),
        "s": ("BYTES", ["a", "b"]),
    }  # fmt: skip


def test_metadata_are_asked_of_server_and_model() -> None:
    assert metadata_paths(settings_of(api="open-inference")) == ("/v2", "/v2/models/m")
    assert metadata_paths(settings_of(api="open-inference", model_version="3")) == ("/v2", "/v2/models/m/versions/3")
    assert metadata_paths(settings_of(api="mlflow")) == ()


def test_an_input_that_is_no_column_is_a_matrix_of_all() -> None:
    table = pa.table({"a": [1, 2], "b": [0.5, None]})
    told = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]}
    assert tensors(table, MLSERVER, told) == {"x": ("FP32", [1.0, 0.5, 2.0, None])}
    assert tensors(table, api_params="matrix=y") == {"y": ("FP64", [1.0, 0.5, 2.0, None])}
    assert tensors(table, api_params="matrix=y", column_types="y=FP32") == {"y": ("FP32", [1.0, 0.5, 2.0, None])}
    other = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 9]}]}
    assert list(tensors(table, MLSERVER, other)) == ["a", "b"]


def test_a_missing_fraction_is_null_and_for_triton_the_literal_nan() -> None:
    table = pa.table({"f": [0.5, None, float("nan"), float("inf")]})
    assert tensors(table, MLSERVER, {}) == {"f": ("FP64", [0.5, None, None, None])}
    made = request_format(settings_of(api="open-inference"), table.schema, 4, [TRITON, {}])
    (stored,) = made.encode(table)
    body = made.body_of(stored.to_pylist())
    assert b'"data":[0.5,NaN,NaN,NaN]' in body
    assert b"parameters" not in body, "Triton knows nothing of pandas"


@pytest.mark.parametrize(
    ("metadata", "table", "changes", "words"),
    [
        (
            [TRITON, model(age="INT64")], pa.table({"age": [1, None]}), {},
            ["'age' has a null, and triton takes none in INT64", "give --fill-null age=0."],
        ),
        (
            [TRITON, model(age="INT64")], pa.table({"age": [1.0, float("nan")]}), {},
            ["'age' has a null, and triton takes none in INT64"],
        ),
        (
            [TRITON, {}], pa.table({"s": ["a", None]}), {},
            ["'s' has a null, and triton takes none in BYTES", "--fill-null s="],
        ),
        (
            [MLSERVER, {}], pa.table({"age": [1, None]}), {},
            ["and mlserver takes none in INT64", "--fill-null age=0, or --column-type age=FP64"],
        ),
        ([], pa.table({"age": [1, None]}), {}, ["and most servers take none in INT64"]),
        ([KSERVE, {}], pa.table({"age": [1, None]}), {"binary": True}, ["the binary form has none in INT64"]),
        ([KSERVE, {}], pa.table({"s": ["a", None]}), {"binary": True}, ["the binary form has none in BYTES"]),
        ([], pa.table({"l": [[1], [2]]}), {}, ["'l' has the type list<", "--drop-columns"]),
        (
            [MLSERVER, model(age="INT64")], pa.table({"age": [67.5, 1.0]}), {},
            ["'age' of the type double cannot be sent as INT64", "--column-type age=FP64"],
        ),
        ([MLSERVER, model(s="FP64")], pa.table({"s": ["a", "b"]}), {}, ["type string cannot be sent as FP64"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("batch_size", [1, 2])
def test_what_cannot_be_sent_is_refused_with_the_column_and_what_to_do(
    metadata: list[dict[str, Any]], table: pa.Table, changes: dict[str, Any], words: list[str], batch_size: int
) -> None:
    settings = settings_of(api="open-inference", **changes)
    with pytest.raises(DataError) as caught:
        list(request_format(settings, table.schema, batch_size, metadata).encode(table))
    for word in words:
        assert word in str(caught.value)


def test_a_null_that_the_files_tell_of_is_refused_before_rows_are_read(tmp_path: Path) -> None:
    table = pa.table({"age": [1, None, 3], "s": ["a", "b", "c"], "bmi": [0.5, None, 1.0]})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=1)
    (tmp_path / "rows.csv").write_text("age,s,bmi\n1,a,0.5\n,b,\n3,c,1.0\n")
    for name in ("rows.parquet", "rows.csv"):
        manifest = manifest_from_wire(manifest_to_wire(read_manifest(str(tmp_path / name))))

        def ask(*metadata: dict[str, Any], schema: pa.Schema = manifest.schema, **changes: Any) -> None:
            request_format(settings_of(api="open-inference", **changes), schema, 1, metadata)

        with pytest.raises(DataError, match="Column 'age' has a null, and triton takes none in INT64"):
            ask(TRITON, {})
        with pytest.raises(DataError, match="Column 'age' has a null, and the binary form has none in INT64"):
            ask(KSERVE, {}, binary=True)
        ask()  # which server it is, is not known yet
        ask(KSERVE, {})
        ask(TRITON, {}, fill_null="age=0")
        ask(TRITON, model(age="FP32"))


def test_what_a_server_takes_as_null_is_sent_as_null() -> None:
    table = pa.table({"age": [1, None], "s": ["a", None]})
    assert tensors(table, KSERVE, {}) == {"age": ("INT64", [1, None]), "s": ("BYTES", ["a", None])}
    assert tensors(table, MLSERVER, {}, column_types="age=FP64") == {
        "age": ("FP64", [1.0, None]), "s": ("BYTES", ["a", None]),
    }  # fmt: skip
    assert tensors(table, TRITON, {}, fill_null="age=-1,s=") == {"age": ("INT64", [1, -1]), "s": ("BYTES", ["a", ""])}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"column_types": "age=FLOAT"}, ["the datatype of 'age' is 'FLOAT'", "FP64"]),
        ({"column_types": "agge=FP64"}, ["--column-type names 'agge', which is not sent", "'age'"]),
        ({"column_types": "age"}, ["--column-type has 'age'", "age=FP64"]),
        ({"api_params": "matrix=x", "column_types": "x=BYTES"}, ["'x' is a matrix of BYTES"]),
        ({"fill_null": "age=old"}, ["--fill-null has age='old'", "of the type int64"]),
        ({"fill_null": "agge=0"}, ["--fill-null names 'agge'"]),
    ],
)
def test_a_mistaken_setting_is_refused_in_words(changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(SettingProblem) as caught:
        request_format(settings_of(api="open-inference", **changes), pa.schema([("age", pa.int64())]))
    for word in words:
        assert word in str(caught.value)


def test_the_binary_form_byte_for_byte() -> None:
    table = pa.table({"a": pa.array([1, 258], pa.int16()), "s": ["é", ""], "f": pa.array([0.5, None], pa.float32())})
    settings = settings_of(api="open-inference", binary=True)
    one = request_format(settings, table.schema, 1, [TRITON, {}])
    json_text = (
        b'{"inputs":[{"name":"a","shape":[1,1],"datatype":"INT16","parameters":{"binary_data_size":2}},'
        b'{"name":"s","shape":[1,1],"datatype":"BYTES","parameters":{"binary_data_size":         6}},'
        b'{"name":"f","shape":[1,1],"datatype":"FP32","parameters":{"binary_data_size":4}}]}'
    )
    (stored,) = one.encode(table.slice(0, 1))
    assert one.join is None
    assert stored.to_pylist() == [json_text + b"\x01\x00" + b"\x02\x00\x00\x00\xc3\xa9" + b"\x00\x00\x00\x3f"]
    assert one.headers == {
        "Accept": "application/json",
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(json_text)),
    }
    several = request_format(settings, table.schema, 12, [TRITON, {}])
    (stored,) = several.encode(table)
    length = int(several.headers["Inference-Header-Content-Length"])
    body = several.body_of(stored.to_pylist())
    assert body[:length] == (
        b'{"inputs":[{"name":"a","shape":[ 2,1],"datatype":"INT16","parameters":{"binary_data_size": 4}},'
        b'{"name":"s","shape":[ 2,1],"datatype":"BYTES","parameters":{"binary_data_size":        10}},'
        b'{"name":"f","shape":[ 2,1],"datatype":"FP32","parameters":{"binary_data_size": 8}}]}'
    )
    assert body[length:] == (
        b"\x01\x00\x02\x01" + b"\x02\x00\x00\x00\xc3\xa9\x00\x00\x00\x00" + b"\x00\x00\x00\x3f\x00\x00\xc0\x7f"
    )
    short = several.body_of(stored.to_pylist()[:1])
    assert short[:length].startswith(b'{"inputs":[{"name":"a","shape":[ 1,1]')
