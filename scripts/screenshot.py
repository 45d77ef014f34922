"""Picture of the web UI for the README: scripts/screenshot.py [URL] [FILE]. Needs playwright and Chromium.

    docker compose up --detach --wait --scale worker=8
    .venv/bin/python scripts/screenshot.py http://127.0.0.1:8089 docs/images/web-ui.png

Presses the start button, waits until the charts have something to show, takes the picture, stops the run.
"""

from __future__ import annotations

import os
import sys
import time
import urllib.parse
import urllib.request

from playwright.sync_api import sync_playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
WIDTH, HEIGHT = 1280, 800
LOAD_S = 45
USERS = 200
# Workers of a swarm on one machine: the tab that shows them.
TAB = os.environ.get("TAB", "Workers")


def main(url: str = "http://127.0.0.1:8089", file: str = "docs/images/web-ui.png") -> None:
    """Takes the picture."""
    form = {"user_count": USERS, "spawn_rate": USERS / 4, "host": "http://inference-server:8000", "run_time": "5m"}
    post(f"{url}/swarm", form)
    time.sleep(LOAD_S)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(url, wait_until="load")
        page.get_by_role("tab", name=TAB).click()
        page.wait_for_timeout(6_000)
        page.screenshot(path=file)
        print([tab.inner_text() for tab in page.get_by_role("tab").all()], file)
        browser.close()
    post(f"{url}/stop", {})


def post(url: str, form: dict[str, object]) -> None:
    """A form of the web UI."""
    urllib.request.urlopen(url, urllib.parse.urlencode(form).encode(), timeout=60).close()


if __name__ == "__main__":
    main(*sys.argv[1:])
