"""Which markers a test has, and what follows from them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from suite.alone import NONE_VARIABLE, may_have_priority
from suite.inner_session import run_inner

pytestmark = pytest.mark.processes
NEEDS_PRIORITY = pytest.mark.skipif(not may_have_priority(), reason="this user may give no process real-time priority")


@pytest.mark.parametrize("how", ["subprocess.run(['true'])", "os.fork() or os._exit(0)", "os.system('true')"])
def test_a_test_that_starts_a_process_says_so_with_a_marker(tmp_path: Path, how: str) -> None:
    said = run_inner(tmp_path, f"import os, subprocess\ndef test_it(): {how}\n")
    assert re.search(r"test_inner.py::test_it starts a process \([\w.]+\), and has none of the markers processes", said)
    assert "1 failed" in said


def test_a_test_that_would_import_locust_into_the_process_of_pytest_is_refused(tmp_path: Path) -> None:
    said = run_inner(tmp_path, "import locust\ndef test_it(): pass\n")
    assert "put it into a file of cases for tests/patched.py" in said
    assert "1 error" in said


def test_the_names_of_tests_with_gzip_are_the_same_in_every_process(tmp_path: Path) -> None:
    tests = """import gzip, os, pytest
@pytest.mark.parametrize("body", [gzip.compress(b"a", mtime=os.getpid()), b"plain", gzip.compress(os.urandom(9))])
def test_it(body): pass
"""
    said = run_inner(tmp_path, tests, "-v")
    assert [name for name in ("gzip0", "plain", "gzip1") if f"::test_it[{name}] PASSED" in said] == [
        "gzip0",
        "plain",
        "gzip1",
    ]


def test_an_unmarked_test_is_marked_by_its_fixtures(tmp_path: Path) -> None:
    tests = "import pytest\n" + "".join(
        f"@pytest.fixture\ndef {name}(): pass\ndef test_{name}({name}): pass\n"
        for name in ("swarm", "browser", "image_tag", "other")
    )
    for marker, chosen in (("processes", "swarm"), ("browser", "browser"), ("docker", "image_tag")):
        said = run_inner(tmp_path, tests, "-v", "-m", marker)
        assert f"test_{chosen} PASSED" in said
        assert "1 passed, 3 deselected" in said


@pytest.mark.parametrize("has_priority", [False, pytest.param(True, marks=NEEDS_PRIORITY)])
def test_long_tests_come_first_and_those_that_run_alone_last_unless_they_have_priority(
    tmp_path: Path, has_priority: bool
) -> None:
    tests = "import pytest\n" + "".join(
        f"@pytest.mark.{name}\ndef test_{name}(): pass\n" for name in ("alone", "processes", "browser", "docker")
    )
    env = {} if has_priority else {NONE_VARIABLE: "1"}
    tests += "def test_plain(): pass\n@pytest.mark.xdist_group('some')\ndef test_group(): pass\n"
    said = run_inner(tmp_path, tests, "-v", env=env)
    order = re.findall(r"::test_(\w+) PASSED", said)
    first, *others = "alone", "group", "browser", "processes", "plain"
    assert order == ["docker", *([first, *others] if has_priority else [*others, first])]


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 passed, 1 skipped"), ("true", "1 passed, 1 error")])
def test_a_missing_program_skips_a_test_but_not_in_ci(tmp_path: Path, ci: str, outcome: str) -> None:
    tests = """import pytest
@pytest.mark.needs("no-such-program", "Debian: nothing")
def test_it(): pass
@pytest.mark.needs("sh", "everywhere")
def test_other(): pass
"""
    said = run_inner(tmp_path, tests, "-rs", env={"CI": ci})
    assert outcome in said
    assert "needs no-such-program (Debian: nothing)" in said
