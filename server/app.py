"""The HTTP surface: POST /invocation and the paths of other APIs, GET /health, /models, /stats, /metrics and /docs.

Bodies are read as they are, whatever their Content-Type says, and every refusal says what was found and expected.
"""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import FastAPI, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from server.apis import invocation
from server.apis.routes import other_routes
from server.bodies import Bodies
from server.catalog import Catalog
from server.counters import Counters
from server.endpoint import Endpoint
from server.metrics import CONTENT_TYPE, metrics_text

DEFAULT_MAX_BODY_MB = 8
"""JSON of nothing but small objects takes 30 times its length when parsed, which a container of 1 GiB has to hold."""


class ReferenceServer(FastAPI):
    """FastAPI for everything but POST /invocation, which passes by its middleware and routing.

    Measured in process, one `diabetic` row, lgbm: 194 µs as a FastAPI route, 131 µs in Starlette, 94 µs this way.
    """

    def __init__(self, catalog: Catalog, counters: Counters, max_body_bytes: int) -> None:
        super().__init__(
            title="Inference Swarm reference server",
            description="Tabular models behind one endpoint. Every refusal is a sentence in `detail`.",
            version="1",
        )
        self._catalog = catalog
        bodies = Bodies(max_body_bytes)
        self._invocation = Endpoint(invocation.make_responding(catalog), invocation.refuse, bodies, counters)
        self.router.routes.append(Route(invocation.PATH, self._invocation, methods=["POST"]))  # 405 to others
        self.router.routes.extend(other_routes(catalog, bodies, counters))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI request."""
        if scope["type"] == "http" and scope["path"] == invocation.PATH and scope["method"] == "POST":
            await self._invocation(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """FastAPI's document plus the route that it does not know."""
        if self.openapi_schema is None:
            super().openapi()["paths"][invocation.PATH] = {"post": invocation.document(self._catalog)}
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

    @app.get("/stats", summary="Requests for predictions that this process has answered")
    async def stats() -> Response:
        return _json(counters.snapshot())

    @app.get("/metrics", summary="This process and what it has answered, as Prometheus text")
    async def metrics() -> Response:
        return Response(metrics_text(counters), media_type=CONTENT_TYPE)

    return app


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
