"""How many worker processes a swarm on one machine has when nobody says."""

from __future__ import annotations

import logging

import pytest

import locust  # noqa: F401 - first: it makes the standard library cooperative
from inference_swarm import wiring
from inference_swarm.config.cpus import Cpus


@pytest.fixture(autouse=True)
def half_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKERS", raising=False)
    monkeypatch.setattr(wiring, "cpus_of_this_process", lambda: Cpus(64, 0.5))


def test_the_quota_of_a_container_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wiring._worker_count() == 1
    monkeypatch.setattr(wiring, "cpus_of_this_process", lambda: Cpus(64, 6.0))
    assert wiring._worker_count() == 6
    monkeypatch.setenv("WORKERS", "9")
    assert wiring._worker_count() == 9


def test_the_quota_is_said_where_it_decided(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        wiring._say_quota(1)
    assert "the CPU quota is 0.5 of 64 cores" in caplog.text
    caplog.clear()
    wiring._say_quota(4)
    assert caplog.text == ""
