"""Hostile requests against a real master: what they must not get, and the exact answer that they get instead."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

import pytest
from swarm_processes import Swarm, wait_until
from web_swarm import WebSwarm

pytestmark = pytest.mark.processes

SECRET = "a-secret-of-the-environment"


@pytest.fixture
def open_web(web: WebSwarm) -> WebSwarm:
    """Without a login, and a run is never under way."""
    web.start("--dataset-name", "alpha", "--header", f"Authorization: Bearer {SECRET}", workers=1)
    web.wait_for_workers(1)
    return web


def ask(
    web: WebSwarm, method: str, path: str, headers: Mapping[str, str] | None = None, body: str = ""
) -> tuple[int, str, Mapping[str, str]]:
    """One request with exactly these headers, redirects not followed."""
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            connection.putheader(name, value)
        connection.endheaders(body.encode())
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.headers)
    finally:
        connection.close()


def form(web: WebSwarm, **fields: str) -> str:
    """The words with which a start was refused."""
    answer = web.start_run(**fields)
    assert answer["success"] is False, answer
    return str(answer["message"])


def test_no_file_is_read_for_the_form(open_web: WebSwarm, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    private = tmp_path / "private.txt"
    private.write_text("30s@5 the secret text")
    began = time.monotonic()
    for path in ("/etc/passwd", "/proc/self/environ", "/dev/zero", str(fifo), str(private), "../private.txt"):
        assert form(open_web, stages=path) == (
            "--stages holds no stage (start form). Expected: stages like 30s@500 (hold), 1m@500..2000 or 1m->2000 "
            "(ramp), 10m@sine(200..800,2m), 5m@steps(100..500,5) or 3x(30s@500,10s@2000), separated by commas or "
            "lines. Fix: give the stages themselves: the name of a file is for the command line."
        ), path
    assert time.monotonic() - began < 5
    assert open_web.state()["state"] == "ready"  # the loop went on


NOT_OF_THE_FORM = (
    ("results_dir", "/elsewhere", "--results"),
    ("results", "/elsewhere", "--results"),
    ("data", "/etc/passwd", "--data"),
    ("labels", "/etc/passwd", "--labels"),
    ("ca_file", "/etc/passwd", "--ca-file"),
    ("swarm_keys", "/etc", "--swarm-keys"),
    ("run_name", "../../evil", "--run-name"),
    ("headers", "Cookie: a=b", "--header"),
    ("insecure", "on", "--insecure"),
    ("allow_host", "*", "--allow-host"),
    ("web_host_names", "*", "--web-host-name"),
    ("stop_timeout", "0", "--stop-timeout"),
    ("loglevel", "DEBUG", "--loglevel"),
)


def test_the_form_sets_nothing_that_it_does_not_show(open_web: WebSwarm) -> None:
    for name, value, flag in NOT_OF_THE_FORM:
        assert form(open_web, **{name: value}) == (
            f"{flag} cannot be set in the web UI. "
            "Fix: set it on the master's command line, in its environment or in config.json."
        ), name


def test_options_of_locust_are_no_fields_and_change_nothing(open_web: WebSwarm) -> None:
    for name in ("html_file", "csv_prefix", "web_login", "json_file", "processes"):
        assert form(open_web, **{name: "true"}).startswith(f"'{name}' is not a field of the start form.")
    summary = open_web.run_once(seconds=1)
    assert summary["settings"]["results_dir"]["value"] == str(open_web.swarm.results)
    assert summary["settings"]["insecure"] == {"value": False, "source": "built-in default"}


def test_names_of_datasets_and_runs_stay_in_their_folders(open_web: WebSwarm) -> None:
    for name in ("../../etc", "..", "a/b", "a\\b", "a\nb", "/etc", "a" * 300, "ü" * 150):
        assert form(open_web, dataset_name=name).startswith(
            f"--dataset-name is {name!r}. Expected: the name of one folder"
        )


def test_a_dataset_whose_file_is_broken_or_gone_is_refused_at_once(open_web: WebSwarm) -> None:
    folder = open_web.swarm.results / "splits" / "broken"
    folder.mkdir()
    (folder / "X_test.parquet").write_bytes(b"not parquet")
    assert "broken/X_test.parquet" in form(open_web, dataset_name="broken")
    assert "There is no data for the dataset 'gone'." in form(open_web, dataset_name="gone")
    assert open_web.state()["refused"] == ""


REQUESTS = (
    ("GET", "/"), ("GET", "/swarm/state"), ("GET", "/metrics"), ("GET", "/logs"), ("GET", "/assets/x.js"),
    ("POST", "/stop"), ("POST", "/swarm"), ("POST", "/stats/reset"), ("POST", "/user"), ("GET", "/nowhere"),
)  # fmt: skip


def test_a_name_that_is_not_ours_is_not_answered(open_web: WebSwarm) -> None:
    host = f"evil.example:{open_web.port}"
    same = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    for method, path in REQUESTS:
        status, text, _ = ask(open_web, method, path, same)
        assert (status, text) == (
            403,
            f"Refused: this web UI does not answer to the host name '{host}'.\n"
            "Expected: localhost, an address, the name of this machine, or a name of --web-host-name.\n"
            "Fix: start the master with --web-host-name NAME (SWARM_WEB_HOST_NAMES).\n",
        ), path


def test_other_sites_may_not_post_and_our_own_page_may(open_web: WebSwarm) -> None:
    host = f"localhost:{open_web.port}"
    for headers in (
        {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": f"http://{host}"}, {"Origin": "http://localhost"},
    ):  # fmt: skip
        assert ask(open_web, "POST", "/stop", {"Host": host, **headers})[0] == 403, headers
    assert ask(open_web, "POST", "/stop", {"Host": host, "Origin": f"http://{host}"})[0] == 200
    assert ask(open_web, "POST", "/stop", {"Host": host})[0] == 200  # curl


def test_a_name_that_is_given_is_answered(web: WebSwarm) -> None:
    web.start("--dataset-name", "alpha", "--web-host-name", "swarm.example.org", "--web-host-name", "*.lab", workers=0)
    wait_until(web.is_up, 30, "the page")
    assert ask(web, "GET", "/swarm/state", {"Host": "swarm.example.org"})[0] == 200
    assert ask(web, "GET", "/swarm/state", {"Host": f"ui.lab:{web.port}"})[0] == 200
    assert ask(web, "GET", "/swarm/state", {"Host": "example.org"})[0] == 403


def test_no_page_holds_a_secret_and_every_one_says_what_it_may_do(open_web: WebSwarm) -> None:
    summary = open_web.run_once(seconds=1)
    run = summary["run"]
    pages = (
        "/", "/swarm/", "/swarm/state", "/swarm/runs", f"/swarm/runs/{run}/summary.json", "/logs", "/metrics",
        f"/swarm/runs/{run}/report.html", f"/swarm/runs/{run}/locust.html", "/stats/requests", "/stats/report",
        f"/swarm/compare?one={run}&other={run}", f"/swarm/compare.html?one={run}&other={run}", "/nowhere",
    )  # fmt: skip
    for path in pages:
        status, text, headers = ask(open_web, "GET", path)
        assert status == (404 if path == "/nowhere" else 200), path
        assert SECRET not in text, path
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert headers["X-Frame-Options"] == "DENY", path
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin", path
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], path
        assert "Access-Control-Allow-Origin" not in headers, path
        scripts = headers["Content-Security-Policy"].partition("script-src")[2].partition(";")[0]
        assert "unsafe" not in scripts, path
    assert SECRET not in (open_web.swarm.results / "runs" / run / "summary.json").read_text()
    assert open_web.target.count == summary["requests"]


def test_a_body_that_is_too_large_is_not_read(open_web: WebSwarm) -> None:
    status, _, _ = ask(
        open_web, "POST", "/swarm", {"Content-Type": "application/x-www-form-urlencoded"}, "slo=" + "x" * (1 << 21)
    )
    assert status == 413


def test_classes_of_users_have_no_other_attribute_set(web: WebSwarm) -> None:
    web.start("--dataset-name", "alpha", "--class-picker", "--allow-host", "127.0.0.1", workers=1)
    web.wait_for_workers(1)

    def change(**fields: object) -> tuple[int, str]:
        status, text, _ = ask(web, "POST", "/user", None, json.dumps({"user_class_name": "ModelUser", **fields}))
        return status, text

    assert change(weight=2, fixed_count=0, tasks=["send_next_row"])[0] == 201
    status, text = change(assignment="x")
    assert status == 400
    assert "'assignment' is not a field of the start form" in json.loads(text)["message"]
    assert change(host="http://192.0.2.1")[0] == 400


def listening(port: int) -> set[str]:
    """Addresses on which somebody of this machine listens at the port."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            address, _, at = local.partition(":")
            if state == "0A" and int(at, 16) == port:
                found.add("everywhere" if not int(address, 16) else "loopback" if address == "0100007F" else address)
    return found


