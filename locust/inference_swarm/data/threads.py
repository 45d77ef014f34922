"""Runs work in a thread pool; an error is a value until it is back with the caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def run_in_pool(apply: Callable[[Callable[[], Any]], Any], task: Callable[[], T]) -> T:
    """Return the task's result through `apply` (a pool's). Exceptions are raised here.

    If it was raised in the thread, gevent would print its own traceback before the message is shown.
    """

    def attempt() -> tuple[bool, Any]:
        try:
            return True, task()
        except Exception as error:
            return False, error

    is_done, value = apply(attempt)
    if not is_done:
        raise value
    result: T = value
    return result
