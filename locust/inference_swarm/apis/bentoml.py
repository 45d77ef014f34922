"""BentoML: the method of a service is the path, its parameter the key of the rows, and the answer what it returns.

`--pred-method` is the method. `--api-param input=NAME` names its parameter; others are sent beside the rows.
"""

from __future__ import annotations

from inference_swarm.apis.api import Api, Predictions, PredMethod, Readiness, RequestContext
from inference_swarm.apis.body import Body
from inference_swarm.apis.rows import json_bytes, object_rows
from inference_swarm.config.settings import Settings


def frame(context: RequestContext) -> Body:
    """`{"df":[{"a":1}],"threshold":0.5}`"""
    start = b"{" + json_bytes(context.own_params["input"]) + b":["
    others = b"".join(b"," + json_bytes(key) + b":" + json_bytes(value) for key, value in context.params.items())
    return Body((start, object_rows(context.names), b"]" + others + b"}"))


def predictions(settings: Settings) -> Predictions:
    """`["yes","no"]`, or `[{"no":0.1,"yes":0.9}]` of a frame."""
    return Predictions(paths=((),))


BENTOML = Api(
    name="bentoml",
    summary="BentoML services",
    path="/{method}",
    frame=frame,
    predictions=predictions,
    ready=Readiness("/readyz"),
    pred_method=PredMethod.PATH,
    params="parameters of the method, beside the rows",
    own_params={"input": "df"},
    rows_param="input",
)
