"""Tests that measure, beside other tests: a plug-in of pytest.

One marked `alone` has the cores before all others where this user may give it real-time priority (root on Linux may),
and else runs while no other test does, in whichever process of pytest the others are. One marked `first` has that
priority where it may be given, and else runs as any other. What such a test starts inherits the priority.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from suite.shared import locked

# TEST_NO_PRIORITY=1: without priority, as on a machine where it may not be given.
NONE_VARIABLE = "TEST_NO_PRIORITY"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """The wait for its turn is outside of a test's time limit."""
    is_alone = item.get_closest_marker("alone") is not None
    has_priority = may_have_priority() and (is_alone or item.get_closest_marker("first") is not None)
    with turn(is_alone=is_alone and not has_priority), priority() if has_priority else ExitStack():
        return (yield)


@contextmanager
def turn(*, is_alone: bool) -> Iterator[None]:
    """Together with others, or alone. Who waits to be alone keeps the gate, so that no other goes before it."""
    with ExitStack() as stack:
        with locked("gate"):
            stack.enter_context(locked("turn", is_shared=not is_alone))
        yield


@functools.cache
def may_have_priority() -> bool:
    """Whether this process may give itself real-time priority."""
    if os.environ.get(NONE_VARIABLE) or sys.platform != "linux":
        return False
    try:
        with priority():
            return True
    except PermissionError:
        return False


@contextmanager
def priority() -> Iterator[None]:
    """This thread, and the threads and processes that it starts, have the cores before all without such a priority."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)
