"""The containers' health check, on the states that a process writes about itself."""

from __future__ import annotations

import importlib.util
import re
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HEALTH = Path(__file__).resolve().parent.parent.parent / "docker" / "health.py"


@pytest.fixture(scope="module")
def health() -> ModuleType:
    spec = importlib.util.spec_from_file_location("container_health", HEALTH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def worker(**changes: Any) -> dict[str, Any]:
    now_s = time.monotonic()
    state = {
        "role": "worker",
        "pid": 7,
        "at_s": now_s,
        "is_joined": True,
        "web_port": None,
        "is_loading": False,
    }
    return {**state, **changes}


@pytest.mark.parametrize(
    ("changes", "live", "ready"),
    [
        ({}, "", ""),
        ({"is_loading": True}, "", "process 7: its rows are being loaded"),
        ({"is_joined": False}, "", "process 7: no master answers"),
    ],
)
def test_a_worker_is_ready_when_it_hears_its_master_and_has_its_rows(
    health: ModuleType, changes: dict[str, Any], live: str, ready: str
) -> None:
    assert health.check_process(worker(**changes), "live") == live
    assert health.check_process(worker(**changes), "ready") == ready


def test_a_process_whose_loop_stands_still_is_not_live(health: ModuleType) -> None:
    assert "its event loop has not turned for 60 s" in health.check_process(worker(at_s=time.monotonic() - 60), "live")


def test_the_engine_waits_longer_for_the_check_than_the_check_for_a_server_under_full_load(health: ModuleType) -> None:
    dockerfile = (HEALTH.parent / "Dockerfile").read_text(encoding="utf-8")
    timeouts = {
        question: int(seconds)
        for seconds, question in re.findall(r'^HEALTHCHECK .*--timeout=(\d+)s .*"(\w+)"\]$', dockerfile, re.M)
    }
    assert timeouts["server"] > health.SERVER_ANSWERS_WITHIN_S >= 50
    assert timeouts["ready"] > health.ANSWER_WITHIN_S >= 10
