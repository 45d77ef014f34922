"""No test leaves a process: what it has started and not ended is ended after it, and fails a test that had passed.

A plug-in of pytest. On Linux this process adopts the orphans of its children, so that none is out of sight whatever
became of the parents, of process groups and of environments.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterable
from contextlib import suppress

import psutil
import pytest
from suite.rules import STARTS_PROCESSES

PR_SET_CHILD_SUBREAPER = 36
# A process that was asked to end may be about to.
GRACE_S = 5.0

# How long after its time limit a test may take to end.
PATIENCE_S = 60.0

_kept: set[int] = set()
_failed: set[pytest.Item] = set()


def keep(pid: int) -> None:
    """This process belongs to more than one test."""
    _kept.add(pid)


def release(pid: int) -> None:
    """From now on it belongs to the test that runs."""
    _kept.discard(pid)


def pytest_configure() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # As Ctrl-C: fixtures end what they have started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Ignored under `nohup` or in the background of a script, which programs inherit; of a handler they do not.
    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Whatever a process of pytest that crashed has left, and what was kept."""
    end(psutil.Process().children(recursive=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test whose end, too, waits for a process that does not end: without its processes it cannot."""
    if not may_start(item):
        return (yield)
    limit_s = item.get_closest_marker("timeout").args[0]
    last_resort = threading.Timer(limit_s + PATIENCE_S, lambda: end(left()))
    last_resort.daemon = True
    last_resort.start()
    try:
        return (yield)
    finally:
        last_resort.cancel()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """After all fixtures that end with this test."""
    if not may_start(item):
        return (yield)
    described: list[str] = []
    running: list[psutil.Process] | None = None
    try:
        result = yield
        late_s = time.monotonic() + GRACE_S
        while (running := left()) and time.monotonic() < late_s and item not in _failed:
            time.sleep(0.02)
        described = [describe(process) for process in running]
    finally:
        end(left() if running is None else running)
    if described and item not in _failed:
        pytest.fail("The test has left these running:\n" + "\n".join(described), pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        _failed.add(item)
    return report


def may_start(item: pytest.Item) -> bool:
    """Whether its markers say that it starts processes; tests/suite/rules.py lets no other."""
    return any(item.get_closest_marker(marker) for marker in STARTS_PROCESSES)


def left() -> list[psutil.Process]:
    """Descendants that run, other than those that are kept and theirs.

    The kernel's table of processes is read once: reading it for each child took most of the time of the whole suite.
    """
    found = psutil.Process().children(recursive=True)
    parents: dict[int, int] = {}
    for process in found:
        with suppress(psutil.NoSuchProcess):
            parents[process.pid] = process.ppid()
    return [process for process in found if not is_kept(process.pid, parents) and runs(process)]


def is_kept(pid: int, parents: dict[int, int]) -> bool:
    """Whether a process is kept, or a descendant of one that is."""
    while pid in parents:
        if pid in _kept:
            return True
        pid = parents[pid]
    return False


def runs(process: psutil.Process) -> bool:
    """Not so one that has ended and whose parent has not asked."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def describe(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return f"  {process.pid}: {' '.join(process.cmdline())[:300]}"
    return f"  {process.pid}"


def end(processes: Iterable[psutil.Process]) -> None:
    """Kills them, and waits until they are gone."""
    killed = list(processes)
    for process in killed:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    for process in killed:
        with suppress(ChildProcessError):
            os.waitpid(process.pid, 0)
    psutil.wait_procs(killed, timeout=GRACE_S)
