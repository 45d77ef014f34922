"""Assigns paths to APIs: the endpoints of all APIs, and their ready and metadata paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from server.apis import kserve, mlflow, open_inference
from server.bodies import Bodies
from server.catalog import Catalog
from server.counters import Counters
from server.endpoint import ApiResponse, Endpoint, Refusing
from server.errors import RequestError

Describing = Callable[[Catalog, str], dict[str, Any]]


def other_routes(catalog: Catalog, bodies: Bodies, counters: Counters) -> list[BaseRoute]:
    """Return all routes but POST /invocation."""
    posts: list[BaseRoute] = [
        Route(path, Endpoint(module.make_responding(catalog), module.refuse, bodies, counters), methods=["POST"])
        for module, paths in (
            (mlflow, (mlflow.PATH,)),
            (kserve, (kserve.PATH,)),
            (open_inference, open_inference.PATHS),
        )
        for path in paths
    ]
    gets = [
        ("/ping", _constant({}), mlflow.refuse),
        ("/v1/models", lambda known, _: kserve.describe_models(known), kserve.refuse),
        ("/v1/models/{name}", kserve.describe_model, kserve.refuse),
        ("/v2", _constant({"name": "inference-swarm-server", "version": "1", "extensions": []}), open_inference.refuse),
        ("/v2/health/live", _constant({"live": True}), open_inference.refuse),
        ("/v2/health/ready", _constant({"ready": True}), open_inference.refuse),
        ("/v2/models/{name}", open_inference.describe_model, open_inference.refuse),
        ("/v2/models/{name}/ready", kserve.describe_model, open_inference.refuse),
    ]
    return posts + [_get(path, catalog, describing, refusing) for path, describing, refusing in gets]


def _constant(document: dict[str, Any]) -> Describing:
    return lambda _catalog, _name: document


def _get(path: str, catalog: Catalog, describing: Describing, refusing: Refusing) -> Route:
    async def respond(request: Request) -> Response:
        try:
            response = ApiResponse(orjson.dumps(describing(catalog, request.path_params.get("name", ""))))
        except RequestError as problem:
            response = refusing(problem.status, problem.sentence)
        return Response(response.content, response.status, media_type="application/json")

    return Route(path, respond, methods=["GET"])
