"""MLflow's, KServe's and the Open Inference Protocol give the predictions of /invocation, in their own shapes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from server.apis.open_inference import DATATYPES, HEAD_LENGTH, decode
from server.rows import rows_from_columns, rows_from_records
from tests.server.conftest import Trained

MODEL = "kinds-lgbm"
QUERY = "dataset=kinds&model=lgbm"
ROWS = 3
BINARY = {"INT64": "<i8", "FP64": "<f8", "BOOL": "?"}


@pytest.fixture
def rows(trained: Trained) -> list[dict[str, Any]]:
    example = trained.catalog.models["kinds", "lgbm"].schema.example
    full = example | {"amount [€]": 1.5, "count": 2, "flag": True, "word": "rot", "group": 11, "day": "2024-05-01"}
    full["at"] = "2024-05-01T10:00:00"
    gaps = full | dict.fromkeys(("amount [€]", "count", "flag", "word", "at"))
    return [full, gaps, full | {"count": 8}]


@pytest.fixture
def expected(client: TestClient, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What /invocation says."""
    methods = ("predict", "predict_proba")
    return {m: client.post(f"/invocation?{QUERY}&method={m}", json=rows).json()["predictions"] for m in methods}


def columns_of(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def mlflow_forms(rows: list[dict[str, Any]]) -> dict[str, Any]:
    columns = columns_of(rows)
    data = [list(row.values()) for row in rows]
    turned = {"index": list(range(len(rows))), "columns": list(columns)[::-1], "data": [row[::-1] for row in data]}
    return {
        "split": {"dataframe_split": {"columns": list(columns), "data": data}},
        "split with an index, in another order": {"dataframe_split": turned},
        "records": {"dataframe_records": rows},
        "instances": {"instances": rows},
        "inputs by column": {"inputs": columns},
        "inputs by row": {"inputs": rows},
    }


@pytest.mark.parametrize("form", list(mlflow_forms([{"a": 1}])))
@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_mlflow_takes_its_four_keys_and_the_method_as_a_parameter(
    client: TestClient, rows: list[dict[str, Any]], expected: dict[str, Any], form: str, method: str
) -> None:
    body = mlflow_forms(rows)[form] | {"params": {"method": method}}
    answer = client.post(f"/invocations?{QUERY}", json=body)
    assert (answer.status_code, answer.json()) == (200, {"predictions": expected[method]})


def test_mlflow_takes_one_object_of_scalars_and_literal_nan(
    client: TestClient, rows: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    one = client.post(f"/invocations?{QUERY}", json={"inputs": rows[0]})
    assert one.json() == {"predictions": expected["predict"][:1]}
    text = json.dumps({"dataframe_records": rows}).replace("null", "NaN")
    headers = {"content-type": "application/json; charset=utf-8"}
    many = client.post(f"/invocations?{QUERY}", content=text, headers=headers)
    assert many.json() == {"predictions": expected["predict"]}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "exactly one of dataframe_split, dataframe_records, instances, inputs"),
        ({"instances": [], "inputs": []}, "The body has instances, inputs; expected"),
        ([1], "a list without any of them"),
        ({"dataframe_records": [{"count": 1}]}, 'Row 0 of "dataframe_records" lacks the columns'),
        ({"dataframe_records": []}, "is an empty list"),
        ({"dataframe_split": {"columns": ["a"]}}, '{"columns": […], "data": [[…]]}'),
        ({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}, "2 values; expected a list of 1"),
        ({"inputs": {"a": [1, 2], "b": [1]}}, "lacks the columns"),
        ({"instances": [{}], "params": 5}, '"params" is the number 5'),
        ({"instances": [{}], "params": {"method": "x"}}, "Unknown method 'x'"),
    ],
)
def test_mlflow_errors_have_a_code_and_a_message(client: TestClient, body: Any, words: str) -> None:
    answer = client.post(f"/invocations?{QUERY}", json=body)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "BAD_REQUEST")
    assert words in answer.json()["message"]


