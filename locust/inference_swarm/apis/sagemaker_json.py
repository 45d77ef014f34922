"""SageMaker containers that take JSON in the form of its built-in algorithms: instances with a list of features.

A container with a form of its own is one for `--api template`.
"""

from __future__ import annotations

from inference_swarm.apis.api import Api, Predictions, Readiness, RequestContext
from inference_swarm.apis.body import Body, Rows
from inference_swarm.config.settings import Settings
from inference_swarm.data.json_rows_texts import row_fragments


def frame(context: RequestContext) -> Body:
    """`{"instances":[{"features":[67,28.1]}]}`"""
    row = row_fragments(b'{"features":[', [b""] * len(context.names), b"]}")
    return Body((b'{"instances":[', Rows(row), b"]}"))


def predictions(settings: Settings) -> Predictions:
    """`{"predictions":[{"score":0.1}]}`, or a list by itself."""
    return Predictions(paths=(("predictions",), ()))


SAGEMAKER_JSON = Api(
    name="sagemaker-json",
    summary="SageMaker containers that take JSON",
    path="/invocations",
    frame=frame,
    predictions=predictions,
    ready=Readiness("/ping"),
)
