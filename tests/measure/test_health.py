"""Cases that need gevent's event loop in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.patched import run_cases


@pytest.mark.processes
def test_cases() -> None:
    run_cases(Path(__file__).with_name("health_cases.py"))
