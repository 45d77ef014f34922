"""Listeners of one's own, told beside everything else, as messages may not wait for them. An edge: greenlets."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

import gevent
from locust.event import EventHook

logger = logging.getLogger(__name__)
# So long a process that ends waits for listeners of `test_stop`.
LISTENERS_S = 30.0


class Aside:
    """Does one thing after the other, in a greenlet that is there while something is to be done."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._greenlet: gevent.Greenlet | None = None

    def do(self, act: Callable[[], None]) -> None:
        """Call it when all before it are done."""
        self._waiting.append(act)
        if not self._greenlet:
            self._greenlet = gevent.spawn(self._work)

    def finish(self, timeout_s: float | None = None) -> bool:
        """Wait until all is done; returns whether it is."""
        return not self._greenlet or bool(gevent.wait([self._greenlet], timeout_s))

    def _work(self) -> None:
        while self._waiting:
            act = self._waiting.popleft()
            try:
                act()
            except (Exception, gevent.Timeout):  # StopTest, say, which Locust lets pass
                logger.exception("A listener failed")


def split(event: EventHook) -> tuple[EventHook, EventHook]:
    """Return Locust's own listeners, which what follows builds on, and the others, which may take long."""
    own, others = EventHook(), EventHook()  # type: ignore[no-untyped-call]
    for listener in event._handlers:
        is_locusts = str(getattr(listener, "__module__", "")).startswith("locust.")
        (own if is_locusts else others).add_listener(listener)  # type: ignore[no-untyped-call]
    return own, others


def say_unfinished() -> None:
    """Log that listeners of `test_stop` were waited for in vain."""
    logger.error("The process ends though listeners of test_stop have not returned in %.0f s.", LISTENERS_S)
