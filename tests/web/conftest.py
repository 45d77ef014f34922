"""Fixtures: a master with its web UI and workers to start, and a real headless Chromium to look at it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recording_server import Recording
from swarm_processes import Swarm

sys.path.insert(0, str(Path(__file__).resolve().parent))

from web_swarm import WebSwarm

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
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
    """Chromium; skipped where there is none, but never in CI."""
    is_ci = os.environ.get("CI") == "true"
    if not shutil.which(CHROMIUM) and not is_ci:
        pytest.skip(f"needs {CHROMIUM} (Debian: chromium)")
    if not is_ci:
        pytest.importorskip("playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGUMENTS))
        open_page = chromium.new_page
        chromium.new_page = lambda **options: patient(open_page(**options))
        yield chromium
        chromium.close()


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
