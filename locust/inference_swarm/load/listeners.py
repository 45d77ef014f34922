"""Who listens to Locust's `request` event: Locust itself, which counts requests in its statistics, and others.

An edge: Locust's events and the time of day.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from locust.event import EventHook, Events

from inference_swarm.config.documents import in_utf8
from inference_swarm.transport.outcome import Outcome
from inference_swarm.transport.target import METHOD, Target


class OtherUsers:
    """Counts requests that no InferenceUser made, and what users raised: they are in Locust's tables, and nowhere else.

    Stands before Locust's own listener, and keeps from it what is in no statistics: a warm-up, say.
    """

    def __init__(self, events: Events) -> None:
        self.counts_from_s = 0.0
        """The time of day; what began before it is in no statistics."""
        self.requests = self.failures = self.exceptions = 0
        self._locusts_own: list[Callable[..., Any]] = []
        handlers = events.request._handlers
        for place, listener in enumerate(handlers):
            if is_locusts_own(listener):
                self._locusts_own.append(listener)
                handlers[place] = self
        events.user_error.add_listener(self._note_exception)  # type: ignore[no-untyped-call]

    def __call__(self, *, response_time: float | None = None, **request: Any) -> None:
        if not isinstance(request.get("response"), Outcome):
            began_s = request.get("start_time") or time.time() - (response_time or 0.0) / 1000
            if began_s < self.counts_from_s:
                return
            self.requests += 1
            self.failures += bool(request.get("exception"))
            for text in ("request_type", "name"):  # of which Locust makes a key, in UTF-8
                request[text] = in_utf8(str(request[text]))
        for listener in self._locusts_own:
            listener(response_time=response_time, **request)

    def _note_exception(self, **_: Any) -> None:
        self.exceptions += 1

    def take(self) -> tuple[int, int, int]:
        """Return requests, failures among them, and exceptions since the last call."""
        counted = (self.requests, self.failures, self.exceptions)
        self.requests = self.failures = self.exceptions = 0
        return counted


def notify_of(
    hook: EventHook, outcome: Outcome, target: Target, name: str | None, start_s: float, context: dict[str, Any]
) -> None:
    """Notify those who listen to an InferenceUser's attempts."""
    hook.fire(  # type: ignore[no-untyped-call]
        request_type=METHOD,
        name=name or target.name,
        response_time=outcome.latency_ns / 1e6,
        response_length=outcome.body_bytes,
        response=outcome,
        context=context,
        exception=outcome.error,
        start_time=start_s,
        url=target.url,
    )


def is_locusts_own(listener: object) -> bool:
    """Whether it is the one that counts requests in Locust's statistics."""
    return isinstance(listener, OtherUsers) or getattr(listener, "__module__", "") == "locust.runners"


def without_locusts_own(hook: EventHook) -> EventHook:
    """The same listeners, but for Locust's own: for requests that are in no statistics."""
    others = EventHook()  # type: ignore[no-untyped-call]
    others._handlers = [listener for listener in hook._handlers if not is_locusts_own(listener)]
    return others
