"""The worker processes that a master has forked: whether they are still there. An edge: processes.

Locust waits for workers without end and does not look whether those it forked are alive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

import gevent
import psutil

LOOK_PERIOD_S = 1.0


def count_children() -> int:
    """Return the child processes of this one that have not ended."""
    return count_alive(psutil.Process().children())


def find_forked() -> list[psutil.Process]:
    """Return the processes that this one has forked and that have not ended."""
    this, found = psutil.Process(), []
    for child in this.children():
        with suppress(psutil.Error):
            if child.cmdline() == this.cmdline():
                found.append(child)
    return found


def kill_forked() -> None:
    """Kill the processes that this one has forked: nobody will hear what they still have to say."""
    for child in find_forked():
        with suppress(psutil.Error):
            child.kill()


def count_alive(processes: Iterable[psutil.Process]) -> int:
    """Those of them."""
    count = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # it ended while we looked
            count += process.status() != psutil.STATUS_ZOMBIE
    return count


def wait_for_joined(
    forked: int, count_joined: Callable[[], int], count_there: Callable[[], int] = count_children
) -> str:
    """Return "" when `count` workers have joined, or why they never will: some of the forked processes have ended."""
    while count_joined() < forked:
        there = count_there()
        if there < forked and count_joined() < forked:
            return (
                f"{forked - there} of the {forked} worker processes that this master forked have ended before they "
                "joined.\n  Fix: what they logged says why; if nothing does, the machine may have too little memory "
                "(--processes)."
            )
        gevent.sleep(LOOK_PERIOD_S)
    return ""