def test_mlflow_wants_its_content_type_and_a_model_that_is_loaded(client: TestClient) -> None:
    csv = client.post(f"/invocations?{QUERY}", content="a,b\n1,2", headers={"content-type": "text/csv"})
    assert (csv.status_code, csv.text) == (415, "The Content-Type is 'text/csv'; expected application/json.")
    unknown = client.post("/invocations?dataset=nope", json={"instances": [{}]})
    assert (unknown.status_code, unknown.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


@pytest.mark.parametrize("key", ["instances", "inputs"])
@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_kserve_takes_row_objects_and_ignores_what_it_does_not_know(
    client: TestClient, rows: list[dict[str, Any]], expected: dict[str, Any], key: str, method: str
) -> None:
    body = {key: [row | {"extra": 1} for row in rows], "signature_name": "x"}
    path = f"/v1/models/{MODEL}:predict"
    for url, more in ((f"{path}?method={method}", {}), (path, {"parameters": {"method": method}})):
        answer = client.post(url, json=body | more)
        assert (answer.status_code, answer.json()) == (200, {"predictions": expected[method]})


@pytest.mark.parametrize(
    ("name", "body", "status", "words"),
    [
        ("kinds-lgmb", {"instances": [{}]}, 404, "Model kinds-lgmb not found (did you mean 'kinds-lgbm'?); expected"),
        (MODEL, {"rows": []}, 400, 'expected an object with the key "instances"'),
        (MODEL, {"instances": [[1, 2]]}, 400, "each an object of columns"),
        (MODEL, {"instances": [{"count": 1}]}, 400, 'Row 0 of "instances" lacks the columns'),
    ],
)
def test_kserve_errors_are_an_error(client: TestClient, name: str, body: Any, status: int, words: str) -> None:
    answer = client.post(f"/v1/models/{name}:predict", json=body)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]


def v2_inputs(client: TestClient, rows: list[dict[str, Any]], shape: str = "[n,1]") -> list[dict[str, Any]]:
    """Inputs as the metadata wants them."""
    datatypes = {one["name"]: one["datatype"] for one in client.get(f"/v2/models/{MODEL}").json()["inputs"]}
    return [
        {
            "name": name,
            "datatype": datatypes[name],
            "shape": [len(rows), 1] if shape == "[n,1]" else [len(rows)],
            "data": [[cell] for cell in cells] if shape == "nested" else cells,
        }
        for name, cells in columns_of(rows).items()
    ]


@pytest.mark.parametrize("shape", ["[n,1]", "[n]", "nested"])
@pytest.mark.parametrize("path", [f"/v2/models/{MODEL}/infer", f"/v2/models/{MODEL}/versions/1/infer"])
def test_open_inference_takes_an_input_for_each_column(
    client: TestClient, rows: list[dict[str, Any]], expected: dict[str, Any], shape: str, path: str
) -> None:
    body = {"id": "7", "parameters": {"content_type": "pd"}, "inputs": v2_inputs(client, rows, shape)}
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "model_name": MODEL,
        "model_version": "1",
        "id": "7",
        "parameters": {},
        "outputs": [{"name": "predict", "shape": [ROWS, 1], "datatype": "BYTES", "data": expected["predict"]}],
    }


