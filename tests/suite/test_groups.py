"""Which process of pytest runs which test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from suite.inner_session import run_inner

pytestmark = pytest.mark.processes


def test_a_group_stays_in_one_process_in_its_order_and_is_handed_out_in_the_order_of_its_first_test(
    tmp_path: Path,
) -> None:
    tests = "import pytest\n" + "".join(
        f"@pytest.mark.xdist_group('{group}')\n@pytest.mark.parametrize('n', range({count}))\n"
        f"def test_{group}(n): pass\n"
        for group, count in (("a", 3), ("b", 9), ("c", 5))
    )
    said = run_inner(tmp_path, tests, "-n", "3", "-v")
    assert "17 passed" in said
    for group, count in (("a", 3), ("b", 9), ("c", 5)):
        ran = re.findall(rf"\[(gw\d)\].*PASSED.*::test_{group}\[(\d)\]", said)
        assert [number for _, number in ran] == [str(number) for number in range(count)]
        assert len({process for process, _ in ran}) == 1
    assert len(set(re.findall(r"\[(gw\d)\].*PASSED", said))) == 3


def test_the_tests_that_use_one_dear_fixture_are_a_group_and_others_are_not(tmp_path: Path) -> None:
    tests = """import pytest
@pytest.fixture(scope="session")
def trained(): pass
@pytest.mark.parametrize("n", range(6))
def test_uses(trained, n): pass
@pytest.mark.parametrize("n", range(6))
def test_other(n): pass
"""
    said = run_inner(tmp_path, tests, "-n", "3", "-v")
    assert "12 passed" in said
    assert len(set(re.findall(r"\[(gw\d)\].*PASSED.*::test_uses", said))) == 1
    assert len(set(re.findall(r"\[(gw\d)\].*PASSED.*::test_other", said))) > 1
