"""A test marked `alone` runs while no other test does, in whichever process of pytest the others are. A plug-in."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from suite.shared import locked


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """The wait for its turn is outside of a test's time limit."""
    with turn(is_alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextmanager
def turn(*, is_alone: bool) -> Iterator[None]:
    """Together with others, or alone. Who waits to be alone keeps the gate, so that no other goes before it."""
    with ExitStack() as stack:
        with locked("gate"):
            stack.enter_context(locked("turn", is_shared=not is_alone))
        yield
