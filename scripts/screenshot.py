"""Picture of the web UI for the README: scripts/screenshot.py [URL] [FILE]. Needs playwright and Chromium.

    SWARM_WAIT_MIN=0.1 SWARM_WAIT_MAX=0.1 docker compose up --detach --wait --scale worker=8
    .venv/bin/python scripts/screenshot.py http://127.0.0.1:8089 docs/images/web-ui.png

Presses the start button, waits until all workers have run for a while, takes the picture, stops the run.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.parse
import urllib.request

from playwright.sync_api import sync_playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
WIDTH, HEIGHT = 1280, 760
RUNNING_FOR_S = 30
WITHIN_S = 240
USERS = 80
TAB = os.environ.get("TAB", "Workers")


def main(url: str = "http://127.0.0.1:8089", file: str = "docs/images/web-ui.png") -> None:
    """Takes the picture."""
    form = {"user_count": USERS, "spawn_rate": USERS / 4, "host": "http://inference-server:8000", "run_time": "10m"}
    post(f"{url}/swarm", form)
    wait_until_all_run(url)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(url, wait_until="load")
        page.get_by_role("tab", name=TAB, exact=True).click()
        page.wait_for_timeout(6_000)
        page.screenshot(path=file)
        print([tab.inner_text() for tab in page.get_by_role("tab").all()], file)
        browser.close()
    post(f"{url}/stop", {})


def wait_until_all_run(url: str) -> None:
    """Until every worker has had users for RUNNING_FOR_S."""
    began_s = since_s = time.monotonic()
    while time.monotonic() - since_s < RUNNING_FOR_S:
        if time.monotonic() - began_s > WITHIN_S:
            raise SystemExit(f"Not all workers have run for {RUNNING_FOR_S} s within {WITHIN_S} s")
        with urllib.request.urlopen(f"{url}/stats/requests", timeout=30) as response:
            stats = json.load(response)
        if not all(worker["user_count"] for worker in stats["workers"]) or stats["user_count"] != USERS:
            since_s = time.monotonic()
        time.sleep(1)


def post(url: str, form: dict[str, object]) -> None:
    """A form of the web UI."""
    urllib.request.urlopen(url, urllib.parse.urlencode(form).encode(), timeout=60).close()


if __name__ == "__main__":
    main(*sys.argv[1:])