@pytest.mark.parametrize(
    ("arguments", "has_login", "where"),
    [
        ([], False, "loopback"),
        (["--web-host", ""], False, "everywhere"),
        (["--web-host", "*"], False, "everywhere"),
        (["--web-host", "0.0.0.0"], False, "everywhere"),
        ([], True, "everywhere"),
        (["--web-host", "127.0.0.1"], True, "loopback"),
    ],
)
def test_the_web_ui_listens_on_loopback_unless_it_is_asked_or_has_a_login(
    swarm: Swarm, tmp_path: Path, arguments: list[str], has_login: bool, where: str
) -> None:
    password = tmp_path / "password"
    password.write_text("secret")
    env = {"SWARM_UI_USER": "ada", "SWARM_UI_PASSWORD_FILE": str(password)} if has_login else {}
    web = WebSwarm(swarm, None)  # type: ignore[arg-type]
    swarm.start("single", "--processes", "0", "--web-port", str(web.port), *arguments, env=env)
    wait_until(lambda: bool(listening(web.port)), 30, "the web UI")
    assert listening(web.port) == {where}


def quoted(**fields: str) -> str:
    return urllib.parse.urlencode(fields)


def test_wrong_passwords_are_slow_at_the_metrics_as_at_the_login(web: WebSwarm, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("right")
    web.start(
        "--dataset-name", "alpha", workers=0,
        env={"SWARM_UI_USER": "ada", "SWARM_UI_PASSWORD_FILE": str(password)},
    )  # fmt: skip
    wait_until(lambda: "web UI" in web.swarm.log("master") or "web interface" in web.swarm.log("master"), 30, "a log")
    wait_until(lambda: bool(listening(web.port)), 30, "the web UI")
    wrong = {"Authorization": "Basic YWRhOmd1ZXNz"}
    began = time.monotonic()
    assert ask(web, "GET", "/metrics", wrong)[0] == 401
    login = {"Content-Type": "application/x-www-form-urlencoded"}
    assert ask(web, "POST", "/swarm-login", login, quoted(username="ada", password="guess"))[0] == 302
    assert ask(web, "GET", "/metrics", wrong)[0] == 401
    assert time.monotonic() - began >= 3.0
    began = time.monotonic()
    assert ask(web, "GET", "/metrics", {"Authorization": "Basic YWRhOnJpZ2h0"})[0] == 200
    assert time.monotonic() - began < 1.0
