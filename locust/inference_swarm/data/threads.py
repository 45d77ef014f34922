"""Work for a thread pool in, its result or its error out: an error is a value until it is back with who asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def run_in_pool(apply: Callable[[Callable[[], Any]], Any], task: Callable[[], T]) -> T:
    """The task's result by way of `apply` (a pool's). What it raises is raised here.

    Were it raised in the thread, gevent would print a traceback of its own before the message reaches anybody.
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
