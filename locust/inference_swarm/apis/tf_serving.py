"""TensorFlow Serving's REST API in its row form: an object of named inputs for each instance."""

from __future__ import annotations

from inference_swarm.apis.api import Api, Predictions, PredMethod, Readiness, RequestContext
from inference_swarm.apis.body import Body
from inference_swarm.apis.rows import json_bytes, object_rows
from inference_swarm.config.settings import Settings


def frame(context: RequestContext) -> Body:
    """`{"signature_name":"serving_default","instances":[{"a":1}]}`"""
    signature = context.settings.pred_method
    start = b'{"signature_name":' + json_bytes(signature) + b"," if signature else b"{"
    return Body((start + b'"instances":[', object_rows(context.names), b"]}"))


def predictions(settings: Settings) -> Predictions:
    """`{"predictions":[[0.1,0.9]]}`"""
    return Predictions(paths=(("predictions",),))


TF_SERVING = Api(
    name="tf-serving",
    summary="TensorFlow Serving",
    path="/v1/models/{model}[/versions/{version}]:predict",
    frame=frame,
    predictions=predictions,
    ready=Readiness("/v1/models/{model}[/versions/{version}]", contains='"AVAILABLE"'),
    pred_method=PredMethod.SIGNATURE,
)
