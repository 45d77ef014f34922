"""A span for each attempt, and its `traceparent` in the request, where OpenTelemetry is at work. An edge: its SDK.

As the instrumentation of `requests` does it for Locust's own HttpUser. Without the SDK nothing of it is imported, and
connections are plain.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sized
from typing import TYPE_CHECKING, Any

from inference_swarm.transport.connection import Connection
from inference_swarm.transport.outcome import Outcome
from inference_swarm.transport.request_edit import with_headers
from inference_swarm.transport.target import METHOD

if TYPE_CHECKING:
    from inference_swarm.transport.client import InferenceClient

_SDK = "opentelemetry.sdk.trace"


def connection_type() -> type[Connection]:
    """Return the connections to use: traced ones where a tracer provider is set up and traces go anywhere."""
    sdk = sys.modules.get(_SDK)
    if sdk is None or os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return Connection
    from opentelemetry import trace

    return TracedConnection if isinstance(trace.get_tracer_provider(), sdk.TracerProvider) else Connection


class TracedConnection(Connection):
    """A connection whose attempts are spans. It has no fast path."""

    __slots__ = ("_attributes", "_name", "_tracer")

    def __init__(self, client: InferenceClient) -> None:
        from opentelemetry import trace

        super().__init__(client)
        self._tracer: Any = trace.get_tracer("inference_swarm")
        self._name = f"{METHOD} {client.target.name}"
        self._attributes = {"http.method": METHOD, "http.url": client.target.public_url}

    def attempt(self, request: bytes, intended_ns: int = 0, row_count: int = 1) -> Outcome:
        from opentelemetry.propagate import inject
        from opentelemetry.trace import SpanKind, Status, StatusCode

        with self._tracer.start_as_current_span(self._name, kind=SpanKind.CLIENT, attributes=self._attributes) as span:
            headers: dict[str, str] = {}
            inject(headers)
            traced, answers = with_headers(request, headers), self._client.rules.answers
            if answers is not None:
                answers.sent_as(request, traced)
            outcome = super().attempt(traced, intended_ns, row_count)
            if outcome.status:
                span.set_attribute("http.status_code", outcome.status)
            if outcome.error is not None:
                span.set_status(Status(StatusCode.ERROR, str(outcome.error)))
            return outcome

    def attempt_repeatedly(
        self, take: Callable[[], bytes | None], listeners: Sized, listener_count: int, row_count: int = 1
    ) -> Outcome | None:
        request = take()
        self.is_starved = request is None
        return None if request is None else self.attempt(request, 0, row_count)
