from __future__ import annotations

from pathlib import Path

import pytest

from tests.patched import run_cases


@pytest.mark.processes
def test_folding_gives_what_locust_itself_would_have_counted() -> None:
    run_cases(Path(__file__).with_name("locust_stats_cases.py"))
