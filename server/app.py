"""The HTTP surface: POST /invocation, GET /health, /models, /stats and /docs.

The body is read as it is, whatever its Content-Type says, and every refusal is a sentence in `detail`.
"""

from __future__ import annotations

import logging
from functools import lru_cache, partial
from typing import Any
from urllib.parse import parse_qsl

import orjson
from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Response
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from server.bodies import Bodies
from server.catalog import METHODS, Catalog, check_method
from server.counters import Counters
from server.errors import RequestError
from server.models import ServedModel
from server.rows import SHAPES
from server.schema import Algorithm

DEFAULT_MAX_BODY_MB = 8
"""JSON of nothing but small objects takes 30 times its length when parsed, which a container of 1 GiB has to hold."""

_INLINE_BODY_BYTES = 32 * 1024
"""Up to this size (about 30 rows) a request is answered in the event loop; a thread costs more than the work. Larger
ones take turns, since together they would take more memory and not less time."""

_REMEMBERED_QUERY_BYTES = 1024

_JSON = "application/json"
_log = logging.getLogger("server")


class Invocations:
    """Answers POST /invocation, as an ASGI application: FastAPI's request handling costs more than a prediction."""

    def __init__(self, catalog: Catalog, counters: Counters, max_body_bytes: int) -> None:
        self._counters = counters
        self._bodies = Bodies(max_body_bytes)
        self._one = CapacityLimiter(1)
        self._catalog = catalog
        self._select = lru_cache(maxsize=256)(lambda query: _read_query(catalog, query))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Never raises: what went wrong is an answer, and every answer is counted."""
        try:
            async with self._bodies.read(scope, receive) as body:
                query: bytes = scope["query_string"]
                if len(body) <= _INLINE_BODY_BYTES:
                    content, model, rows = self._predict(query, body)
                else:
                    content, model, rows = await to_thread.run_sync(self._predict, query, body, limiter=self._one)
        except RequestError as problem:
            await self._refuse(send, problem.status, problem.sentence)
        except ClientDisconnect:
            self._counters.count_abandoned()
        except Exception:  # the edge: a library's failure is a counted answer and a logged trace
            _log.exception("prediction failed")
            await self._refuse(send, 500, "The prediction failed inside the server; its log has the reason.")
        else:
            self._counters.count_answer(200)
            self._counters.count_prediction(f"{model.schema.dataset}/{model.schema.algorithm}", rows)
            await _send_json(send, 200, content)

    def _predict(self, query: bytes, body: bytes) -> tuple[bytes, ServedModel, int]:
        select = self._select if len(query) <= _REMEMBERED_QUERY_BYTES else partial(_read_query, self._catalog)
        model, method = select(query)
        rows = model.features(body)
        predictions = model.predict(rows) if method == "predict" else model.predict_proba(rows)
        return orjson.dumps({"predictions": predictions}), model, len(rows)

    async def _refuse(self, send: Send, status: int, sentence: str) -> None:
        self._counters.count_answer(status)
        await _send_json(send, status, orjson.dumps({"detail": sentence}))


async def _send_json(send: Send, status: int, content: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _read_query(catalog: Catalog, query: bytes) -> tuple[ServedModel, str]:
    """Empty values count as left out, as in `?dataset=&model=catboost`."""
    parameters = dict(parse_qsl(query.decode("latin-1")))
    method = check_method(parameters.get("method", METHODS[0]))
    return catalog.select(parameters.get("dataset"), parameters.get("model")), method


class ReferenceServer(FastAPI):
    """FastAPI for everything but POST /invocation, which passes by its middleware and routing.

    Measured in process, one `diabetic` row, lgbm: 194 µs as a FastAPI route, 131 µs as a Starlette route, 94 µs so.
    """

    def __init__(self, catalog: Catalog, counters: Counters, max_body_bytes: int) -> None:
        super().__init__(
            title="Inference Swarm reference server",
            description="Tabular models behind one endpoint. Every refusal is a sentence in `detail`.",
            version="1",
        )
        self._catalog = catalog
        self._invocations = Invocations(catalog, counters, max_body_bytes)
        self.router.routes.append(Route("/invocation", self._invocations, methods=["POST"]))  # answers 405 to others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI request."""
        if scope["type"] == "http" and scope["path"] == "/invocation" and scope["method"] == "POST":
            await self._invocations(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """FastAPI's document plus the route that it does not know."""
        if self.openapi_schema is None:
            super().openapi()["paths"]["/invocation"] = {"post": _invocation_docs(self._catalog)}
        return super().openapi()


def create_app(catalog: Catalog, max_body_bytes: int = DEFAULT_MAX_BODY_MB * 1024 * 1024) -> FastAPI:
    """The application over loaded models."""
    counters = Counters()
    app = ReferenceServer(catalog, counters, max_body_bytes)

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
        "summary": "Predict for one or more rows",
        "description": f"The body is {SHAPES}. Missing values are null. GET /models tells the columns of each model.",
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
