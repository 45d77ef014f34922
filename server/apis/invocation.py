"""Our own API: `POST /invocation?dataset=&model=&method=`; every refusal is a sentence in `detail`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import orjson

from server.catalog import METHODS, Catalog, check_method
from server.endpoint import ApiResponse, Request, Responding
from server.models import ServedModel
from server.rows import SHAPES
from server.schema import Algorithm

PATH = "/invocation"
_REMEMBERED_QUERIES = 256
_REMEMBERED_QUERY_BYTES = 1024


def make_responding(catalog: Catalog) -> Responding:
    """Predictions for the rows of a body; the query names model and method."""

    def read_query(query: bytes) -> tuple[ServedModel, str]:
        """Empty values count as left out, as in `?dataset=&model=catboost`."""
        parameters = dict(parse_qsl(query.decode("latin-1")))
        method = check_method(parameters.get("method", METHODS[0]))
        return catalog.select(parameters.get("dataset"), parameters.get("model")), method

    remembered = lru_cache(maxsize=_REMEMBERED_QUERIES)(read_query)

    def respond(request: Request) -> ApiResponse:
        query = request.query
        model, method = remembered(query) if len(query) <= _REMEMBERED_QUERY_BYTES else read_query(query)
        rows = model.features(request.body)
        return ApiResponse(orjson.dumps({"predictions": model.call(method, rows)}), model=model.name, rows=len(rows))

    return respond


def refuse(status: int, sentence: str) -> ApiResponse:
    """A sentence in `detail`, as FastAPI has it."""
    return ApiResponse(orjson.dumps({"detail": sentence}), status)


def document(catalog: Catalog) -> dict[str, Any]:
    """OpenAPI for a route that reads its request itself."""
    datasets = sorted({dataset for dataset, _ in catalog.models})
    keys = [str(key) for key in Algorithm if any(key == model for _, model in catalog.models)]
    examples = {
        dataset: {"summary": f"one row of {dataset}", "value": model.schema.example}
        for (dataset, _), model in sorted(catalog.models.items())
    }
    return {
        "summary": "Predict for one or more rows",
        "description": f"The body is {SHAPES}. Missing values are null. GET /models lists the columns of each model.",
        "parameters": [
            _parameter("dataset", datasets, "May be left out when only one is loaded."),
            _parameter("model", keys, "May be left out when only one is loaded."),
            _parameter("method", list(METHODS), "Labels (the default) or a list of probabilities per row."),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"oneOf": [{"type": "object"}, {"type": "array"}]}, "examples": examples}
            },
        },
        "responses": {
            "200": _response(
                "Predictions in the order of the rows.",
                {"type": "object", "properties": {"predictions": {"type": "array", "items": {}}}},
            ),
            "400": _response("No body, or not JSON.", _SENTENCE),
            "404": _response("The dataset or model is not loaded.", _SENTENCE),
            "413": _response("The body is too large.", _SENTENCE),
            "422": _response("Columns, types or the method are not as expected.", _SENTENCE),
            "503": _response("Too many large bodies at once.", _SENTENCE),
        },
    }


_SENTENCE = {"type": "object", "properties": {"detail": {"type": "string"}}}


def _parameter(name: str, choices: list[str], text: str) -> dict[str, Any]:
    schema = {"type": "string", "enum": choices}
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


def _response(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}
