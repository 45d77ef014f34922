"""The HTTP surface: POST /invocation, GET /health, /models, /stats and /docs.

The body is read as it is, whatever its Content-Type says, and every refusal is a sentence in `detail`.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import orjson
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from server.catalog import METHODS, Catalog, check_method
from server.counters import Counters
from server.errors import RequestProblem
from server.models import ServedModel
from server.rows import SHAPES
from server.schema import Algorithm

DEFAULT_MAX_BODY_BYTES = 16 * 1024 * 1024

_INLINE_BODY_BYTES = 32 * 1024
"""Up to this size (about 30 rows) a request is answered in the event loop; a thread costs more than the work."""

_JSON = "application/json"
_log = logging.getLogger("server")


class Invocations:
    """Answers POST /invocation."""

    def __init__(self, catalog: Catalog, counters: Counters, max_body_bytes: int) -> None:
        self._counters = counters
        self._max_body_bytes = max_body_bytes
        self._select = lru_cache(maxsize=256)(lambda query: _read_query(catalog, query))

    async def __call__(self, request: Request) -> Response:
        """Never raises: what went wrong is an answer, and every answer is counted."""
        try:
            body = await self._read_body(request)
            query: bytes = request.scope["query_string"]
            if len(body) <= _INLINE_BODY_BYTES:
                content, model, rows = self._predict(query, body)
            else:
                content, model, rows = await run_in_threadpool(self._predict, query, body)
        except RequestProblem as problem:
            return self._refuse(problem.status, problem.sentence)
        except ClientDisconnect:
            self._counters.count_abandoned()
            return Response(status_code=499)
        except Exception:  # the edge: a library's failure is a counted answer and a logged trace
            _log.exception("prediction failed")
            return self._refuse(500, "The prediction failed inside the server; its log has the reason.")
        self._counters.count_answer(200)
        self._counters.count_prediction(f"{model.schema.dataset}/{model.schema.algorithm}", rows)
        return Response(content, media_type=_JSON)

    def _predict(self, query: bytes, body: bytes) -> tuple[bytes, ServedModel, int]:
        model, method = self._select(query)
        rows = model.features(body)
        predictions = model.predict(rows) if method == "predict" else model.predict_proba(rows)
        return orjson.dumps({"predictions": predictions}), model, len(rows)

    def _refuse(self, status: int, sentence: str) -> Response:
        self._counters.count_answer(status)
        return Response(orjson.dumps({"detail": sentence}), status, media_type=_JSON)

    async def _read_body(self, request: Request) -> bytes:
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self._max_body_bytes:
            raise self._too_large(f"{int(announced):,} bytes")
        chunks, length = [], 0
        async for chunk in request.stream():
            chunks.append(chunk)
            length += len(chunk)
            if length > self._max_body_bytes:
                raise self._too_large(f"more than {self._max_body_bytes:,} bytes")
        return b"".join(chunks)

    def _too_large(self, found: str) -> RequestProblem:
        return RequestProblem(
            413,
            f"The body has {found}; expected at most {self._max_body_bytes:,} bytes: send fewer rows at a time "
            "or start the server with a larger --max-body-mb.",
        )


def _read_query(catalog: Catalog, query: bytes) -> tuple[ServedModel, str]:
    """Empty values count as left out, as in `?dataset=&model=catboost`."""
    parameters = dict(parse_qsl(query.decode("latin-1")))
    method = check_method(parameters.get("method", METHODS[0]))
    return catalog.select(parameters.get("dataset"), parameters.get("model")), method


def create_app(catalog: Catalog, max_body_bytes: int = DEFAULT_MAX_BODY_BYTES) -> FastAPI:
    """The application over loaded models."""
    counters = Counters()
    invocations = Invocations(catalog, counters, max_body_bytes)
    app = FastAPI(
        title="Inference Swarm reference server",
        description="Tabular models behind one endpoint. Every refusal is a sentence in `detail`.",
        version="1",
    )

    @app.post(
        "/invocation",
        summary="Predict for one or more rows",
        description=f"The body is {SHAPES}. Missing values are null. `GET /models` tells the columns of each model.",
        openapi_extra=_invocation_docs(catalog),
    )
    async def invocation(request: Request) -> Response:
        return await invocations(request)

    @app.get("/health", summary="Which models are loaded, and what has been answered")
    async def health() -> Response:
        loaded = [
            {"dataset": dataset, "model": key, "classes": model.schema.classes, "columns": len(model.schema.columns)}
            for (dataset, key), model in sorted(catalog.models.items())
        ]
        return _json({"status": "ok", "models": loaded, "invocations": counters.snapshot()})

    @app.get("/models", summary="Columns, types, classes and an example row of every loaded model")
    async def models() -> Response:
        return _json({"models": [model.schema.model_dump(mode="json") for _, model in sorted(catalog.models.items())]})

    @app.get("/stats", summary="Requests to /invocation that this process has answered")
    async def stats() -> Response:
        return _json(counters.snapshot())

    return app


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type=_JSON)


def _invocation_docs(catalog: Catalog) -> dict[str, Any]:
    """OpenAPI for a route that reads its request itself."""
    datasets = sorted({dataset for dataset, _ in catalog.models})
    keys = [str(key) for key in Algorithm if any(key == model for _, model in catalog.models)]
    examples = {
        dataset: {"summary": f"one row of {dataset}", "value": model.schema.example}
        for (dataset, _), model in sorted(catalog.models.items())
    }

    def parameter(name: str, choices: list[str], text: str) -> dict[str, Any]:
        return {
            "name": name,
            "in": "query",
            "required": False,
            "description": text,
            "schema": {"type": "string", "enum": choices},
        }

    def answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
        return {"description": text, "content": {_JSON: {"schema": schema}}}

    sentence = {"type": "object", "properties": {"detail": {"type": "string"}}}
    return {
        "parameters": [
            parameter("dataset", datasets, "May be left out when only one is loaded."),
            parameter("model", keys, "May be left out when only one is loaded."),
            parameter("method", list(METHODS), "Labels (the default) or a list of probabilities per row."),
        ],
        "requestBody": {
            "required": True,
            "content": {_JSON: {"schema": {"oneOf": [{"type": "object"}, {"type": "array"}]}, "examples": examples}},
        },
        "responses": {
            "200": answer(
                "Predictions in the order of the rows.",
                {"type": "object", "properties": {"predictions": {"type": "array", "items": {}}}},
            ),
            "400": answer("No body, or not JSON.", sentence),
            "404": answer("The dataset or model is not loaded.", sentence),
            "413": answer("The body is too large.", sentence),
            "422": answer("Columns, types or the method are not as expected.", sentence),
        },
    }
