"""The Open Inference protocol (V2): MLServer, KServe, Triton. One tensor a column, or one matrix of all columns.

Datatypes: `--column-type` before the server's own metadata before the data's types. A model whose metadata name one
input that is no column takes a matrix; `--api-param matrix=NAME` says so where there are no metadata.
"""

from __future__ import annotations

from inference_swarm.apis.api import Api, Layout, Predictions, PredMethod, Readiness, RequestContext
from inference_swarm.apis.binary_tensors import binary_format
from inference_swarm.apis.body import Body, Cells, Number, Part, RequestFormat, Rows
from inference_swarm.apis.cells import with_nan
from inference_swarm.apis.datatypes import json_texts_as
from inference_swarm.apis.rows import json_bytes
from inference_swarm.apis.tensors import Tensor, matrix_of, null_check, server_of, tensors_of
from inference_swarm.config.settings import Settings
from inference_swarm.data.json_rows import CellEncoder


def frame(context: RequestContext) -> Body | RequestFormat:
    """`{"parameters":{"content_type":"pd"},"inputs":[{"name":"a","shape":[1,1],"datatype":"INT64","data":[1]}]}`"""
    matrix = matrix_of(context)
    tensors = tensors_of(context, matrix)
    before, after = _around(context, is_frame=matrix is None)
    if context.settings.binary:
        return binary_format(before, after, tensors, matrix, context)
    encoders = tuple(_encoder(tensor, context) for tensor in tensors)
    if matrix is not None:
        start = b'%b{"name":%b,"shape":[' % (before, json_bytes(matrix.name))
        shape = b',%d],"datatype":%b,"data":[' % (len(tensors), json_bytes(matrix.datatype))
        rows = Rows((b"", *(b",",) * (len(tensors) - 1), b""))
        return Body((start, Number.ROW_COUNT, shape, rows, b"]}" + after), encoders)
    parts: list[Part] = [before]
    for number, tensor in enumerate(tensors):
        start = b'%b{"name":%b,"shape":[' % (b"," if number else b"", json_bytes(tensor.name))
        shape = b',1],"datatype":%b,"data":[' % json_bytes(tensor.datatype)
        parts += [start, Number.ROW_COUNT, shape, Cells(number), b"]}"]
    return Body((*parts, after), encoders)


def _around(context: RequestContext, *, is_frame: bool) -> tuple[bytes, bytes]:
    """Return what stands in front of the inputs and behind them."""
    # Without it MLServer refuses several inputs, and KServe makes no frame of them. Triton knows nothing of pandas.
    content_type = {"content_type": "pd"} if is_frame and server_of(context) != "triton" else {}
    params = {**content_type, **context.params}
    output = context.settings.pred_method
    before = b'{"parameters":%b,' % json_bytes(params) if params else b"{"
    after = b'],"outputs":%b}' % json_bytes([{"name": output}]) if output else b"]}"
    return before + b'"inputs":[', after


def _encoder(tensor: Tensor, context: RequestContext) -> CellEncoder:
    encode = json_texts_as(tensor.datatype, tensor.kind, null_check(tensor, context, is_binary=False))
    return with_nan(encode) if tensor.is_fractional and server_of(context) == "triton" else encode


def predictions(settings: Settings) -> Predictions:
    """`{"outputs":[{"name":"predict","shape":[2,1],"datatype":"BYTES","data":["yes","no"]}]}`"""
    return Predictions(Layout.TENSOR, output=settings.pred_method)


OPEN_INFERENCE = Api(
    name="open-inference",
    summary="Open Inference (V2): MLServer, KServe, Triton",
    path="/v2/models/{model}[/versions/{version}]/infer",
    frame=frame,
    predictions=predictions,
    ready=Readiness("/v2/models/{model}[/versions/{version}]/ready"),
    pred_method=PredMethod.OUTPUT,
    params="`parameters`",
    own_params={"matrix": ""},
    metadata=("/v2", "/v2/models/{model}[/versions/{version}]"),
)
