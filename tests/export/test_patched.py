"""Cases that need Locust in the process, which patches it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.patched import run_cases


@pytest.mark.processes
def test_a_run_is_recovered_from_its_last_state() -> None:
    run_cases(Path(__file__).with_name("recovery_cases.py"))


@pytest.mark.processes
def test_results_of_a_slow_or_full_disk() -> None:
    run_cases(Path(__file__).with_name("slow_disk_cases.py"))
