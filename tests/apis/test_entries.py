"""Each API byte for byte: path, headers, and bodies of one row and of several."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from inference_swarm.apis.api import Layout, Predictions
from inference_swarm.apis.table import predictions_of, ready_path, request_format, request_path
from tests.apis.sent_bodies import bodies_of, settings_of

TABLE = pa.table({"a": [1, None], "b%": ["x,y", None], "c": [0.5, float("nan")]})
JSON = {"Accept": "application/json", "Content-Type": "application/json"}
CSV = {"Accept": "text/csv", "Content-Type": "text/csv"}

ENTRIES: list[tuple[str, dict[str, Any], str, dict[str, str], str, str]] = [
    (
        "mlflow", {}, "/invocations", JSON,
        '{"dataframe_split":{"columns":["a","b%","c"],"data":[[1,"x,y",0.5]]}}',
        '{"dataframe_split":{"columns":["a","b%","c"],"data":[[1,"x,y",0.5],[null,null,null]]}}',
    ),
    (
        "mlflow", {"pred_method": "predict_proba", "api_params": 'n=3\nwords="3"\nlist=[1, 2]\nplain=a b'},
        "/invocations", JSON,
        '{"dataframe_split":{"columns":["a","b%","c"],"data":[[1,"x,y",0.5]]},'
        '"params":{"method":"predict_proba","n":3,"words":"3","list":[1,2],"plain":"a b"}}',
        '{"dataframe_split":{"columns":["a","b%","c"],"data":[[1,"x,y",0.5],[null,null,null]]},'
        '"params":{"method":"predict_proba","n":3,"words":"3","list":[1,2],"plain":"a b"}}',
    ),
    (
        "kserve-v1", {"api_params": "x=1"}, "/v1/models/m:predict", JSON,
        '{"instances":[{"a":1,"b%":"x,y","c":0.5}],"parameters":{"x":1}}',
        '{"instances":[{"a":1,"b%":"x,y","c":0.5},{"a":null,"b%":null,"c":null}],"parameters":{"x":1}}',
    ),
    (
        "open-inference", {"fill_null": "a=0", "pred_method": "predict_proba"}, "/v2/models/m/infer", JSON,
        '{"parameters":{"content_type":"pd"},"inputs":[{"name":"a","shape":[1,1],"datatype":"INT64","data":[1]},'
        '{"name":"b%","shape":[1,1],"datatype":"BYTES","data":["x,y"]},'
        '{"name":"c","shape":[1,1],"datatype":"FP64","data":[0.5]}],"outputs":[{"name":"predict_proba"}]}',
        '{"parameters":{"content_type":"pd"},"inputs":[{"name":"a","shape":[2,1],"datatype":"INT64","data":[1,0]},'
        '{"name":"b%","shape":[2,1],"datatype":"BYTES","data":["x,y",null]},'
        '{"name":"c","shape":[2,1],"datatype":"FP64","data":[0.5,null]}],"outputs":[{"name":"predict_proba"}]}',
    ),
    ("sagemaker-csv", {}, "/invocations", CSV, '1,"x,y",0.5', '1,"x,y",0.5\n,,'),
    (
        "sagemaker-json", {}, "/invocations", JSON,
        '{"instances":[{"features":[1,"x,y",0.5]}]}',
        '{"instances":[{"features":[1,"x,y",0.5]},{"features":[null,null,null]}]}',
    ),
    (
        "bentoml", {"pred_method": "classify", "api_params": "input=rows\nlimit=0.5"}, "/classify", JSON,
        '{"rows":[{"a":1,"b%":"x,y","c":0.5}],"limit":0.5}',
        '{"rows":[{"a":1,"b%":"x,y","c":0.5},{"a":null,"b%":null,"c":null}],"limit":0.5}',
    ),
    (
        "tf-serving", {"model_version": "7", "pred_method": "serving_default"}, "/v1/models/m/versions/7:predict", JSON,
        '{"signature_name":"serving_default","instances":[{"a":1,"b%":"x,y","c":0.5}]}',
        '{"signature_name":"serving_default","instances":[{"a":1,"b%":"x,y","c":0.5},{"a":null,"b%":null,"c":null}]}',
    ),
    (
        "azureml", {}, "/score", JSON,
        '{"input_data":{"columns":["a","b%","c"],"index":[0],"data":[[1,"x,y",0.5]]}}',
        '{"input_data":{"columns":["a","b%","c"],"index":[0,1],"data":[[1,"x,y",0.5],[null,null,null]]}}',
    ),
    (
        "seldon-v1", {}, "/api/v1.0/predictions", JSON,
        '{"data":{"names":["a","b%","c"],"ndarray":[[1,"x,y",0.5]]}}',
        '{"data":{"names":["a","b%","c"],"ndarray":[[1,"x,y",0.5],[null,null,null]]}}',
    ),
    (
        "template", {"template": ' {"c":{{column:c}},"all":{{columns}},"rows":{{ rows }}}\n', "path": "/x?y=1"},
        "/x?y=1", JSON,
        '{"c":[0.5],"all":{"a":[1],"b%":["x,y"],"c":[0.5]},"rows":[{"a":1,"b%":"x,y","c":0.5}]}',
        '{"c":[0.5,null],"all":{"a":[1,null],"b%":["x,y",null],"c":[0.5,null]},'
        '"rows":[{"a":1,"b%":"x,y","c":0.5},{"a":null,"b%":null,"c":null}]}',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("api", "changes", "path", "headers", "one", "two"), ENTRIES)
def test_requests_byte_for_byte(
    api: str, changes: dict[str, Any], path: str, headers: dict[str, str], one: str, two: str
) -> None:
    assert request_path(settings_of(api=api, **changes)) == path
    made = request_format(settings_of(api=api, **changes), TABLE.schema)
    assert made.headers == headers
    assert made.join is None, "one row to a request is a stored body: nothing is put together when it is sent"
    assert bodies_of(TABLE.slice(0, 1), api=api, **changes) == [one.encode()]
    assert bodies_of(TABLE, 2, api=api, **changes) == [two.encode()]
    assert bodies_of(TABLE, 32, api=api, **changes) == [two.encode()]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"api": "open-inference", "model": "a/b c", "model_version": "1 2"},
         "/v2/models/a%2Fb%20c/versions/1%202/infer"),
        ({"api": "kserve-v1", "path": "/v1/{model}:rawPredict?x={model}"}, "/v1/m:rawPredict?x=m"),
        ({"api": "tf-serving"}, "/v1/models/m:predict"),
        ({"api": "bentoml"}, "/predict"),
        ({"api": "template", "template": "{{row}}"}, ""),
    ],
)  # fmt: skip
def test_model_and_version_stand_in_the_path(changes: dict[str, Any], path: str) -> None:
    assert request_path(settings_of(**changes)) == path


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"api": "mlflow"}, "/ping"),
        ({"api": "open-inference", "model_version": "1"}, "/v2/models/m/versions/1/ready"),
        ({"api": "kserve-v1"}, "/v1/models/m"),
        ({"api": "bentoml"}, "/readyz"),
        ({"api": "invocation"}, ""),
    ],
)
def test_readiness_has_a_path_of_its_own(changes: dict[str, Any], path: str) -> None:
    assert ready_path(settings_of(**changes)) == path


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"api": "mlflow"}, Predictions(paths=(("predictions",),))),
        ({"api": "azureml"}, Predictions(paths=((),))),
        ({"api": "seldon-v1"}, Predictions(paths=(("data", "ndarray"),))),
        ({"api": "sagemaker-csv"}, Predictions(Layout.LINES)),
        ({"api": "open-inference", "pred_method": "proba"}, Predictions(Layout.TENSOR, output="proba")),
        ({"api": "template", "predictions": "$.a[*]"}, Predictions(Layout.NODES, json_path="$.a[*]")),
    ],
)
def test_predictions_have_their_place(changes: dict[str, Any], found: Predictions) -> None:
    assert predictions_of(settings_of(**changes)) == found


@pytest.mark.parametrize("api", ["mlflow", "azureml"])
def test_mlflow_gets_times_without_a_zone_which_it_would_refuse(api: str) -> None:
    when = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
    table = pa.table({"t": pa.array([when], pa.timestamp("s", "Europe/Berlin"))})
    assert b'[["2024-03-01T12:00:00"]]' in bodies_of(table, api=api)[0]
    assert b'[{"t":"2024-03-01T13:00:00+01:00"}]' in bodies_of(table, api="kserve-v1")[0]


WHEN = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
BERLIN = pa.timestamp("s", "Europe/Berlin")


@pytest.mark.parametrize(
    ("column", "sent"),
    [
        (pa.array([WHEN], BERLIN).dictionary_encode(), b'"2024-03-01T12:00:00"'),
        (
            pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array([WHEN], BERLIN)),
            b'"2024-03-01T12:00:00"',
        ),
        (pa.array([[WHEN, None]], pa.list_(BERLIN)), b'["2024-03-01T12:00:00",null]'),
        (pa.array([[WHEN]], pa.list_view(BERLIN)), b'["2024-03-01T12:00:00"]'),
        (pa.array([{"t": [WHEN]}], pa.struct([("t", pa.list_(BERLIN))])), b'{"t":["2024-03-01T12:00:00"]}'),
        (pa.array([[("k", WHEN)]], pa.map_(pa.string(), BERLIN)), b'{"k":"2024-03-01T12:00:00"}'),
    ],
    ids=["category", "runs", "list", "list view", "struct", "map"],
)
@pytest.mark.parametrize("api", ["mlflow", "azureml"])
def test_mlflow_gets_times_without_a_zone_wherever_they_are(api: str, column: pa.Array, sent: bytes) -> None:
    (body,) = bodies_of(pa.table({"t": column}), api=api)
    assert b'"data":[[%b]]}' % sent in body


def test_tensorflow_gets_bytes_under_the_key_that_says_that_they_are_base64() -> None:
    table = pa.table(
        {
            "image": pa.array([b"hi", None]),
            "category": pa.array([b"hi", None]).dictionary_encode(),
            "several": pa.array([[b"hi", None, b""], None], pa.list_(pa.binary())),
            "nested": pa.array([[[b"hi"], []], None], pa.list_(pa.list_(pa.binary()))),
            "text": ["aGk=", None],
        }
    )
    assert bodies_of(table, 2, api="tf-serving") == [
        b'{"instances":[{"image":{"b64":"aGk="},"category":{"b64":"aGk="},'
        b'"several":[{"b64":"aGk="},null,{"b64":""}],"nested":[[{"b64":"aGk="}],[]],"text":"aGk="},'
        b'{"image":null,"category":null,"several":null,"nested":null,"text":null}]}'
    ]
    assert bodies_of(table.slice(1, 1), 2, api="tf-serving")[0].count(b"null") == 5
