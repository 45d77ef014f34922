"""Fixtures: a master with its web UI and workers to start, and a real headless Chromium to look at it."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from recording_server import Recording
from suite import leftovers
from swarm_processes import Swarm

sys.path.insert(0, str(Path(__file__).resolve().parent))

from web_swarm import WebSwarm

# Debian's packages of the same names; without a window it takes half the time for a page.
BROWSERS = ("chromium-headless-shell", "chromium")
BROWSER_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--in-process-gpu", "--disable-site-isolation-trials",
)  # fmt: skip
NETWORK_CHANGED = "ERR_NETWORK_CHANGED"
MAX_LOADS = 5


@pytest.fixture
def web(swarm: Swarm, recording: Recording) -> WebSwarm:
    made = WebSwarm(swarm, recording)
    recording.delay_s = 0.02  # users without a pause would take the cores from the page
    made.make_dataset("alpha")
    made.make_dataset("beta", rows=600)
    return made


@pytest.fixture
def browser() -> Iterator[Any]:
    """Chromium, with the pages of this test only; skipped where there is none, but never in CI."""
    chromium = started_browser()
    yield chromium
    for context in chromium.contexts:
        context.close()


@functools.cache
def started_browser() -> Any:
    """One for all tests of a process that follow each other; started anew after one without it."""
    is_ci = os.environ.get("CI") == "true"
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not path and not is_ci:
        pytest.skip(f"needs {' or '.join(BROWSERS)} (Debian's packages)")
    if not is_ci:
        pytest.importorskip("playwright")
    from playwright.sync_api import sync_playwright

    before = set(psutil.Process().children())
    playwright = OPEN.enter_context(sync_playwright())
    (driver,) = set(psutil.Process().children()) - before
    leftovers.keep(driver.pid)
    OPEN.callback(leftovers.release, driver.pid)
    chromium = playwright.chromium.launch(executable_path=path, args=list(BROWSER_ARGUMENTS))
    OPEN.callback(chromium.close)
    open_page = chromium.new_page
    chromium.new_page = lambda **options: patient(open_page(**options))
    return chromium


OPEN = ExitStack()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """While Playwright is open no other test of this process could use asyncio."""
    if "browser" not in getattr(nextitem, "fixturenames", ()):
        OPEN.close()
        started_browser.cache_clear()


def patient(page: Any) -> Any:
    """Loads a page again of which Chromium gave up a part, as it does when a network interface comes or goes.

    Those of containers in tests beside it do.
    """
    given_up: list[str] = []
    page.on("requestfailed", lambda request: given_up.append(request.failure))
    load = page.goto

    def goto(url: str, **options: Any) -> Any:
        for _ in range(MAX_LOADS - 1):
            given_up.clear()
            try:
                response = load(url, **options)
            except Exception as error:
                if NETWORK_CHANGED not in str(error):
                    raise
            else:
                if not any(NETWORK_CHANGED in why for why in given_up):
                    return response
        return load(url, **options)

    page.goto = goto
    return page
