"""TensorFlow Serving's REST API in its row form: an object of named inputs for each instance.

Bytes are `{"b64":"…"}`: a text in base64 would be taken for the value itself.
"""

from __future__ import annotations

import pyarrow as pa

from inference_swarm.apis.api import Api, Predictions, PredMethod, Readiness, RequestContext
from inference_swarm.apis.body import Body
from inference_swarm.apis.cells import decoded
from inference_swarm.apis.rows import json_bytes, object_rows
from inference_swarm.config.settings import Settings
from inference_swarm.data.arrow_types import holds_binary, is_binary, is_list
from inference_swarm.data.json_rows_assembly import Texts
from inference_swarm.data.json_rows_texts import texts_of
from inference_swarm.data.lists import offsets_and_items


def frame(context: RequestContext) -> Body:
    """`{"signature_name":"serving_default","instances":[{"a":1}]}`"""
    signature = context.settings.pred_method
    start = b'{"signature_name":' + json_bytes(signature) + b"," if signature else b"{"
    encoders = tuple(_bytes_texts_of if holds_binary(field.type) else texts_of for field in context.schema)
    return Body((start + b'"instances":[', object_rows(context.names), b"]}"), encoders)


def _bytes_texts_of(values: pa.Array, name: str) -> Texts:
    return texts_of(_in_objects(values), name)


def _in_objects(values: pa.Array) -> pa.Array:
    """Return bytes, and those in lists, as objects with the key that says that a text is base64."""
    values = decoded(values)
    nulls = values.is_null()
    if is_binary(values.type):
        return pa.StructArray.from_arrays([values], ["b64"], mask=nulls)
    if is_list(values.type):
        offsets, items = offsets_and_items(values)
        return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), _in_objects(items), mask=nulls)
    return values


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