def test_open_inference_gives_the_outputs_that_are_asked_for(
    client: TestClient, rows: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    body = {"inputs": v2_inputs(client, rows), "outputs": [{"name": "predict_proba"}, {"name": "predict"}]}
    answer = client.post(f"/v2/models/{MODEL}/infer", json=body).json()
    assert len(answer["id"]) == 36
    assert [output["name"] for output in answer["outputs"]] == ["predict_proba", "predict"]
    proba = answer["outputs"][0]
    assert (proba["shape"], proba["datatype"]) == ([ROWS, 2], "FP64")
    assert proba["data"] == [value for row in expected["predict_proba"] for value in row]


def test_open_inference_takes_columns_as_bytes_behind_the_json(
    client: TestClient, rows: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    inputs, content = v2_inputs(client, [rows[0], rows[2]]), b""  # of missing values this form has FP64's alone
    for one in inputs:
        cells = one.pop("data")
        if one["datatype"] == "BYTES":
            packed = b"".join(len(text).to_bytes(4, "little") + text for text in (cell.encode() for cell in cells))
        else:
            packed = np.array(cells, BINARY[one["datatype"]]).tobytes()
        one["parameters"] = {"binary_data_size": len(packed)}
        content += packed
    head = json.dumps({"inputs": inputs}).encode()
    headers = {HEAD_LENGTH.decode(): str(len(head)), "content-type": "application/octet-stream"}
    answer = client.post(f"/v2/models/{MODEL}/infer", content=head + content, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"][0]["data"] == [expected["predict"][0], expected["predict"][2]]
    short = client.post(f"/v2/models/{MODEL}/infer", content=head + content[:-9], headers=headers)
    assert (short.status_code, "bytes are left" in short.json()["error"]) == (400, True)


@pytest.mark.parametrize(
    ("name", "body", "status", "key", "words"),
    [
        ("nope", {"inputs": []}, 404, "error", "Model nope not found"),
        (MODEL, b"{", 422, "detail", "The body is not JSON"),
        (MODEL, {"instances": []}, 422, "detail", "expected an object with a list"),
        (MODEL, {"inputs": [{"name": "a", "datatype": "TEXT", "data": [1]}]}, 422, "detail", "datatype of input 'a'"),
        (MODEL, {"inputs": [{"name": "a", "datatype": "FP64"}]}, 422, "detail", "The data of input 'a' is null"),
        (MODEL, {"inputs": [{"name": "a", "datatype": "FP64", "data": [1]}]}, 400, "error", "lacks the columns"),
    ],
)
def test_open_inference_errors_are_detail_or_error(
    client: TestClient, name: str, body: Any, status: int, key: str, words: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post(f"/v2/models/{name}/infer", content=content)
    assert (answer.status_code, list(answer.json())) == (status, [key])
    assert words in answer.text


def test_open_inference_refuses_an_unknown_output_and_a_value_of_another_type(
    client: TestClient, rows: list[dict[str, Any]]
) -> None:
    inputs = v2_inputs(client, rows)
    unknown = client.post(f"/v2/models/{MODEL}/infer", json={"inputs": inputs, "outputs": [{"name": "label"}]})
    assert (unknown.status_code, unknown.json()["error"]) == (
        400,
        'The output is the string "label"; expected predict or predict_proba.',
    )
    inputs[0]["data"] = ["x"] * ROWS
    wrong = client.post(f"/v2/models/{MODEL}/infer", json={"inputs": inputs})
    assert (wrong.status_code, "Column 'amount [€]' of row 0" in wrong.json()["error"]) == (400, True)


def test_metadata_names_columns_with_datatypes_and_outputs_with_shapes(client: TestClient) -> None:
    document = client.get(f"/v2/models/{MODEL}").json()
    assert {one["name"]: one["datatype"] for one in document["inputs"]} == {
        "amount [€]": "FP64", "count": "INT64", "big": "INT64", "flag": "BOOL", "word": "BYTES", "group": "INT64",
        "kind": "BYTES", "at": "BYTES", "day": "BYTES",
    }  # fmt: skip
    assert [(one["name"], one["datatype"], one["shape"]) for one in document["outputs"]] == [
        ("predict", "BYTES", [-1, 1]),
        ("predict_proba", "FP64", [-1, 2]),
    ]
    triple = client.get("/v2/models/triple-xgboost").json()
    assert [(one["datatype"], one["shape"]) for one in triple["outputs"]] == [("INT64", [-1, 1]), ("FP64", [-1, 3])]


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/ping", {}),
        ("/v1/models/kinds-lgbm", {"name": "kinds-lgbm", "ready": True}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/kinds-lgbm/ready", {"name": "kinds-lgbm", "ready": True}),
    ],
)
def test_ready_is_where_each_api_has_it(client: TestClient, path: str, document: dict[str, Any]) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (200, document)


@pytest.mark.parametrize("path", ["/v1/models/nope", "/v2/models/nope", "/v2/models/nope/ready"])
def test_a_model_that_is_not_loaded_is_not_ready(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, "Model nope not found" in answer.json()["error"]) == (404, True)


def test_every_api_counts(client: TestClient, rows: list[dict[str, Any]]) -> None:
    client.post(f"/invocations?{QUERY}", json={"instances": rows})
    client.post(f"/v1/models/{MODEL}:predict", json={"instances": rows})
    client.post(f"/v2/models/{MODEL}/infer", json={"inputs": v2_inputs(client, rows)})
    client.post(f"/v2/models/{MODEL}/infer", json={})
    stats = client.get("/stats").json()
    assert (stats["by_status"], stats["by_model"]) == ({"200": 3, "422": 1}, {"kinds/lgbm": 3})
    assert stats["predicted_rows"] == 3 * ROWS


CELLS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@given(st.data(), st.lists(st.text(), min_size=1, max_size=6, unique=True), st.integers(1, 5))
def test_rows_by_column_and_by_record_are_the_same_rows(data: st.DataObject, names: list[str], count: int) -> None:
    record = st.fixed_dictionaries(dict.fromkeys(names, CELLS))
    rows = data.draw(st.lists(record, min_size=count, max_size=count))
    order = tuple(data.draw(st.permutations(names)))
    wanted = [[row[name] for name in order] for row in rows]
    assert rows_from_records(rows, order, "x") == wanted
    assert rows_from_columns(columns_of(rows), order, "x") == wanted


@given(st.lists(st.text()))
def test_binary_texts_come_back(texts: list[str]) -> None:
    content = b"".join(len(t).to_bytes(4, "little") + t for t in (text.encode() for text in texts))
    assert decode("a", "BYTES", content) == texts


@pytest.mark.parametrize("datatype", [name for name in DATATYPES if name != "BYTES"])
def test_binary_numbers_come_back(datatype: str) -> None:
    names = {"BOOL": "bool", "FP16": "float16", "FP32": "float32", "FP64": "float64"}
    kind = np.dtype(names.get(datatype, datatype.lower())).newbyteorder("<")
    assert decode("a", datatype, np.array([0, 1, 1], kind).tobytes()) == [0, 1, 1]
