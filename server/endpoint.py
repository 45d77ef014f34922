"""One way to ask for predictions, as an ASGI application: a body within limits in, an answer out, every answer counted.

What a body means and what an answer looks like is a function of plain values (`Answering`), one module for each API.
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
    """What an API needs to know; `name` is what the path holds of a model's name."""

    query: bytes
    body: bytes
    name: str = ""
    headers: Sequence[tuple[bytes, bytes]] = ()

    def header(self, name: bytes) -> str:
        """The value of a header (its name in small letters); empty without one."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")


@dataclass(frozen=True, slots=True)
class Answer:
    """JSON, and of which model (`dataset/key`) for how many rows; a refusal is of none."""

    content: bytes
    status: int = 200
    model: str = ""
    rows: int = 0


Answering = Callable[[Request], Answer]
"""Raises RequestError for what the sender must change."""

Refusing = Callable[[int, str], Answer]
"""How this API tells of a problem, from our status and sentence."""


class Endpoint:
    """Never raises: what went wrong is an answer."""

    def __init__(self, answering: Answering, refusing: Refusing, bodies: Bodies, counters: Counters) -> None:
        self._answering = answering
        self._refusing = refusing
        self._bodies = bodies
        self._counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        try:
            async with self._bodies.read(scope, receive) as body:
                request = Request(scope["query_string"], body, _name(scope), scope["headers"])
                if len(body) <= INLINE_BODY_BYTES:
                    answer = self._answer(request)
                else:
                    answer = await to_thread.run_sync(self._answer, request, limiter=self._bodies.turn)
        except ClientDisconnect:
            self._counters.count_abandoned()
            return
        except RequestError as problem:
            answer = self._refusing(problem.status, problem.sentence)
        self._counters.count_answer(answer.status)
        if answer.model:
            self._counters.count_prediction(answer.model, answer.rows)
        await send_json(send, answer.status, answer.content)

    def _answer(self, request: Request) -> Answer:
        """Lets no exception out: its traceback would hold the parsed body until it has been answered."""
        try:
            return self._answering(request)
        except RequestError as problem:
            status, sentence = problem.status, problem.sentence
        except Exception:  # the edge: a library's failure is a counted answer and a logged trace
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
