"""Listeners of one's own, told beside everything else, as messages may not wait for them. An edge: greenlets."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import gevent

if TYPE_CHECKING:
    from locust.event import EventHook  # importing Locust patches the process

logger = logging.getLogger(__name__)
# So long a process that ends waits for listeners of `test_stop`.
LISTENERS_S = 30.0
POLL_S = 0.02


class Telling(gevent.Greenlet):  # type: ignore[misc]
    """A greenlet that tells listeners."""

    is_of_test = False
    """It tells of the start or end of a test, which everything that follows waits for."""
    waits_for_run = False
    """Its listener waits for a run itself, which therefore does not wait for it."""


def tell_of_test(tell: Callable[..., None], *arguments: Any) -> Telling:
    """Call it in a greenlet for the start or end of a test."""
    greenlet = Telling(tell, *arguments)
    greenlet.is_of_test = True
    greenlet.start()
    return greenlet


def is_listener() -> bool:
    """Whether a listener calls: it may not wait for the end of its process, which waits for it."""
    return isinstance(gevent.getcurrent(), Telling)


@contextmanager
def waiting_for_run() -> Iterator[bool]:
    """Inside, the caller waits for a run; False if it may not, as the run waits for it."""
    greenlet = gevent.getcurrent()
    if not isinstance(greenlet, Telling):
        yield True
        return
    greenlet.waits_for_run = True
    try:
        yield not greenlet.is_of_test
    finally:
        greenlet.waits_for_run = False


class Aside:
    """Does one thing after the other, in a greenlet that is there while something is to be done."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], object]] = deque()
        self._greenlet: Telling | None = None

    @property
    def is_busy(self) -> bool:
        """True until all is done."""
        return bool(self._greenlet)

    def do(self, act: Callable[[], object]) -> None:
        """Call it when all before it are done."""
        self._waiting.append(act)
        if not self._greenlet:
            self._greenlet = Telling.spawn(self._work)

    def tell(self, event: EventHook, **values: Any) -> None:
        """Fire an event: for Locust's own listeners now, as what follows builds on them, for others aside."""
        own, others = split(event)
        own.fire(**values)  # type: ignore[no-untyped-call]
        if others._handlers:
            self.do(lambda: others.fire(**values))  # type: ignore[no-untyped-call]

    def finish(self, timeout_s: float | None = None) -> bool:
        """Wait until all is done; returns whether it is. Not for the caller itself, nor for who waits for a run."""
        timeout_s = LISTENERS_S if timeout_s is None else timeout_s
        until_s = time.monotonic() + timeout_s
        while (greenlet := self._greenlet) and greenlet is not gevent.getcurrent() and not greenlet.waits_for_run:
            if time.monotonic() > until_s:
                logger.error("Listeners have not returned in %.3g s: they are waited for no longer.", timeout_s)
                return False
            gevent.wait([greenlet], POLL_S)
        return True

    def _work(self) -> None:
        try:
            while self._waiting:
                act = self._waiting.popleft()
                try:
                    act()
                except (Exception, gevent.Timeout, gevent.GreenletExit):  # StopTest, say, which Locust lets pass
                    logger.exception("A listener failed")
        finally:
            if self._waiting:
                self._greenlet = Telling.spawn(self._work)


def split(event: EventHook) -> tuple[EventHook, EventHook]:
    """Return Locust's own listeners and the others."""
    own, others = type(event)(), type(event)()
    for listener in event._handlers:
        is_locusts = str(getattr(listener, "__module__", "")).startswith("locust.")
        (own if is_locusts else others).add_listener(listener)  # type: ignore[no-untyped-call]
    return own, others
