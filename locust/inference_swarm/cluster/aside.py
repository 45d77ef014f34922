"""Listeners of one's own, told beside everything else, as messages may not wait for them. An edge: greenlets."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import gevent
from locust.event import EventHook

logger = logging.getLogger(__name__)
# So long a process that ends waits for listeners of `test_stop`.
LISTENERS_S = 30.0


class _Greenlet(gevent.Greenlet):  # type: ignore[misc]
    """One that tells listeners."""


def is_listener() -> bool:
    """Whether a listener calls that is told aside: it may not wait for what waits for it."""
    return isinstance(gevent.getcurrent(), _Greenlet)


class Aside:
    """Does one thing after the other, in a greenlet that is there while something is to be done."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._greenlet: gevent.Greenlet | None = None

    @property
    def is_busy(self) -> bool:
        """True until all is done."""
        return bool(self._greenlet)

    def do(self, act: Callable[[], None]) -> None:
        """Call it when all before it are done."""
        self._waiting.append(act)
        if not self._greenlet:
            self._greenlet = _Greenlet.spawn(self._work)

    def tell(self, event: EventHook, **values: Any) -> None:
        """Fire an event: for Locust's own listeners now, as what follows builds on them, for others aside."""
        own, others = EventHook(), EventHook()  # type: ignore[no-untyped-call]
        for listener in event._handlers:
            (own if is_locusts(listener) else others).add_listener(listener)  # type: ignore[no-untyped-call]
        own.fire(**values)  # type: ignore[no-untyped-call]
        if others._handlers:
            self.do(lambda: others.fire(**values))  # type: ignore[no-untyped-call]

    def finish(self) -> None:
        """Wait until all is done; not for long, and not for the caller itself."""
        greenlet = self._greenlet
        if greenlet and greenlet is not gevent.getcurrent() and not gevent.wait([greenlet], LISTENERS_S):
            logger.error("Listeners have not returned in %.0f s: they are waited for no longer.", LISTENERS_S)

    def _work(self) -> None:
        while self._waiting:
            act = self._waiting.popleft()
            try:
                act()
            except (Exception, gevent.Timeout, gevent.GreenletExit):  # StopTest, say, which Locust lets pass
                logger.exception("A listener failed")


def is_locusts(listener: object) -> bool:
    """Whether the listener is one of Locust's own."""
    return str(getattr(listener, "__module__", "")).startswith("locust.")
