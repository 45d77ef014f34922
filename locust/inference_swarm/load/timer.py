"""Calls back at an instant of the monotonic clock. An edge: the kernel's timer, gevent's hub.

gevent's own timers wake up on the next whole millisecond (measured: 0.8 ms late at the median); a timerfd of Linux
wakes up 0.03 ms late. Elsewhere gevent's timers have to do.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

import gevent

NS_PER_S = 1_000_000_000
_ABSOLUTE_TIME = 1


class Timer(Protocol):
    """One instant at a time; setting it again forgets the one before."""

    def set(self, due_ns: int) -> None:
        """Call back at this instant, or soon if it has passed."""

    def close(self) -> None:
        """Never call back again."""


class _TimeSpec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("it_interval", _TimeSpec), ("it_value", _TimeSpec))


class KernelTimer:
    """Linux's timerfd on CLOCK_MONOTONIC, which is Python's `monotonic_ns` there."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._spec = _TimerSpec()
        self._watcher: Any = gevent.get_hub().loop.io(self._fd, 1)
        self._watcher.start(self._fire)

    def set(self, due_ns: int) -> None:
        # An instant of 0 would disarm it.
        self._spec.it_value.tv_sec, self._spec.it_value.tv_nsec = divmod(max(1, due_ns), NS_PER_S)
        self._libc.timerfd_settime(self._fd, _ABSOLUTE_TIME, ctypes.byref(self._spec), None)

    def close(self) -> None:
        if self._fd >= 0:
            self._watcher.stop()
            self._watcher.close()
            os.close(self._fd)
            self._fd = -1

    def _fire(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # it was set again between its firing and now
            return
        self._callback()


class HubTimer:
    """gevent's timer."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._timer: Any = None

    def set(self, due_ns: int) -> None:
        self.close()
        loop = gevent.get_hub().loop
        loop.update_now()
        self._timer = loop.timer(max(0.0, (due_ns - time.monotonic_ns()) / NS_PER_S))
        self._timer.start(self._callback)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None


def make_timer(callback: Callable[[], None]) -> Timer:
    """Make the most precise timer of this platform."""
    if sys.platform == "linux":
        try:
            return KernelTimer(callback)
        except (OSError, AttributeError):  # a sandbox that forbids it
            pass
    return HubTimer(callback)
