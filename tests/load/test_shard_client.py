from __future__ import annotations

from pathlib import Path

import pytest

from tests.patched import run_cases


@pytest.mark.processes
def test_settings_of_connections_reach_the_transport() -> None:
    run_cases(Path(__file__).with_name("shard_client_cases.py"))
