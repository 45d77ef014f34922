"""One `docker compose` project of a test: its own copy of the checkout, name, port and images; gone when closed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suite import shared
from swarm_processes import OUR_VARIABLES, ROOT, free_port, wait_until

NEEDED = ("compose.yaml", ".dockerignore", "LICENSE", "docker", "locust", "requirements", "server")
SCHEMA = "com.docker.compose"
# What only hangs reach: ten containers that start on two busy cores have taken two minutes.
COMMAND_WITHIN_S = 400.0
# A check starts a process in a container, which of a dozen takes a good part of a core. Nothing waits for these.
CHECKED_RARELY = """\
services:
  master: &rarely
    healthcheck: { interval: 60s }
  worker: *rarely
  swarm: *rarely
"""


def copy_checkout(folder: Path) -> Path:
    """What a fresh clone has, as far as images and compose need it."""
    for name in NEEDED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.parquet")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, folder / name)
    return folder


def docker(*arguments: str, timeout_s: float = 60) -> str:
    """The output of a `docker` command that must succeed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


class Project:
    """A compose project."""

    def __init__(self, folder: Path, name: str, image_tag: str) -> None:
        self.folder = folder
        self.name = name
        self.ui_port = free_port()
        # For a session that is interrupted, and does not come to `close`.
        shared.run_at_end(
            ["docker", "compose", "--project-name", name, "down", "--volumes", "--remove-orphans", "--timeout", "2"]
        )
        (folder / "checked-rarely.yaml").write_text(CHECKED_RARELY, encoding="utf-8")
        kept = {key: value for key, value in os.environ.items() if not key.startswith((*OUR_VARIABLES, "COMPOSE_"))}
        self.environment = {
            **kept,
            "COMPOSE_PROJECT_NAME": name,
            "COMPOSE_PROGRESS": "plain",
            "COMPOSE_FILE": os.pathsep.join(str(folder / name) for name in ("compose.yaml", "checked-rarely.yaml")),
            "IMAGE_TAG": image_tag,
            "UI_PORT": str(self.ui_port),
            # Ten containers on what may be two busy cores: what is tested is not how fast they are.
            "SWARM_CONNECT_TIMEOUT": "30",
            "SWARM_NO_PROBE": "true",  # what the server has answered is then what a run has sent
            "SWARM_WAIT_MIN": "0.5",
            "SWARM_WAIT_MAX": "0.5",
        }

    def compose(
        self, *arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = COMMAND_WITHIN_S
    ) -> subprocess.CompletedProcess[str]:
        """One `docker compose` command to its end, whatever that is."""
        return subprocess.run(
            ["docker", "compose", *arguments],
            cwd=self.folder,
            env={**self.environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def must(self, *arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = COMMAND_WITHIN_S) -> str:
        """The output of a command that must succeed."""
        done = self.compose(*arguments, env=env, timeout_s=timeout_s)
        assert done.returncode == 0, f"docker compose {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def close(self) -> None:
        """Removes containers, networks and volumes."""
        self.compose("--profile", "headless", "down", "--volumes", "--remove-orphans", "--timeout", "2")

    # containers

    def containers(self, service: str | None = None) -> list[dict[str, Any]]:
        """`docker inspect` of the project's containers, ended ones too."""
        filters = ["--filter", f"label={SCHEMA}.project={self.name}"]
        if service:
            filters += ["--filter", f"label={SCHEMA}.service={service}"]
        ids = docker("ps", "--all", "--quiet", *filters).split()
        found: list[dict[str, Any]] = json.loads(docker("inspect", *ids)) if ids else []
        return found

    def python(self, service: str, code: str) -> str:
        """What a Python program prints inside a container."""
        return self.must("exec", "-T", service, "python", "-c", code)

    def server_count(self) -> int:
        """Requests that the reference server has answered since it began."""
        code = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000/stats').read().decode())"
        answered: int = json.loads(self.python("inference-server", code))["answered"]
        return answered

    def logs(self, service: str) -> str:
        """What the containers of a service have said."""
        return self.must("logs", "--no-color", service)

    # web UI

    def get(self, path: str) -> bytes:
        """The body of a response of the web UI."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ui_port}{path}", timeout=10) as response:
            body: bytes = response.read()
            return body

    def post(self, path: str, form: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The response of the web UI to a form."""
        data = urllib.parse.urlencode(form or {}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ui_port}{path}", data, timeout=60) as response:
            document: dict[str, Any] = json.loads(response.read())
            return document

    def stats(self) -> dict[str, Any]:
        """State, users and workers as the web UI has them."""
        document: dict[str, Any] = json.loads(self.get("/stats/requests"))
        return document

    def start(self, users: int, spawn_rate: float, run_time: str = "10m") -> None:
        """The start button; returns when the load begins."""
        runs_before = len(self.runs())
        form = {
            "user_count": users,
            "spawn_rate": spawn_rate,
            "run_time": run_time,
            "host": "http://inference-server:8000",
        }

        def has_begun() -> bool:
            document = self.post("/swarm", form)
            assert document["success"] or "results of the last run" in document["message"], document
            return bool(document["success"])

        wait_until(has_begun, 60, "the end of the run before")
        wait_until(lambda: len(self.runs()) > runs_before, 60, "a run")

    def runs(self) -> list[Path]:
        """Run folders on the host, oldest first."""
        return sorted((self.folder / "experiment-results" / "runs").glob("*"))

    def summary(self) -> dict[str, Any]:
        """summary.json of the latest run."""
        document: dict[str, Any] = json.loads((self.runs()[-1] / "summary.json").read_text(encoding="utf-8"))
        return document
