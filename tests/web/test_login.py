"""With a login: nothing is reachable without it, a wrong password gets nowhere, and the right one opens everything."""

from __future__ import annotations

import base64
import http.client
from pathlib import Path
from typing import Any

import pytest
from swarm_processes import wait_until
from web_swarm import WebSwarm

pytestmark = pytest.mark.processes

USER, PASSWORD = "ada", "pass word:ü"
PAGES = (
    "/", "/stats/requests", "/stats/report", "/stats/requests/csv", "/stats/failures/csv", "/exceptions",
    "/exceptions/csv", "/tasks", "/logs", "/worker-count", "/swarm/", "/swarm/state",
    "/swarm/runs", "/swarm/compare?one=a&other=b",
    "/swarm/static/panel.js", "/swarm/runs/some/summary.json",
)  # fmt: skip
ACTIONS = ("/swarm", "/stop", "/user", "/stats/reset")


@pytest.fixture
def locked(web: WebSwarm, tmp_path: Path) -> WebSwarm:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n", encoding="utf-8")
    web.start("--dataset-name", "alpha", env={"SWARM_UI_USER": USER, "SWARM_UI_PASSWORD_FILE": str(secret)})
    wait_until(lambda: b"swarm_workers 2.0" in ask(web, "GET", "/metrics", basic(PASSWORD))[1], 30, "two workers")
    return web


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{USER}:{password}".encode()).decode()}


def ask(web: WebSwarm, method: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """One request, redirects not followed; status 0 while nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def test_nothing_is_reachable_without_the_login(locked: WebSwarm) -> None:
    refused = {path: ask(locked, "GET", path) for path in PAGES}
    assert {path: status for path, (status, _) in refused.items() if status not in (302, 401)} == {}
    assert [path for path, (_, body) in refused.items() if b"alpha" in body or b"swarm-panel" in body] == []
    assert {path: ask(locked, "POST", path)[0] for path in ACTIONS} == dict.fromkeys(ACTIONS, 302)
    assert ask(locked, "GET", "/swarm/state", basic(PASSWORD))[0] == 302  # the password alone opens only the metrics


def test_prometheus_reads_the_metrics_with_the_same_user_and_password(locked: WebSwarm) -> None:
    assert ask(locked, "GET", "/metrics")[0] == 401
    assert ask(locked, "GET", "/metrics", basic("guess"))[0] == 401
    assert ask(locked, "GET", "/metrics", {"Authorization": "Bearer x"})[0] == 401
    status, body = ask(locked, "GET", "/metrics", basic(PASSWORD))
    assert status == 200
    assert b"swarm_users 0.0" in body


def test_a_person_logs_in_and_runs_a_test(locked: WebSwarm, browser: Any) -> None:
    page = browser.new_page()
    page.set_default_timeout(20_000)
    page.goto(locked.url)
    page.get_by_label("Username").fill(USER)
    page.get_by_label("Password").fill("guess")
    page.get_by_role("button", name="Login").click()
    page.get_by_text("Wrong user or password").wait_for()
    page.goto(f"{locked.url}/swarm/")
    assert page.locator("swarm-panel").count() == 0
    page.get_by_label("Username").fill(USER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Login").click()
    page.get_by_label("Number of users").fill("5")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("tab", name="Swarm").click()
    users = page.locator('swarm-panel [data-name="Users"] dd')
    wait_until(lambda: users.count() == 1 and users.inner_text() == "5", 60, "5 users on the page")
    page.get_by_role("button", name="Stop").click()
    (summary,) = locked.wait_for_end(1)
    assert summary["requests"] == locked.target.count
