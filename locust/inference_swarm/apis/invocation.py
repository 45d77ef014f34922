"""`POST /invocation` of the reference server: a row as a JSON object, or as `--body-format` says."""

from __future__ import annotations

from inference_swarm.apis.api import Api, Predictions, PredMethod, RequestContext
from inference_swarm.apis.body import Body, Part
from inference_swarm.apis.rows import array_rows, json_bytes, object_rows
from inference_swarm.config.settings import Settings


def frame(context: RequestContext) -> Body:
    """`{"a":1}`, `{"instances":[{"a":1}]}`, or `{"columns":["a"],"data":[[1]]}`; rows of a batch are a list."""
    names = context.names
    parts: tuple[Part, ...]
    match context.settings.body_format:
        case "instances":
            parts = (b'{"instances":[', object_rows(names), b"]}")
        case "split":
            columns = json_bytes(names)
            parts = (b'{"columns":' + columns + b',"data":[', array_rows(names), b"]}")
        case _:
            parts = (object_rows(names),) if context.batch_size == 1 else (b"[", object_rows(names), b"]")
    return Body(parts)


def query(settings: Settings) -> dict[str, str]:
    """What selects the model, each only when set."""
    return {"method": settings.pred_method, "dataset": settings.dataset_name, "model": settings.model}


def predictions(settings: Settings) -> Predictions:
    """Under one of the names that servers of tabular models use, or the body itself."""
    names = ("predictions", "prediction", "outputs", "instances", "result", "results")
    return Predictions(paths=(*((name,) for name in names), ()), may_be_scalar=True)


INVOCATION = Api(
    name="invocation",
    summary="the reference server, and others with POST /invocation",
    path="/invocation",
    frame=frame,
    predictions=predictions,
    pred_method=PredMethod.QUERY,
    query=query,
)
