"""Settings of `--api` that do not go together, templates that are none, and values in place of null."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from inference_swarm.apis.checks import api_problems
from inference_swarm.apis.json_path import nodes_of
from inference_swarm.apis.table import APIS, request_format, request_path
from inference_swarm.config.options import BY_NAME
from inference_swarm.errors import SettingProblem
from tests.apis.sent_bodies import bodies_of, settings_of

TEMPLATE = {"api": "template", "template": "{{rows}}"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"api": "mlflow", "body_format": "split"}, "--body-format is split and --api is mlflow"),
        ({"api": "mlflow", "template": "{{row}}"}, "--template is {{row}} and --api is mlflow"),
        ({"predictions": "$.a"}, "--predictions is $.a and --api is invocation"),
        ({"api": "kserve-v1", "column_types": "a=FP64"}, "--column-type is a=FP64 and --api is kserve-v1"),
        ({"api": "mlflow", "binary": True}, "--binary is True and --api is mlflow"),
        ({"api": "kserve-v1", "pred_method": "predict_proba"}, "--pred-method is predict_proba and --api kserve-v1"),
        ({"api": "mlflow", "model_version": "3"}, "--model-version is 3 and the path /invocations has no place for it"),
        ({"path": "/x", "api": "tf-serving", "model_version": "3"}, "--model-version is 3 and the path /x has no"),
        ({"api": "sagemaker-csv", "api_params": "a=1"}, "--api-param is given and --api sagemaker-csv has no place"),
        ({"api": "mlflow", "api_params": "method predict"}, "--api-param has 'method predict'"),
        ({"api": "template"}, "--api is template and there is no --template"),
        ({**TEMPLATE, "template": '{"a": 1}'}, "--template has no placeholder"),
        ({**TEMPLATE, "template": '{"a": {{rowz}}}'}, "--template has {{rowz}}"),
        ({**TEMPLATE, "template": '{"a": {{row}}'}, "--template is not JSON with its placeholders as values"),
        ({**TEMPLATE, "template": '{"a": "{{row}}"}'}, "--template is not JSON with its placeholders as values"),
        ({**TEMPLATE, "template": "[" * 100_000 + "{{row}}"}, "--template is not JSON with its placeholders as values"),
        ({**TEMPLATE, "predictions": "$.["}, "--predictions is '$.[', which is not a JSONPath"),
        ({**TEMPLATE, "predictions": "$.a["}, "--predictions is '$.a[', which is not a JSONPath (unexpected end"),
        # what the library adds to RFC 9535
        ({**TEMPLATE, "predictions": "predictions[*]"}, "--predictions is 'predictions[*]', which is not a JSONPath"),
        ({**TEMPLATE, "predictions": "$.a | $.b"}, "--predictions is '$.a | $.b', which is not a JSONPath"),
        ({**TEMPLATE, "predictions": "$.a.~"}, "--predictions is '$.a.~', which is not a JSONPath"),
        ({**TEMPLATE, "predictions": "$[?typeof(@)=='x']"}, "is not a JSONPath (function 'typeof' is not defined)"),
        ({"api": "mlflow", "api_params": "a=1\na=2"}, "--api-param has 'a' twice"),
        ({"api": "mlflow", "api_params": 'a={\n"b": 1}'}, "--api-param has '\"b\": 1}'"),
        ({"api": "bentoml", "api_params": "input="}, "--api-param has input without a name"),
        ({"api": "open-inference", "api_params": 'matrix=""'}, "--api-param has matrix without a name"),
        # two values for one place
        ({"api": "bentoml", "api_params": "df=3"}, "--api-param has 'df', and the rows are sent under that name"),
        ({"api": "bentoml", "api_params": "x=3\ninput=x"}, "--api-param has 'x', and the rows are sent under"),
        ({"api": "mlflow", "api_params": "method=a", "pred_method": "b"}, "is b and --api-param has method=a"),
        ({"api": "azureml", "api_params": "method=1", "pred_method": "b"}, "has method=1, which go to the same place"),
    ],
)  # fmt: skip
def test_settings_that_do_not_go_together_are_one_problem_in_words(changes: dict[str, Any], words: str) -> None:
    (problem,) = api_problems(settings_of(**changes))
    assert words in str(problem)
    assert problem.expected
    assert problem.action


@pytest.mark.parametrize("api", list(APIS))
def test_every_api_goes_with_the_defaults_and_with_predict(api: str) -> None:
    changes = TEMPLATE if api == "template" else {"api": api}
    assert api_problems(settings_of(**changes)) == []
    assert api_problems(settings_of(**changes, pred_method="predict")) == []


def test_a_path_that_names_the_model_needs_one() -> None:
    with pytest.raises(SettingProblem, match=r"--api kserve-v1 has the path /v1/models/{model}") as caught:
        request_path(settings_of(api="kserve-v1", model=""))
    assert "give --model, or the whole path with --path" in str(caught.value)
    assert request_path(settings_of(api="kserve-v1", model="", path="/v1/e/7:predict")) == "/v1/e/7:predict"


def test_a_template_names_only_columns_that_are_sent_and_one_row_only_alone() -> None:
    schema = pa.schema([("age", pa.int64())])
    with pytest.raises(SettingProblem, match=r"--template has {{column:agge}}, and no column 'agge' is sent"):
        request_format(settings_of(api="template", template="{{column:agge}}"), schema)
    with pytest.raises(SettingProblem, match=r"has {{row}} and --batch-size is 2"):
        request_format(settings_of(api="template", template="{{row}}"), schema, 2)


@pytest.mark.parametrize(("flag", "given"), [("column_types", "age=FP32,age=FP64"), ("fill_null", "age=0,age=1")])
def test_a_column_that_is_given_two_values_is_refused(flag: str, given: str) -> None:
    first, last = (pair.partition("=")[2] for pair in given.split(","))
    with pytest.raises(SettingProblem, match=f"names 'age' twice, with {first} and {last}"):
        request_format(settings_of(api="open-inference", **{flag: given}), pa.schema([("age", pa.int64())]))


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("1", b"1"),
        ('{"b":[true,"x"]}', b'{"b":[true,"x"]}'),
        ("99999999999999999999", b"99999999999999999999"),
        ("NaN", b'"NaN"'),
        ("1e999", b'"1e999"'),
        ('"\\ud800"', b'"\\"\\\\ud800\\""'),
        ("[" * 20_000, b'"' + b"[" * 20_000 + b'"'),
    ],
    ids=["number", "object", "wide", "nan", "infinite", "half a pair", "deep"],
)
def test_a_param_is_sent_as_the_json_that_it_is_or_as_text_where_no_json_could_say_it(given: str, sent: bytes) -> None:
    (body,) = bodies_of(pa.table({"x": [1]}), api="mlflow", api_params=f"a={given}")
    assert body == b'{"dataframe_split":{"columns":["x"],"data":[[1]]},"params":{"a":' + sent + b"}}"


@pytest.mark.parametrize(
    "given", ["input=rows", 'input="rows"', BY_NAME["api_params"].value_type.parse({"input": "rows"})]
)
def test_a_param_that_the_api_keeps_is_a_name_from_the_command_line_and_from_json(given: str) -> None:
    assert bodies_of(pa.table({"x": [1]}), api="bentoml", api_params=given) == [b'{"rows":[{"x":1}]}']


def test_a_param_holds_separators_of_lines_that_are_no_ends_of_lines() -> None:
    (body,) = bodies_of(pa.table({"x": [1]}), api="mlflow", api_params="a=x\u2028y\nb=\x0c2")
    assert json.loads(body)["params"] == {"a": "x\u2028y", "b": 2}


def test_the_same_method_given_twice_and_parameters_beside_the_rows_are_no_problem() -> None:
    assert api_problems(settings_of(api="mlflow", api_params="method=b", pred_method="b")) == []
    assert api_problems(settings_of(api="bentoml", api_params="df=3\ninput=rows")) == []


def test_a_placeholder_of_the_path_that_nothing_fills_is_named_and_its_query_is_not() -> None:
    with pytest.raises(SettingProblem, match=r"--path is /v1/{name}, which has {name}") as caught:
        request_path(settings_of(api="mlflow", path="/v1/{name}?key=s3cr3t"))
    assert "s3cr3t" not in str(caught.value)
    assert "no placeholders but {model}, {version}, {method}" in str(caught.value)
    with pytest.raises(
        SettingProblem, match=r"has the path /x and {version} in its query, and --model-version"
    ) as caught:
        request_path(settings_of(api="mlflow", path="/x?key=s3cr3t&v={version}"))
    assert "s3cr3t" not in str(caught.value)
    assert request_path(settings_of(api="mlflow", path="/x/{model}?q={{a}}")) == "/x/m?q={{a}}"


def test_a_json_path_finds_nodes() -> None:
    document = {"result": {"scores": [{"p": 0.1}, {"p": 0.9}]}}
    assert nodes_of("$.result.scores[*].p").find(document) == [0.1, 0.9]
    assert nodes_of("$.result.none").find(document) == []


@pytest.mark.parametrize("text", ["[Errno 2] No such file", '{"a": 1}', "{", "yes"])
def test_a_text_is_one_node_and_is_not_read_as_json(text: str) -> None:
    assert nodes_of("$").find(text) == [text]
    assert nodes_of("$.a").find(text) == []
    assert nodes_of("$..*").find(text) == []


def test_values_stand_in_place_of_null_nan_and_infinity() -> None:
    table = pa.table(
        {
            "i": [1, None, 3],
            "f": [0.5, float("nan"), float("-inf")],
            "s": pa.array(["a", None, "a"]).dictionary_encode(),
            "x": [None, 0.5, float("inf")],
        }
    )
    assert bodies_of(table, api="invocation", fill_null='i=-1,f=9.5,"s=a, b",x=NaN') == [
        b'{"i":1,"f":0.5,"s":"a","x":NaN}',
        b'{"i":-1,"f":9.5,"s":"a, b","x":0.5}',
        b'{"i":3,"f":9.5,"s":"a","x":NaN}',
    ]
    assert bodies_of(table, 3, api="sagemaker-csv", fill_null="f=0,s=-,x=NaN") == [
        b"1,0.5,a,NaN\n,0.0,-,0.5\n3,0.0,a,NaN"
    ]


@pytest.mark.parametrize("given", ["x=NaN", "x=7"])
def test_a_nan_among_categories_and_in_runs_is_replaced_as_any_other(given: str) -> None:
    numbers = pa.array([1.5, float("nan")])
    category = pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.int8()), numbers)
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([1, 2, 3], pa.int32()), pa.array([1.5, float("nan"), None]))
    sent = b"NaN" if given == "x=NaN" else b"7.0"
    for column in (category, runs):
        bodies = bodies_of(pa.table({"x": column}), 3, api="seldon-v1", fill_null=given)
        assert bodies == [b'{"data":{"names":["x"],"ndarray":[[1.5],[%b],[%b]]}}' % (sent, sent)]
