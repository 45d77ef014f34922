"""Fixtures for tests with real processes and a real HTTP server."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

TESTS = Path(__file__).resolve().parent
sys.path.insert(0, str(TESTS))

from recording_server import Recording, recording_server  # noqa: E402
from suite import alone, closing, groups, leftovers, real_servers, rules, shared, watchdog  # noqa: E402
from swarm_processes import Swarm  # noqa: E402

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("swarm", deadline=None)
hypothesis.settings.load_profile("swarm")


def pytest_addoption(parser: pytest.Parser) -> None:
    real_servers.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # collecting thousands of tests makes no garbage, and took a quarter longer
    for plugin in (shared, alone, groups, leftovers, watchdog, rules, real_servers, closing):
        config.pluginmanager.register(plugin)


def pytest_collection_finish() -> None:
    """Thousands of collected tests are no garbage; to look through them again and again took a tenth of the time."""
    gc.freeze()
    gc.enable()


@pytest.fixture
def recording() -> Iterator[Recording]:
    with recording_server() as server:
        yield server


@pytest.fixture
def swarm(tmp_path: Path) -> Iterator[Swarm]:
    processes = Swarm(tmp_path)
    yield processes
    processes.close()
