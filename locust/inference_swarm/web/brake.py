"""Slows down password guessing in all places that take a password: wrong ones cost time, one after the other.

In: a check of user and password. Out: right, wrong, or busy. The clock is the `wait` that is handed in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import Enum

import gevent
from gevent.lock import BoundedSemaphore

PasswordCheck = Callable[[str, str], bool]

# A wrong password costs this much time, and only one is checked at a time.
WRONG_PASSWORD_S = 1.0
# Those beyond are sent away at once: they would wait longer than a browser does.
MAX_WAITING = 20
# So that one address alone cannot hold up all others for long.
MAX_WAITING_OF_ONE = 3
MAX_TRUSTED = 1000


class Checked(Enum):
    """The result of checking a user and a password."""

    RIGHT = "right"
    WRONG = "wrong"
    BUSY = "busy"


class PasswordBrake:
    """Checks passwords, at most one wrong one a second in all.

    An address that gave the right one is not held up by the wrong ones of others (Prometheus comes every few
    seconds) until it gives a wrong one itself.
    """

    def __init__(self, is_right: PasswordCheck, wait: Callable[[float], object] = gevent.sleep) -> None:
        self._is_right = is_right
        self._wait = wait
        self._lock = BoundedSemaphore(1)
        self._waiting: Counter[str] = Counter()
        self._trusted: dict[str, None] = {}

    def check(self, address: str, user: str, password: str) -> Checked:
        """Check a password, which may take long; BUSY: nothing was checked."""
        if address in self._trusted:
            if self._is_right(user, password):
                return Checked.RIGHT
            del self._trusted[address]
        if self._waiting.total() >= MAX_WAITING or self._waiting[address] >= MAX_WAITING_OF_ONE:
            return Checked.BUSY
        self._waiting[address] += 1
        try:
            with self._lock:
                if self._is_right(user, password):
                    self._trust(address)
                    return Checked.RIGHT
                self._wait(WRONG_PASSWORD_S)
                return Checked.WRONG
        finally:
            self._waiting[address] -= 1
            self._waiting += Counter()  # without those at 0

    def _trust(self, address: str) -> None:
        self._trusted[address] = None
        while len(self._trusted) > MAX_TRUSTED:
            del self._trusted[next(iter(self._trusted))]
