"""Whatever a test does to its processes, none is there after it."""

from __future__ import annotations

import re
from pathlib import Path

import psutil
import pytest
from suite.inner_session import run_inner

pytestmark = pytest.mark.processes

# An orphan in a session of its own, with an empty environment; it has the test's pipe, as long as it lives.
ORPHAN = """
import os, pytest, subprocess, sys
from pathlib import Path

def start_orphan():
    program = "import os, time; os.fork() and os._exit(0); os.setsid(); print(os.getpid(), flush=True); time.sleep(999)"
    process = subprocess.Popen([sys.executable, "-c", program], env={}, stdout=subprocess.PIPE, text=True)
    pid = process.stdout.readline()
    Path("pids").open("a").write(pid)
    process.wait()
    return process
"""


def orphans(folder: Path) -> list[int]:
    """Those that the inner session has started."""
    return [int(line) for line in (folder / "pids").read_text().split()]


def test_a_passed_test_that_leaves_a_process_has_an_error_that_names_it(tmp_path: Path) -> None:
    said = run_inner(tmp_path, ORPHAN + "@pytest.mark.processes\ndef test_it(): start_orphan()\n")
    (pid,) = orphans(tmp_path)
    assert re.search(rf"left these running:\n  {pid}: .*python.* -c", said), said
    assert "1 passed, 1 error" in said
    assert not psutil.pid_exists(pid)


def test_a_failed_test_keeps_its_own_reason_and_leaves_nothing(tmp_path: Path) -> None:
    tests = ORPHAN + "@pytest.mark.processes\ndef test_it():\n    start_orphan()\n    assert 1 == 2\n"
    said = run_inner(tmp_path, tests)
    assert "assert 1 == 2" in said
    assert "1 failed in" in said
    (pid,) = orphans(tmp_path)
    assert not psutil.pid_exists(pid)


def test_a_test_ends_although_it_waits_for_a_pipe_that_an_orphan_holds_even_after_its_time(tmp_path: Path) -> None:
    tests = (
        ORPHAN
        + """
@pytest.mark.processes
@pytest.mark.timeout(1)
def test_it():
    process = start_orphan()
    try:
        process.stdout.read()
    finally:
        process.stdout.read()

def test_next(): pass
"""
    )
    said = run_inner(tmp_path, tests)
    assert "Timeout (>1.0s)" in said
    assert "1 failed, 1 passed" in said
    (pid,) = orphans(tmp_path)
    assert not psutil.pid_exists(pid)
