"""A hang is a failed test, and the other tests go on."""

from __future__ import annotations

from pathlib import Path

import pytest
from suite.inner_session import run_inner

pytestmark = pytest.mark.processes

HANGS = """
import pytest, time

@pytest.mark.timeout(1)
def test_hangs_again_after_its_time_limit():
    while True:
        try:
            time.sleep(99)
        except BaseException:
            pass

@pytest.mark.parametrize("number", range(8))
def test_next(number): pass
"""


def test_a_test_that_swallows_its_time_limit_ends_its_process_alone_and_says_where_it_was(tmp_path: Path) -> None:
    said = run_inner(tmp_path, HANGS, "-n", "2")
    assert "1 failed, 8 passed" in said
    assert "test_hangs_again_after_its_time_limit" in said.split("short test summary info")[1]
    assert 'test_inner.py", line 8 in test_hangs_again_after_its_time_limit' in said
