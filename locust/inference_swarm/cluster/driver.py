"""Runs a state machine in a process: events go in whenever they come, each is decided at once, actions are executed.

An edge: the clock and gevent. The one place where `step` is called outside of tests.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import gevent

E = TypeVar("E")
A = TypeVar("A")
logger = logging.getLogger(__name__)


class Driver(Generic[E, A]):
    """`step` decides, `execute` carries out and must not wait, `wake_s` says when `tick` is due."""

    def __init__(
        self,
        step: Callable[[E, float], list[A]],
        execute: Callable[[A], None],
        wake_s: Callable[[float], float],
        tick: Callable[[], E],
    ) -> None:
        self._step = step
        self._execute = execute
        self._wake_s = wake_s
        self._tick = tick
        self._inbox: deque[E] = deque()
        self._is_stepping = False
        self._timer: gevent.Greenlet | None = None
        self._due_s = 0.0
        self.is_closed = False

    def feed(self, event: E) -> None:
        """Take in an event. It is decided before this returns, unless another one is being decided."""
        if self.is_closed:
            return
        self._inbox.append(event)
        if self._is_stepping:
            return
        self._is_stepping = True
        try:
            while self._inbox:
                self._decide(self._inbox.popleft())
        finally:
            self._is_stepping = False
        self._plan()

    def close(self) -> None:
        """Ignore all further events."""
        self.is_closed = True
        if self._timer is not None and self._timer is not gevent.getcurrent():
            self._timer.kill(block=False)

    def _decide(self, event: E) -> None:
        try:
            actions = self._step(event, time.monotonic())
        except Exception:  # one bad event must not end a process that others rely on
            logger.exception("An event could not be decided: %r", str(event)[:500])
            return
        for action in actions:
            try:
                self._execute(action)
            except Exception:
                logger.exception("An action failed: %r", str(action)[:500])

    def _plan(self) -> None:
        if self.is_closed:
            return
        due_s = self._wake_s(time.monotonic())
        if self._timer is None or self._timer.dead:
            self._due_s = due_s
            self._timer = gevent.spawn(self._tick_loop)
        elif due_s < self._due_s:
            self._due_s = due_s
            if self._timer is not gevent.getcurrent():
                self._timer.kill(block=False)
                self._timer = gevent.spawn(self._tick_loop)

    def _tick_loop(self) -> None:
        while not self.is_closed:
            gevent.sleep(max(0.0, self._due_s - time.monotonic()))
            self._due_s = float("inf")
            self.feed(self._tick())
            self._due_s = self._wake_s(time.monotonic())
