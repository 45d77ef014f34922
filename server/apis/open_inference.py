"""The Open Inference Protocol (V2: MLServer, KServe, Triton): an input for each column (`pd`), as JSON or binary.

`predict` and `predict_proba` are outputs; without `outputs` a request gets `predict`. Responses are JSON.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson

from server.catalog import METHODS, Catalog
from server.encoding import Feature
from server.endpoint import ApiResponse, Request, Responding
from server.errors import RequestError, shown
from server.models import ServedModel
from server.rows import describe, parse_json, rows_from_columns
from server.schema import Column, ColumnKind

PATHS = ("/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer")
VERSION = "1"
HEAD_LENGTH = b"inference-header-content-length"
_BINARY = {
    "BOOL": "?", "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "UINT8": "<u1", "UINT16": "<u2",
    "UINT32": "<u4", "UINT64": "<u8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
DATATYPES = (*_BINARY, "BYTES")


def make_responding(catalog: Catalog) -> Responding:
    """Predictions for the rows of a body."""

    def respond(request: Request) -> ApiResponse:
        model = catalog.named(request.name)
        document, rest = _split(request)
        if not isinstance(document, dict) or not isinstance(document.get("inputs"), list):
            raise RequestError(422, f'The body is {describe(document)}; expected an object with a list "inputs".')
        rows = _encode(model, dict(_columns(document["inputs"], rest)))
        outputs = [_output(model, name, rows) for name in _asked(document)]
        response = {
            "model_name": request.name,
            "model_version": VERSION,
            "id": str(document.get("id") or uuid.uuid4()),
            "parameters": {},
            "outputs": outputs,
        }
        return ApiResponse(orjson.dumps(response), model=model.name, rows=len(rows))

    return respond


def _split(request: Request) -> tuple[Any, bytes]:
    """JSON, and the bytes of inputs that follow it in the binary form."""
    text = request.header(HEAD_LENGTH)
    if not text:
        return _parse(request.body), b""
    limit = len(request.body)
    if not text.isdecimal() or int(text) > limit:
        raise RequestError(400, f"Inference-Header-Content-Length is {shown(text)}; expected at most {limit}.")
    return _parse(request.body[: int(text)]), request.body[int(text) :]


def _parse(body: bytes) -> Any:
    try:
        return parse_json(body)
    except RequestError as problem:
        raise RequestError(422, problem.sentence) from None  # a body that is not a request of this protocol


def _encode(model: ServedModel, columns: dict[str, list[Any]]) -> list[list[Feature]]:
    try:
        return model.encode(rows_from_columns(columns, model.names, '"inputs"'))
    except RequestError as problem:
        raise RequestError(400, problem.sentence) from None  # a request of this protocol, but not for this model


def _columns(inputs: list[Any], rest: bytes) -> Iterator[tuple[str, list[Any]]]:
    at = 0
    for number, one in enumerate(inputs):
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise RequestError(422, f'Input {number} is {describe(one)}; expected an object with a "name".')
        name, datatype = one["name"], one.get("datatype")
        if datatype not in DATATYPES:
            expected = ", ".join(DATATYPES)
            found = describe(datatype)
            raise RequestError(422, f"The datatype of input '{shown(name)}' is {found}; expected one of {expected}.")
        parameters = one.get("parameters")
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if size is None:
            yield name, _cells(name, one.get("data"))
            continue
        if not isinstance(size, int) or not 0 <= size <= len(rest) - at:
            raise RequestError(
                400, f"binary_data_size of input '{shown(name)}' is {size}; {len(rest) - at} bytes are left."
            )
        yield name, decode(name, datatype, rest[at : at + size])
        at += size


def _cells(name: str, data: Any) -> list[Any]:
    """Values in a row, or each in a list of its own ([n,1])."""
    if not isinstance(data, list):
        raise RequestError(422, f"The data of input '{shown(name)}' is {describe(data)}; expected a list.")
    if all(isinstance(cell, list) and len(cell) == 1 for cell in data):
        return [cell[0] for cell in data]
    return data


def decode(name: str, datatype: str, content: bytes) -> list[Any]:
    """The values of a binary input: little-endian; BYTES with four bytes of length before each."""
    if datatype == "BYTES":
        values, at = [], 0
        while at < len(content):
            length = int.from_bytes(content[at : at + 4], "little")
            at += 4
            if at + length > len(content):
                raise RequestError(400, f"The bytes of input '{shown(name)}' end within a value.")
            values.append(content[at : at + length].decode("utf-8", errors="replace"))
            at += length
        return values
    kind = np.dtype(_BINARY[datatype])
    if len(content) % kind.itemsize:
        raise RequestError(
            400, f"Input '{shown(name)}' has {len(content)} bytes, which is not a multiple of {kind.itemsize}."
        )
    cells: list[Any] = np.frombuffer(content, kind).tolist()
    return [None if isinstance(cell, float) and cell != cell else cell for cell in cells]


def _asked(document: dict[str, Any]) -> list[str]:
    outputs = document.get("outputs") or [{"name": METHODS[0]}]
    names = [one.get("name") if isinstance(one, dict) else None for one in outputs]
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise RequestError(400, f"The output is {describe(unknown[0])}; expected {' or '.join(METHODS)}.")
    return [str(name) for name in names]


def _output(model: ServedModel, method: str, rows: list[list[Feature]]) -> dict[str, Any]:
    values: list[Any] = list(model.call(method, rows))
    if method == METHODS[0]:
        datatype, width = _label_datatype(model), 1
        data = [str(value) for value in values] if datatype == "BYTES" else values
    else:
        datatype, width = "FP64", len(model.schema.classes)
        data = [value for row in values for value in row]
    return {"name": method, "shape": [len(rows), width], "datatype": datatype, "data": data}


def _label_datatype(model: ServedModel) -> str:
    kinds = {type(label) for label in model.schema.classes}
    if kinds <= {bool}:
        return "BOOL"
    if kinds <= {int}:
        return "INT64"
    return "FP64" if kinds <= {int, float} else "BYTES"


def refuse(status: int, sentence: str) -> ApiResponse:
    """Refuse in MLServer's form: `detail` for what is not a request of this protocol, `error` for everything else."""
    if status == 422:
        return ApiResponse(orjson.dumps({"detail": [{"type": "value_error", "loc": ["body"], "msg": sentence}]}), 422)
    return ApiResponse(orjson.dumps({"error": sentence}), status)


def describe_model(catalog: Catalog, name: str) -> dict[str, Any]:
    """`GET /v2/models/{name}`. Raises RequestError."""
    model = catalog.named(name)
    return {
        "name": name,
        "versions": [VERSION],
        "platform": model.schema.algorithm,
        "inputs": [
            {"name": column.name, "datatype": column_datatype(column), "shape": [-1, 1]}
            for column in model.schema.columns
        ],
        "outputs": [
            {"name": "predict", "datatype": _label_datatype(model), "shape": [-1, 1]},
            {"name": "predict_proba", "datatype": "FP64", "shape": [-1, len(model.schema.classes)]},
        ],
    }


def column_datatype(column: Column) -> str:
    """Return the datatype in which a column is best sent."""
    if column.kind is ColumnKind.CATEGORY:
        return "INT64" if column.is_integer_category else "BYTES"
    return {
        ColumnKind.INTEGER: "INT64",
        ColumnKind.NUMBER: "FP64",
        ColumnKind.BOOLEAN: "BOOL",
        ColumnKind.TIMESTAMP: "BYTES",
    }[column.kind]
