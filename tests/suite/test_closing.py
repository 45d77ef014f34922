"""What is left of a session for the one that tries its failed tests again."""

from __future__ import annotations

from pathlib import Path

import pytest
from suite.closing import FILE_VARIABLE, FIRST_VARIABLE
from suite.inner_session import run_inner

TESTS = """
import pytest

@pytest.fixture
def broken():
    raise ValueError

@pytest.mark.parametrize("text", ["a b", "x@y"])
def test_fails(text):
    assert text == "x@y"

def test_has_no_fixture(broken): pass

def test_passes(): pass
"""


@pytest.mark.processes
def test_the_second_session_names_what_the_first_had_failed_in_before_its_own_last_line(tmp_path: Path) -> None:
    closing = tmp_path / "closing"
    run_inner(tmp_path, TESTS, "-n", "2", env={FILE_VARIABLE: str(closing)})
    counts, *failed = closing.read_text().splitlines()
    assert counts == "1 failed, 2 passed, 1 error"
    assert sorted(failed) == ["test_inner.py::test_fails[a b]", "test_inner.py::test_has_no_fixture"]

    repaired = TESTS.replace("raise ValueError", "pass").replace('assert text == "x@y"', "pass")
    *_, title, first, one, other, last = run_inner(
        tmp_path, repaired, *failed, env={FIRST_VARIABLE: str(closing)}
    ).splitlines()
    assert "tried once more" in title
    assert "1 failed, 2 passed, 1 error" in first
    assert [one.strip(), other.strip()] == failed
    assert "2 passed in" in last
