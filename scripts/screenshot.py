"""Pictures of the web UI for README and docs: scripts/screenshot.py [FOLDER]. Needs playwright and Chromium.

    PYTHONPATH=locust:. .venv/bin/python scripts/screenshot.py docs/images

Trains a model, serves it, and has a master and two workers send an open load for 80 s, in the middle of which the
server is ended and started again. Takes the Swarm tab while the run goes on (`swarm-tab.png`, its first screen
`web-ui.png`), and the report at its end (`report.png`). Look at every one of them before it is committed.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
DATASET, MODEL = "healthcare-dataset-stroke", "xgboost"
RUN_S, RESTART_S, PICTURE_S = 80, 40, 70
RESTART_TAKES_S = 2
WITHIN_S = 120
FORM = {
    "dataset_name": DATASET, "model": MODEL, "user_count": 60, "spawn_rate": 60, "arrival": "poisson", "rate_rps": 300,
    "run_time": f"{RUN_S}s", "slo": "p99<50ms; error_rate<1%",
}  # fmt: skip


class Demo:
    """Reference server, master and workers, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server, self.web, self.master = (_free_port() for _ in range(3))
        self.url = f"http://127.0.0.1:{self.web}"
        self._running: list[subprocess.Popen[bytes]] = []

    def command(self, *words: str) -> None:
        """A command of ours, to its end."""
        subprocess.run(self._ours(*words), check=True, env=self._environment(), cwd=self.folder)

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        """A process that is ended with all others."""
        log = (self.folder / f"{len(self._running)}.log").open("wb")
        self._running.append(subprocess.Popen(argv, env=self._environment(), cwd=self.folder, stdout=log, stderr=log))
        return self._running[-1]

    def serve(self) -> subprocess.Popen[bytes]:
        """The reference server."""
        models = str(self.folder / "models")
        words = ("serve", "--port", str(self.server), "--models", models, "--dataset", DATASET, "--model", MODEL)
        return self.start(*self._ours(*words))

    def locust(self, *words: str) -> subprocess.Popen[bytes]:
        """Locust with our locustfile."""
        return self.start(sys.executable, "-m", "locust", "-f", str(ROOT / "locust" / "locustfile.py"), *words)

    def swarm(self, workers: int) -> None:
        """A master with its web UI, and its workers."""
        server = f"http://127.0.0.1:{self.server}"
        self.locust(
            "--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", str(self.master), "--web-port",
            str(self.web), "--results", str(self.folder), "--host", server, "--server-metrics", f"{server}/metrics",
        )  # fmt: skip
        for _ in range(workers):
            self.locust("--worker", "--master-host", "127.0.0.1", "--master-port", str(self.master))
        wait_until(lambda: len(self.read("swarm/state")["workers"]) == workers, "the workers")

    def read(self, path: str) -> Any:
        """A JSON document of the web UI."""
        with urllib.request.urlopen(f"{self.url}/{path}", timeout=30) as response:
            return json.load(response)

    def post(self, path: str, form: dict[str, object]) -> None:
        """A form of the web UI."""
        urllib.request.urlopen(f"{self.url}/{path}", urllib.parse.urlencode(form).encode(), timeout=60).close()

    def close(self) -> None:
        """End all processes."""
        for process in reversed(self._running):
            process.terminate()
        for process in self._running:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()

    @staticmethod
    def _ours(*words: str) -> list[str]:
        return [sys.executable, "-m", "inference_swarm.cli.main", *words]

    @staticmethod
    def _environment() -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": f"{ROOT / 'locust'}:{ROOT}"}


def main(folder: str = str(ROOT / "docs" / "images")) -> None:
    """Take the pictures."""
    images = Path(folder).resolve()
    with ExitStack() as stack:
        demo = Demo(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        stack.callback(demo.close)
        demo.command("train", "--dataset", DATASET, "--model", MODEL, "--rows", "5110", "--results", str(demo.folder))
        server = demo.serve()
        wait_until(lambda: _is_up(demo.server), "the reference server")
        demo.swarm(workers=2)
        demo.post("swarm", {**FORM, "run_time": "20s"})  # an earlier run for the list
        wait_until(lambda: len(demo.read("swarm/runs")["runs"]) == 1, "the first run's end")
        wait_until(lambda: demo.read("swarm/state")["state"] in ("ready", "stopped"), "that all files are written")
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        demo.post("swarm", FORM)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(f"{demo.url}/?tab=swarm")
        _wait_in_run(demo, RESTART_S)
        server.terminate()
        server.wait(30)
        time.sleep(RESTART_TAKES_S)
        demo.serve()
        _wait_in_run(demo, PICTURE_S)
        page.screenshot(path=images / "web-ui.png")
        page.screenshot(path=images / "swarm-tab.png", full_page=True)
        wait_until(lambda: len(demo.read("swarm/runs")["runs"]) == 2, "the run's end")
        wait_until(lambda: "report.html" in demo.read("swarm/runs")["runs"][0]["files"], "the report")
        report = browser.new_page(viewport={"width": 1400, "height": 1450})
        report.goto(f"{demo.url}/swarm/runs/{demo.read('swarm/runs')['runs'][0]['run']}/report.html")
        report.screenshot(path=images / "report.png")
        if kept := os.environ.get("KEEP_RESULTS"):
            subprocess.run(["cp", "-r", str(demo.folder), kept], check=True)
        browser.close()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; end in words when it does not come."""
    until_s = time.monotonic() + WITHIN_S
    while time.monotonic() < until_s:
        try:
            if condition():
                return
        except OSError:
            pass  # not up yet
        time.sleep(0.5)
    raise SystemExit(f"Not within {WITHIN_S} s: {what}")


def _wait_in_run(demo: Demo, at_s: float) -> None:
    def is_there() -> bool:
        run = demo.read("swarm/state")["run"]
        return run is not None and not run["is_over"] and run["duration_s"] >= at_s

    wait_until(is_there, f"second {at_s} of the run")


def _is_up(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 1):
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main(*sys.argv[1:])
