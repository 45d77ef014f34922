from __future__ import annotations

from pathlib import Path

import pytest

from tests.patched import run_cases


@pytest.mark.processes
def test_the_user_behaves_as_a_locust_user() -> None:
    run_cases(Path(__file__).with_name("user_cases.py"))
