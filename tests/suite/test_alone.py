"""Tests that measure, and what they start, have the cores before others where that may be given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from suite.alone import NONE_VARIABLE, may_have_priority, priority
from suite.inner_session import run_inner
from suite.prefork import Forked
from swarm_processes import Swarm, wait_until

pytestmark = pytest.mark.processes
needs_priority = pytest.mark.skipif(not may_have_priority(), reason="this user may give no process real-time priority")

TESTS = """
import os, subprocess, sys, threading
import pytest
from pathlib import Path
from swarm_processes import wait_until

SAY = "import os; print(os.sched_getscheduler(0))"

def policies():
    of_thread = []
    thread = threading.Thread(target=lambda: of_thread.append(os.sched_getscheduler(0)))
    thread.start()
    thread.join()
    child = subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True)
    return {os.sched_getscheduler(0), *of_thread, int(child.stdout)}

@pytest.mark.processes
@pytest.mark.parametrize("n", range(9))
def test_other(n):
    Path(f"other-{n}").touch()
    wait_until(lambda: not IS_BESIDE or Path("alone").exists(), 20, "the one that has priority")
    Path(f"other-{n}").unlink()
    assert policies() == {os.SCHED_OTHER}

@pytest.mark.processes
@pytest.mark.alone
def test_alone():
    if IS_BESIDE:
        wait_until(lambda: bool(list(Path().glob("other-*"))), 20, "another test beside this one")
    assert bool(list(Path().glob("other-*"))) == IS_BESIDE
    Path("alone").touch()
    assert policies() == {os.SCHED_RR if IS_BESIDE else os.SCHED_OTHER}

@pytest.mark.processes
@pytest.mark.first
def test_first():
    assert policies() == {os.SCHED_RR if IS_BESIDE else os.SCHED_OTHER}
"""


@pytest.mark.parametrize("is_beside", [False, pytest.param(True, marks=needs_priority)])
def test_what_measures_runs_beside_others_with_priority_and_by_itself_without(tmp_path: Path, is_beside: bool) -> None:
    env = {} if is_beside else {NONE_VARIABLE: "1"}
    said = run_inner(tmp_path, f"IS_BESIDE = {is_beside}\n{TESTS}", "-n", "3", env=env)
    assert "11 passed" in said, said


@needs_priority
def test_a_forked_command_has_the_priority_of_who_started_it(swarm: Swarm) -> None:
    def policy_of(name: str) -> int:
        process = swarm.start(name, "--worker", "--master-port", "1")
        assert isinstance(process, Forked)
        wait_until(lambda: bool(swarm.log(name)), 20, "its first words")
        return os.sched_getscheduler(process.pid)

    assert policy_of("before") == os.SCHED_OTHER
    with priority():
        assert policy_of("in it") == os.SCHED_RR
    assert policy_of("after") == os.SCHED_OTHER
