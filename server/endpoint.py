"""One way to ask for predictions, as an ASGI application: a body within limits in, a counted response out.

What a body means and what a response looks like is a function of plain values (`Responding`), one module for each API.
FastAPI's own request handling costs more than a prediction, so these routes pass it by.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from anyio import to_thread
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from server.bodies import Bodies
from server.counters import Counters
from server.errors import RequestError

INLINE_BODY_BYTES = 32 * 1024
"""Up to this size (about 30 rows) a request is answered in the event loop; a thread costs more than the work. Larger
ones take turns, since together they would take more memory and not less time."""

_log = logging.getLogger("server")


@dataclass(frozen=True, slots=True)
class Request:
    """The parts of a request that an API needs; `name` is what the path holds of a model's name."""

    query: bytes
    body: bytes
    name: str = ""
    headers: Sequence[tuple[bytes, bytes]] = ()

    def header(self, name: bytes) -> str:
        """The value of a header (its name in small letters); empty without one."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A response: JSON, its model (`dataset/key`) and number of rows; a refusal has no model."""

    content: bytes
    status: int = 200
    model: str = ""
    rows: int = 0


Responding = Callable[[Request], ApiResponse]
"""Raises RequestError for what the sender must change."""

Refusing = Callable[[int, str], ApiResponse]
"""How this API reports a problem, from our status and sentence."""


class Endpoint:
    """Responds to every request; every failure becomes a response."""

    def __init__(self, responding: Responding, refusing: Refusing, bodies: Bodies, counters: Counters) -> None:
        self._responding = responding
        self._refusing = refusing
        self._bodies = bodies
        self._counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        try:
            async with self._bodies.read(scope, receive) as body:
                request = Request(scope["query_string"], body, _name(scope), scope["headers"])
                if len(body) <= INLINE_BODY_BYTES:
                    response = self._respond(request)
                else:
                    response = await to_thread.run_sync(self._respond, request, limiter=self._bodies.turn)
        except ClientDisconnect:
            self._counters.count_abandoned()
            return
        except RequestError as problem:
            response = self._refusing(problem.status, problem.sentence)
        self._counters.count_response(response.status)
        if response.model:
            self._counters.count_prediction(response.model, response.rows)
        await send_json(send, response.status, response.content)

    def _respond(self, request: Request) -> ApiResponse:
        """Respond without raising: a traceback would hold the parsed body until the response is sent."""
        try:
            return self._responding(request)
        except RequestError as problem:
            status, sentence = problem.status, problem.sentence
        except Exception:  # the edge: a library's failure is a counted response and a logged trace
            _log.exception("prediction failed")
            status, sentence = 500, "The prediction failed inside the server; its log has the reason."
        return self._refusing(status, sentence)


def _name(scope: Scope) -> str:
    return str(scope.get("path_params", {}).get("name", ""))


async def send_json(send: Send, status: int, content: bytes) -> None:
    """A whole response."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
