"""A login for the web UI in containers: user by environment, password from a file that compose hands in as a secret."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

import pytest
from compose_project import Project
from swarm_processes import wait_until

pytestmark = pytest.mark.docker

USER, PASSWORD = "operator", "a pass word"


class Visitor:
    """A browser without a page."""

    def __init__(self, project: Project) -> None:
        self._base = f"http://127.0.0.1:{project.ui_port}"
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def get(self, path: str) -> tuple[str, str]:
        """Where it ended, and what was there."""
        with self._opener.open(self._base + path, timeout=10) as response:
            return response.url.removeprefix(self._base), response.read().decode()

    def log_in(self, password: str) -> str:
        """Where it ended."""
        form = urllib.parse.urlencode({"username": USER, "password": password}).encode()
        with self._opener.open(self._base + "/swarm-login", form, timeout=10) as response:
            where: str = response.url.removeprefix(self._base)
            return where


def test_nothing_is_shown_without_the_login_and_everything_with_it(project: Project) -> None:
    password_file = project.folder / "ui-password"
    password_file.write_text(PASSWORD + "\n", encoding="utf-8")
    login = {"SWARM_UI_USER": USER, "SWARM_UI_PASSWORD_FILE": "./ui-password"}
    as_shipped = {**login, "COMPOSE_FILE": str(project.folder / "compose.yaml")}
    project.must("up", "--detach", "--wait", "--scale", "worker=1", env=as_shipped)
    for service in ("inference-server", "master", "worker"):
        assert [one["State"]["Health"]["Status"] for one in project.containers(service)] == ["healthy"], service
    visitor = Visitor(project)
    for path in ("/", "/stats/requests", "/swarm/state", "/swarm/runs"):
        where, body = visitor.get(path)
        assert where.startswith("/login"), path
        assert "workers" not in body
    assert visitor.log_in("a guess").startswith("/login")
    assert visitor.log_in(PASSWORD) == "/"
    wait_until(lambda: len(json.loads(visitor.get("/stats/requests")[1])["workers"]) == 1, 90, "the worker")
    assert PASSWORD not in project.logs("master") + str(project.containers("master")[0]["Config"]["Env"])
