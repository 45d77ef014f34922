"""Azure ML's server for mlflow models: a split frame with an index, and the answer a bare list."""

from __future__ import annotations

from inference_swarm.apis.api import Api, Predictions, PredMethod, Readiness, RequestContext
from inference_swarm.apis.body import Body, Number
from inference_swarm.apis.cells import naive_texts_of
from inference_swarm.apis.rows import array_rows, json_bytes
from inference_swarm.config.settings import Settings


def frame(context: RequestContext) -> Body:
    """`{"input_data":{"columns":["a"],"index":[0],"data":[[1]]},"params":{…}}`"""
    params = context.params_with_method()
    end = b']},"params":' + json_bytes(params) + b"}" if params else b"]}}"
    start = b'{"input_data":{"columns":' + json_bytes(context.names) + b',"index":['
    return Body((start, Number.ROW_INDEX, b'],"data":[', array_rows(context.names), end), naive_texts_of)


def predictions(settings: Settings) -> Predictions:
    """`["yes","no"]`"""
    return Predictions(paths=((),))


AZUREML = Api(
    name="azureml",
    summary="Azure ML endpoints of mlflow models",
    path="/score",
    frame=frame,
    predictions=predictions,
    ready=Readiness("/"),
    pred_method=PredMethod.PARAMETER,
    params="`params`",
)
