"""Cases that need Locust in the process, which patches it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.patched import run_cases


@pytest.mark.processes
@pytest.mark.parametrize("cases", ["worker_count_cases.py"])
def test_cases(cases: str) -> None:
    run_cases(Path(__file__).with_name(cases))
