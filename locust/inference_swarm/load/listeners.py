"""Who listens to Locust's `request` event: Locust itself, which counts requests in its statistics, and others."""

from __future__ import annotations

from locust.event import EventHook


def is_locusts_own(listener: object) -> bool:
    """Whether it is the one that counts requests in Locust's statistics."""
    return getattr(listener, "__module__", "") == "locust.runners"


def without_locusts_own(hook: EventHook) -> EventHook:
    """The same listeners, but for Locust's own: for requests that are in no statistics."""
    others = EventHook()  # type: ignore[no-untyped-call]
    others._handlers = [listener for listener in hook._handlers if not is_locusts_own(listener)]
    return others
