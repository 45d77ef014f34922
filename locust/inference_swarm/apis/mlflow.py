"""mlflow's scoring server (`mlflow models serve`, Databricks, SageMaker containers of mlflow).

Rows go as `dataframe_split`: the names stand once, and it is accepted with and without a signature; `dataframe_records`
repeats them in every row, and `instances` needs a signature. Times have no zone: mlflow refuses a `Z`.
"""

from __future__ import annotations

from inference_swarm.apis.api import Api, Predictions, PredMethod, Readiness, RequestContext
from inference_swarm.apis.body import Body
from inference_swarm.apis.cells import naive_texts_of
from inference_swarm.apis.rows import array_rows, json_bytes
from inference_swarm.config.settings import Settings


def frame(context: RequestContext) -> Body:
    """`{"dataframe_split":{"columns":["a","b"],"data":[[1,2]]},"params":{…}}`"""
    params = context.params_with_method()
    end = b']},"params":' + json_bytes(params) + b"}" if params else b"]}}"
    start = b'{"dataframe_split":{"columns":' + json_bytes(context.names) + b',"data":['
    return Body((start, array_rows(context.names), end), naive_texts_of)


def predictions(settings: Settings) -> Predictions:
    """`{"predictions":["yes","no"]}`"""
    return Predictions(paths=(("predictions",),))


MLFLOW = Api(
    name="mlflow",
    summary="mlflow models serve, Databricks",
    path="/invocations",
    frame=frame,
    predictions=predictions,
    ready=Readiness("/ping"),
    pred_method=PredMethod.PARAMETER,
    params="`params`",
)
