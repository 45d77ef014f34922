"""The predictions of a response, for each layout, and what is wrong with one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_swarm.apis.api import Layout, Predictions
from inference_swarm.apis.predictions import AnswerError, predictions

NAMED = Predictions(paths=(("predictions",),))
BARE = Predictions(paths=((),))
NESTED = Predictions(paths=(("data", "ndarray"),))
ANY = Predictions(paths=(("predictions",), ("prediction",), ()), may_be_scalar=True)
FIRST = Predictions(Layout.TENSOR)
PROBA = Predictions(Layout.TENSOR, output="proba")
LINES = Predictions(Layout.LINES)


def tensor(name: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": "FP64", "data": data}


def outputs(*tensors: dict[str, Any]) -> bytes:
    return json.dumps({"model_name": "m", "outputs": list(tensors)}).encode()


def nodes(path: str) -> Predictions:
    return Predictions(Layout.NODES, json_path=path)


LABEL = tensor("label", [3, 1], ["yes", "no", "no"])
TOO_DEEP = "nested too deeply to be predictions"
OTHER_DATA = "an output with other data than its shape says"
SCORES = tensor("proba", [3, 2], [0.1, 0.9, 0.8, 0.2, 0.3, 0.7])


@pytest.mark.parametrize(
    ("where", "body", "rows", "found"),
    [
        (NAMED, b'{"predictions":["yes","no"]}', 2, ["yes", "no"]),
        (NAMED, b'{"predictions":[[0.1,0.9]],"deployedModelId":"1"}', 1, [[0.1, 0.9]]),
        (NAMED, b'{"predictions":[{"scores":[0.5],"label":"a"}]}', 1, [{"scores": [0.5], "label": "a"}]),
        (BARE, b'["yes", "no"]', 2, ["yes", "no"]),
        (BARE, b'[{"no":0.1,"yes":0.9}]', 1, [{"no": 0.1, "yes": 0.9}]),
        (NESTED, b'{"data":{"names":["t:0"],"ndarray":[[0.1,0.9]]},"meta":{}}', 1, [[0.1, 0.9]]),
        (ANY, b'{"prediction":0.5}', 1, [0.5]),
        (ANY, b"0.25", 1, [0.25]),
        (FIRST, outputs(LABEL), 3, ["yes", "no", "no"]),
        (FIRST, outputs(LABEL, SCORES), 3, ["yes", "no", "no"]),
        (PROBA, outputs(LABEL, SCORES), 3, [[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]]),
        (FIRST, outputs(tensor("o", [2], [1, 0])), 2, [1, 0]),
        (FIRST, outputs(tensor("o", [2, 2], [[0.1, 0.9], [0.8, 0.2]])), 2, [[0.1, 0.9], [0.8, 0.2]]),
        (FIRST, outputs(tensor("o", [1, 2, 2], [1, 2, 3, 4])), 1, [[1, 2, 3, 4]]),
        (nodes("$.result.scores"), b'{"result":{"scores":[0.1,0.9]}}', 2, [0.1, 0.9]),
        (nodes("$.result.scores"), b'{"result":{"scores":[[0.1,0.9]]}}', 1, [[0.1, 0.9]]),
        (nodes("$.rows[*].score"), b'{"rows":[{"score":0.1},{"score":0.9}]}', 2, [0.1, 0.9]),
        (nodes("$.rows[*].scores"), b'{"rows":[{"scores":[0.1,0.9]}]}', 1, [[0.1, 0.9]]),
        (nodes("$.score"), b'{"score":"yes"}', 1, ["yes"]),
        (nodes("$['a:b']"), b'{"a:b":[0.1,0.9]}', 2, [0.1, 0.9]),
        (nodes("$.rows[?@.kind == 'score'].at"), b'{"rows":[{"kind":"id","at":7},{"kind":"score","at":1}]}', 1, [1]),
        (NAMED, b'{"predictions":[18446744073709551616,"\\ud83d\\ude00"]}', 2, [1.8446744073709552e19, "\U0001f600"]),
        # labels are texts of any kind, and what says that there is no error is none
        (NAMED, b'{"predictions":["None","NA","null","0","error"]}', 5, ["None", "NA", "null", "0", "error"]),
        (
            NAMED,
            b'{"predictions":["error","Error in billing","no error: ok"]}',
            3,
            ["error", "Error in billing", "no error: ok"],
        ),
        (NAMED, b'{"predictions":[1],"error":null,"errors":[],"error_code":0,"error_message":"OK"}', 1, [1]),
        (NAMED, b'{"predictions":[1],"error":{"code":0,"message":""},"message":"served","detail":"v2"}', 1, [1]),
        (ANY, b'{"prediction":4.1,"error":0.3}', 1, [4.1]),
        (NAMED, b'{"predictions":[{"y":4,"error":0.3}]}', 1, [{"y": 4, "error": 0.3}]),
        (NAMED, b'{"predictions":[{"y":4,"note":"","error":null}]}', 1, [{"y": 4, "note": "", "error": None}]),
        (LINES, b"[UNK]\n", 1, ["[UNK]"]),
        (LINES, b"0\n1\n", 2, [0.0, 1.0]),
        (LINES, b"0.1,0.9\r\n0.8,0.2", 2, [[0.1, 0.9], [0.8, 0.2]]),
        (LINES, b"yes,no,no\n", 3, ["yes", "no", "no"]),
        (LINES, b'"yes"\n', 1, ["yes"]),
        (LINES, b'\n"yes, surely"\n"no\nway"\n \n', 2, ["yes, surely", "no\nway"]),
    ],
)
def test_there_is_one_prediction_for_each_row(where: Predictions, body: bytes, rows: int, found: list[Any]) -> None:
    assert predictions(where, body, rows) == found


@pytest.mark.parametrize(
    ("where", "body", "rows", "problem"),
    [
        # a wrong count
        (NAMED, b'{"predictions":[]}', 1, "0 predictions for 1 rows"),
        (NAMED, b'{"predictions":[0,1]}', 1, "2 predictions for 1 rows"),
        (BARE, b"[0,1]", 3, "2 predictions for 3 rows"),
        (FIRST, outputs(LABEL), 1, "3 predictions for 1 rows"),
        (FIRST, outputs(LABEL, SCORES), 2, "3 predictions for 2 rows"),
        (LINES, b"0\n1\n2\n", 2, "3 predictions for 2 rows"),
        # null, NaN, nothing
        (NAMED, b'{"predictions":[null]}', 1, "null in place of a prediction"),
        (NAMED, b'{"predictions":[[0.1,null]]}', 1, "null in place of a prediction"),
        (NAMED, b'{"predictions":[{"yes":null}]}', 1, "null in place of a prediction"),
        (NAMED, b'{"predictions":[NaN]}', 1, "NaN or infinity in place of a prediction"),
        (NAMED, b'{"predictions":[[0.5,-Infinity]]}', 1, "NaN or infinity in place of a prediction"),
        (NAMED, b'{"predictions":[[]]}', 1, "an empty list in place of a prediction"),
        (FIRST, outputs(tensor("o", [1, 1], [None])), 1, "null in place of a prediction"),
        (FIRST, b'{"outputs":[{"shape":[1],"data":[NaN]}]}', 1, "NaN or infinity in place of a prediction"),
        (LINES, b"0.1,nan\n", 1, "null in place of a prediction"),
        (LINES, b"null\n", 1, "null in place of a prediction"),
        (LINES, b"inf\n", 1, "NaN or infinity in place of a prediction"),
        (NAMED, b'{"predictions":["NaN"]}', 1, "NaN or infinity in place of a prediction"),
        (NAMED, b'{"predictions":[[0.5,"-Infinity"]]}', 1, "NaN or infinity in place of a prediction"),
        (FIRST, outputs(tensor("o", [1, 1], ["nan"])), 1, "NaN or infinity in place of a prediction"),
        (NAMED, b'{"predictions":[""]}', 1, "an empty text in place of a prediction"),
        (ANY, b'" "', 1, "an empty text in place of a prediction"),
        (NAMED, b'{"predictions":["\\ud800"]}', 1, "a text that is no Unicode in place of a prediction"),
        (NAMED, b'{"predictions":[{"\\ud800":1}]}', 1, "a text that is no Unicode in place of a prediction"),
        (NAMED, b'{"predictions":[' + b"9" * 400 + b"]}", 1, "NaN or infinity in place of a prediction"),
        (NAMED, b'{"predictions":[-' + b"9" * 5000 + b"]}", 1, "NaN or infinity in place of a prediction"),
        (nodes("$.scores[*]"), b'{"scores":["\\n"]}', 1, "an empty text in place of a prediction"),
        (NAMED, b'{"predictions":[{"label":""}]}', 1, "an empty object in place of a prediction"),
        (NAMED, b'{"predictions":[{"label":"nan"}]}', 1, "NaN or infinity in place of a prediction"),
        # an error, or something else
        (NAMED, b'{"predictions":[1],"error":"fell back to the mean"}', 1, "an error beside predictions"),
        (NAMED, b'{"predictions":[],"errors":["row 1: age is missing"]}', 1, "an error beside predictions"),
        (NAMED, b'{"predictions":[1],"error":true}', 1, "an error beside predictions"),
        (ANY, b'{"prediction":1,"error_code":7}', 1, "an error beside predictions"),
        (NESTED, b'{"data":{"ndarray":[1]},"error":{"code":500}}', 1, "an error beside predictions"),
        (FIRST, b'{"outputs":[{"shape":[1],"data":[1]}],"error":"x"}', 1, "an error beside predictions"),
        (nodes("$.scores"), b'{"scores":[1],"error_message":"x"}', 1, "an error beside predictions"),
        (NAMED, b'{"predictions":[{"label":"a","error":"x"}]}', 1, "an error in place of a prediction"),
        (NAMED, b'{"predictions":["ValueError: age is missing"]}', 1, "an error in place of a prediction"),
        (BARE, b'["Traceback (most recent call last):\\n  File"]', 1, "an error in place of a prediction"),
        (LINES, b"Internal error: model not loaded", 1, "an error in place of a prediction"),
        (LINES, b"Internal Server Error", 1, "an error in place of a prediction"),
        (LINES, b"java.lang.IllegalStateException: no model\n", 1, "an error in place of a prediction"),
        (ANY, b'"Service Unavailable"', 1, "an error in place of a prediction"),
        (NAMED, b'{"error":null,"labels":[0]}', 1, "no predictions in it"),
        (NAMED, b'{"error":"no model"}', 1, "an error in place of predictions"),
        (NAMED, b'{"detail":"no model"}', 1, "an error in place of predictions"),
        (NAMED, b'{"predictions":[{"error":"row 1"}]}', 1, "an error in place of a prediction"),
        (FIRST, b'{"error":"no model"}', 1, "an error in place of predictions"),
        (NAMED, b'{"predictions":null}', 1, "no predictions in it"),
        (NAMED, b'{"predictions":0}', 1, "no predictions in it"),
        (NAMED, b'{"labels":[0]}', 1, "no predictions in it"),
        (NAMED, b"[0]", 1, "no predictions in it"),
        (BARE, b'{"predictions":[0]}', 1, "no predictions in it"),
        (NESTED, b'{"data":[0]}', 1, "no predictions in it"),
        (FIRST, b'{"outputs":[]}', 1, "no predictions in it"),
        (FIRST, b"[0]", 1, "no predictions in it"),
        (PROBA, outputs(LABEL), 3, "no output 'proba' in it"),
        (FIRST, b'{"outputs":[{"name":"o","data":[0]}]}', 1, "an output without a shape"),
        (FIRST, b'{"outputs":[{"name":"o","shape":[1]}]}', 1, "an output without data"),
        (FIRST, outputs(tensor("o", [1, 2], [])), 1, "an output with other data than its shape says"),
        (nodes("$.scores"), b'{"scores":[0.1,0.9]}', 1, "2 predictions for 1 rows"),
        (nodes("$.scores[*]"), b'{"scores":[]}', 1, "no predictions in it"),
        (nodes("$.scores[*]"), b'{"error":"no"}', 1, "an error in place of predictions"),
        (nodes("$.scores[*]"), b'{"scores":[null]}', 1, "null in place of a prediction"),
        (NESTED, b'{"status":{"code":-1,"info":"boom","status":"FAILURE"}}', 1, "an error in place of predictions"),
        (NESTED, b'{"data":{"ndarray":[0]},"status":{"code":-1,"status":"FAILURE"}}', 1, "an error beside predictions"),
        (NESTED, b'{"data":{"ndarray":[0]},"status":{"code":-1,"status":1}}', 1, "an error beside predictions"),
        (nodes("$.scores"), b'"[Errno 2] No such file"', 1, "no predictions in it"),
        (nodes("$.scores"), b'"{\\"scores\\":[0]}"', 1, "no predictions in it"),
        (NAMED, b"<html>", 1, "not JSON"),
        (NAMED, b"", 1, "an empty body"),
        (NAMED, b"[" * 100_000, 1, "not JSON"),
        # made to hurt who reads it
        (NAMED, b'{"predictions":[1],"error":' + b"[" * 900 + b"1" + b"]" * 900 + b"}", 1, TOO_DEEP),
        (NAMED, b'{"predictions":[' + b"[" * 900 + b"1" + b"]" * 900 + b"]}", 1, TOO_DEEP),
        (NAMED, b'{"predictions":[' + b"[" * 300 + b"1" + b"]" * 300 + b"]}", 1, TOO_DEEP),
        (FIRST, outputs(tensor("o", [1] * 65, [1])), 1, "an output without a shape"),
        (nodes("$..score"), b"[" * 200 + b"1" + b"]" * 200, 1, TOO_DEEP),
        (FIRST, b'{"outputs":[{"shape":[1000000000000,0],"data":[]}]}', 1, OTHER_DATA),
        (LINES, b"<html>", 1, "not CSV"),
        (LINES, b"\xef\xbb\xbfnan\n", 1, "null in place of a prediction"),
        (LINES, b'"yes, surely"\n', 2, "1 predictions for 2 rows"),
        (LINES, b'{"error":"x"}', 1, "not CSV"),
        (LINES, b"[null]", 1, "not CSV"),
        (LINES, b" [0.5]\n", 1, "not CSV"),
        (LINES, b"[\n0.1,\n0.9\n]", 4, "not CSV"),
        (LINES, b"[0.1,0.9]\n[0.8,0.2]\n", 2, "not CSV"),
        (LINES, b"[" * 100_000, 1, TOO_DEEP),
        (LINES, b"\xff\xfe", 1, "not text"),
    ],
)
def test_what_is_wrong_is_said(where: Predictions, body: bytes, rows: int, problem: str) -> None:
    with pytest.raises(AnswerError) as caught:
        predictions(where, body, rows)
    assert str(caught.value) == problem


KEYS = st.sampled_from(["outputs", "shape", "data", "predictions", "error"])
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.sampled_from(["{x", "[1]"]) | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)


NODES = (nodes("$"), nodes("$.data"), nodes("$..shape"))


@given(
    st.sampled_from([NAMED, BARE, NESTED, ANY, FIRST, PROBA, LINES, *NODES]),
    JSON_VALUES | st.binary(),
    st.integers(1, 4),
)
def test_whatever_a_server_says_there_are_as_many_predictions_as_rows_or_an_answer_error(
    where: Predictions, answer: Any, rows: int
) -> None:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    try:
        found = predictions(where, body, rows)
    except AnswerError:
        return
    assert len(found) == rows


@given(st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3), min_size=1))
def test_a_tensor_is_cut_into_rows_of_its_width(rows: list[list[float]]) -> None:
    body = outputs(tensor("o", [len(rows), 3], [value for row in rows for value in row]))
    assert predictions(FIRST, body, len(rows)) == rows
