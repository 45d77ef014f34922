"""A test that hangs where no time limit reaches it ends its process of pytest, which says where each thread stood.

A plug-in of pytest. The limit of pytest-timeout is an exception, which an event loop may swallow, or after which the
end of the test hangs again. pytest-xdist reports a process that ended as a failed test, and starts another.
"""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Generator

import pytest
from suite import leftovers

_stderr: list[int] = []  # that of pytest itself, whatever a test's output is captured with


def pytest_configure() -> None:
    _stderr.append(os.dup(2))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Later than everything that ends a test in a better way."""
    limit_s = item.get_closest_marker("timeout").args[0]
    faulthandler.dump_traceback_later(limit_s + 2 * leftovers.PATIENCE_S, exit=True, file=_stderr[-1])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
