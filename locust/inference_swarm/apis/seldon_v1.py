"""Seldon Core's V1 protocol: the names once, the rows as arrays, and the answer of the same form.

In a cluster the host has the prefix `/seldon/NAMESPACE/NAME`.
"""

from __future__ import annotations

from inference_swarm.apis.api import Api, Predictions, Readiness, RequestContext
from inference_swarm.apis.body import Body
from inference_swarm.apis.rows import array_rows, json_bytes
from inference_swarm.config.settings import Settings


def frame(context: RequestContext) -> Body:
    """`{"data":{"names":["a","b"],"ndarray":[[1,2]]}}`"""
    start = b'{"data":{"names":' + json_bytes(context.names) + b',"ndarray":['
    return Body((start, array_rows(context.names), b"]}}"))


def predictions(settings: Settings) -> Predictions:
    """`{"data":{"names":["t:0"],"ndarray":[[0.1,0.9]]},"meta":{}}`"""
    return Predictions(paths=(("data", "ndarray"),))


SELDON_V1 = Api(
    name="seldon-v1",
    summary="Seldon Core V1",
    path="/api/v1.0/predictions",
    frame=frame,
    predictions=predictions,
    ready=Readiness("/health/status"),
)
