"""KServe's first protocol: `POST /v1/models/{name}:predict` with `instances` (or `inputs`), rows as objects.

Which method is asked for is a matter of KServe's server; here `parameters` of the body or the query says it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import orjson

from server.catalog import METHODS, Catalog, check_method
from server.endpoint import ApiResponse, Request, Responding
from server.errors import RequestError
from server.rows import describe, parse_json, rows_from_records

PATH = "/v1/models/{name}:predict"
_KEYS = ("instances", "inputs")


def make_responding(catalog: Catalog) -> Responding:
    """Predictions for the rows of a body."""

    def respond(request: Request) -> ApiResponse:
        model = catalog.named(request.name)
        document = parse_json(request.body)
        key = next((key for key in _KEYS if isinstance(document, dict) and key in document), None)
        if key is None:
            raise RequestError(400, f'The body is {describe(document)}; expected an object with the key "instances".')
        query = dict(parse_qsl(request.query.decode("latin-1")))
        parameters = document.get("parameters")
        asked = parameters.get("method") if isinstance(parameters, dict) else None
        method = check_method(str(asked or query.get("method") or METHODS[0]))
        rows = model.encode(rows_from_records(document[key], model.names, f'"{key}"'))
        return ApiResponse(orjson.dumps({"predictions": model.call(method, rows)}), model=model.name, rows=len(rows))

    return respond


def refuse(status: int, sentence: str) -> ApiResponse:
    """`error`, with 400 for all that the sender must change."""
    return ApiResponse(orjson.dumps({"error": sentence}), 400 if status == 422 else status)


def describe_models(catalog: Catalog) -> dict[str, Any]:
    """`GET /v1/models`."""
    return {"models": sorted(f"{dataset}-{key}" for dataset, key in catalog.models)}


def describe_model(catalog: Catalog, name: str) -> dict[str, Any]:
    """`GET /v1/models/{name}`. Raises RequestError."""
    catalog.named(name)
    return {"name": name, "ready": True}
