"""KServe's V1 protocol, of KServe's own servers and, with `--path`, of Vertex AI: a list of instances.

Instances are objects with a scalar for each column, which models that call `DataFrame(instances)` take.
"""

from __future__ import annotations

from inference_swarm.apis.api import Api, Predictions, Readiness, RequestContext
from inference_swarm.apis.body import Body
from inference_swarm.apis.rows import json_bytes, object_rows
from inference_swarm.config.settings import Settings


def frame(context: RequestContext) -> Body:
    """`{"instances":[{"a":1}],"parameters":{…}}`"""
    end = b'],"parameters":' + json_bytes(dict(context.params)) + b"}" if context.params else b"]}"
    return Body((b'{"instances":[', object_rows(context.names), end))


def predictions(settings: Settings) -> Predictions:
    """`{"predictions":[1,0]}`"""
    return Predictions(paths=(("predictions",),))


KSERVE_V1 = Api(
    name="kserve-v1",
    summary="KServe V1, Vertex AI",
    path="/v1/models/{model}:predict",
    frame=frame,
    predictions=predictions,
    ready=Readiness("/v1/models/{model}"),
    params="`parameters`",
)
