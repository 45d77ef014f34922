"""Whoever knocks at the master's ports without being asked: the run goes on as if nobody had."""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from pathlib import Path

import msgpack  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zmq
from recording_server import Recording
from swarm_processes import ROOT, Swarm, free_port, wait_until

from inference_swarm.cluster.keys import make_keys

pytestmark = pytest.mark.processes

FLOOD = 100_000


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": list(range(100))}), path)
    return path


def dealer(port: int, name: bytes, keys: Path | None = None, secret: bytes | None = None) -> zmq.Socket[bytes]:
    """A plain ZMQ client of the master's port."""
    client = zmq.Context.instance().socket(zmq.DEALER)
    client.setsockopt(zmq.IDENTITY, name)
    client.setsockopt(zmq.LINGER, 0)
    client.setsockopt(zmq.SNDHWM, FLOOD)
    if keys is not None:
        public, own = zmq.curve_keypair()
        client.setsockopt(zmq.CURVE_SERVERKEY, (keys / "master.key").read_bytes().split(b'public-key = "')[1][:40])
        client.setsockopt(zmq.CURVE_PUBLICKEY, public)
        client.setsockopt(zmq.CURVE_SECRETKEY, own)
    client.connect(f"tcp://127.0.0.1:{port}")
    return client


def message(kind: object, data: object, sender: object) -> bytes:
    packed: bytes = msgpack.packb((kind, data, sender))
    return packed


def forged_messages(name: str) -> list[bytes]:
    """What someone who knows Locust's protocol but not ours, or ours a little, might try."""
    return [
        b"",
        b"\xc1",
        os.urandom(200),
        b"\x93" * 5000,
        msgpack.packb("text"),
        msgpack.packb([1, 2]),
        message(7, None, name),
        message("heartbeat", {"state": "running"}, name),
        message("heartbeat", None, name),
        message("stats", {}, name),
        message("stats", {"stats": [{"name": "x"}], "errors": 3, "user_classes_count": {}}, name),
        message("client_ready", "2.47.0", name),
        message("client_stopped", None, name),
        message("quit", None, name),
        message("quit", None, "somebody-else"),
        message("spawning_complete", {"user_count": 5}, name),
        message("exception", {"msg": 1}, name),
        message("logs", {"worker_id": [1]}, name),
        message("locustfile", {"version": "2.47.0"}, name),
        message("swarm_hello", {"protocol_version": 1}, name),
        message("swarm_hello", {"protocol_version": 99, "release": "x", "session": "s", "host_name": "h", "pid": 1,
                                "cpu_count": 1}, name),
        message("shard_ready", {"run_id": "x"}, name),
        message("once_report", {"run_id": "x", "sequence": 1, "blocks": [[1]]}, name),
        message("\x1b[2J" * 60, {"__datetime__": True}, name),
        message("x" * 100_000, None, name),
    ]  # fmt: skip


def test_unknown_peers_without_keys_are_not_heard_and_harm_nothing(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    """The channel is open here, so messages do reach the master; all of them are dropped."""
    recording.delay_s = 0.02
    master = swarm.start_master(
        "--host", recording.url, "--data", str(rows), "-u", "10", "-r", "100", "--stop-timeout", "5", workers=1
    )
    swarm.start_worker(1)
    wait_until(lambda: recording.count > 50, 40, "requests")
    clients = [dealer(swarm.master_port, name) for name in (b"evil", b"\xff\xfe\xfd")]
    for client in clients:
        for forged in forged_messages("evil"):
            client.send(forged)
        client.send_multipart([b"a", b"b", b"c"])
    for number in range(FLOOD):
        clients[0].send(message("stats", {"stats": number}, "evil"))
    with socket.create_connection(("127.0.0.1", swarm.master_port)) as raw:
        raw.sendall(os.urandom(5000))
    plain = subprocess.Popen(
        [sys.executable, "-m", "locust", "-f", str(ROOT / "benchmarks" / "locustfiles" / "http_user.py"), "--worker",
         "--master-port", str(swarm.master_port), "--host", recording.url],
        cwd=swarm.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: "a foreign join request" in swarm.log("master"), 30, "that a plain Locust worker is noticed")
        before, at_s = recording.count, time.monotonic()
        wait_until(lambda: time.monotonic() - at_s > 1.5, 5, "a moment more")
        assert recording.count > before + 100
    finally:
        plain.kill()
        plain.wait()
        for client in clients:
            client.close()
    master.send_signal(signal.SIGTERM)
    assert master.wait(60) == 0, swarm.log("master")
    summary = swarm.summary()
    assert summary["requests"] == recording.count
    assert summary["workers"] == 1
    assert summary["complete"] is True
    log = swarm.log("master")
    assert log.count("has joined") == 1
    assert "\x1b[2J" not in log
    assert len(log.splitlines()) < 150
    assert sum(int(count) for count in re.findall(r"Dropped (\d+) times in all", log)) > 0


def test_only_workers_with_the_key_join_and_work(swarm: Swarm, recording: Recording, rows: Path) -> None:
    keys, others = swarm.folder / "keys", swarm.folder / "others"
    make_keys(keys)
    make_keys(others)
    # An unknown peer may know the master's public key, and still have no key that the master knows.
    half = swarm.folder / "half"
    half.mkdir()
    (half / "master.key").write_bytes((keys / "master.key").read_bytes())
    (half / "worker.key_secret").write_bytes((others / "worker.key_secret").read_bytes())
    recording.delay_s = 0.02
    master = swarm.start_master(
        "--host", recording.url, "--data", str(rows), "-u", "10", "-r", "100", "--stop-timeout", "5",
        "--swarm-keys", str(keys), workers=1,
    )  # fmt: skip
    swarm.start_worker(1, "--swarm-keys", str(half))
    swarm.start_worker(2, "--swarm-keys", str(others))
    swarm.start_worker(3)
    wait_until(lambda: "a key that is not known" in swarm.log("master"), 40, "that the unknown key is noticed")
    assert "has joined" not in swarm.log("master")
    swarm.start_worker(4, "--swarm-keys", str(keys))
    wait_until(lambda: recording.count > 50, 40, "requests")
    unlisted = [dealer(swarm.master_port, b"evil", keys), dealer(swarm.master_port, b"evil2")]
    for client in unlisted:
        for number in range(2000):
            with suppress(zmq.Again):  # ZMQ takes no more once the handshake has failed
                client.send(message("stats", {"stats": number}, "evil"), zmq.NOBLOCK)
    master.send_signal(signal.SIGTERM)
    assert master.wait(60) == 0, swarm.log("master")
    assert swarm.processes["worker-4"].wait(20) == 0
    for client in unlisted:
        assert client.poll(200) == 0  # nothing was sent to them
        client.close()
    summary = swarm.summary()
    assert summary["requests"] == recording.count > 50
    assert summary["workers"] == 1
    assert swarm.log("master").count("has joined") == 1
    assert "malformed" not in swarm.log("master")


def test_a_folder_without_keys_is_refused_by_name(swarm: Swarm, recording: Recording, rows: Path) -> None:
    result = swarm.run(
        "--master", "--headless", "--host", recording.url, "--data", str(rows), "--swarm-keys", str(swarm.folder / "no")
    )
    assert result.returncode == 2
    assert "no/worker.key cannot be used" in result.stderr
    assert "scripts/start.sh keys" in result.stderr


@pytest.fixture
def web(swarm: Swarm, rows: Path) -> str:
    """A master with a login, and allowed to test 127.0.0.1 only; its address."""
    port = free_port()
    password = swarm.folder / "password"
    password.write_text("s3cret\n")
    swarm.start(
        "master", "--processes", "1", "--web-host", "127.0.0.1", "--web-port", str(port),
        "--master-bind-host", "127.0.0.1", "--master-bind-port", str(swarm.master_port),
        "--master-port", str(swarm.master_port), "--data", str(rows), "--results", str(swarm.results),
        "--allow-host", "127.0.0.1", "--html", str(swarm.folder / "report.html"),
        env={"SWARM_UI_USER": "ann", "SWARM_UI_PASSWORD_FILE": str(password)},
    )  # fmt: skip
    wait_until(lambda: "1 workers connected" in swarm.log("master"), 40, "the worker")
    return f"http://127.0.0.1:{port}"


class Browser:
    """Keeps cookies; follows redirects; says the status and the body."""

    def __init__(self, base: str) -> None:
        self._base = base
        jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))

    def send(self, path: str, form: dict[str, str] | None = None, **headers: str) -> tuple[int, str]:
        data = None if form is None else urllib.parse.urlencode(form).encode()
        wanted = urllib.request.Request(self._base + path, data, {k.replace("_", "-"): v for k, v in headers.items()})
        try:
            with self._opener.open(wanted, timeout=20) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def test_the_web_ui_asks_for_a_login_and_refuses_other_sites_and_other_targets(
    swarm: Swarm, recording: Recording, web: str
) -> None:
    browser = Browser(web)
    run = {"user_count": "5", "spawn_rate": "50", "host": recording.url}
    assert "authArgs" in browser.send("/")[1]
    assert "authArgs" in browser.send("/stats/requests")[1]
    browser.send("/swarm", run)
    assert "authArgs" in browser.send("/swarm-login", {"username": "ann", "password": "wrong"})[1]
    assert "authArgs" in browser.send("/stats/requests")[1]
    assert recording.count == 0
    assert "authArgs" not in browser.send("/swarm-login", {"username": "ann", "password": "s3cret"})[1]
    assert json.loads(browser.send("/stats/requests")[1])["state"] == "ready"

    assert browser.send("/swarm", run, Origin="http://evil.example")[0] == 403
    assert browser.send("/swarm", run, Sec_Fetch_Site="cross-site")[0] == 403
    assert browser.send("/stop", {}, Origin="null")[0] == 403
    elsewhere = recording.url.replace("127.0.0.1", "localhost")
    for form in ({"host": elsewhere}, {"host": elsewhere, "allow_host": ""}):
        response = json.loads(browser.send("/swarm", {**run, **form})[1])
        if response["success"]:  # the page did not see it, the master must
            wait_until(lambda: "may not be tested" in swarm.log("master"), 20, "the refusal")
        else:
            assert "allow" in response["message"]
    assert recording.count == 0

    status, _ = browser.send("/swarm", run, Origin=web, Sec_Fetch_Site="same-origin")
    assert status == 200
    wait_until(lambda: recording.count > 20, 30, "requests")
    # SIGTERM with a run under way: all result files, and Locust's own report
    master = swarm.processes["master"]
    master.send_signal(signal.SIGTERM)
    assert master.wait(60) == 0, swarm.log("master")
    assert swarm.summary()["requests"] == recording.count
    assert "<html" in (swarm.folder / "report.html").read_text(encoding="utf-8")[:500].lower()


def test_other_sites_cannot_read_and_errors_show_no_debugger(swarm: Swarm, web: str) -> None:
    wanted = urllib.request.Request(f"{web}/login", headers={"Origin": "http://evil.example"})
    with urllib.request.urlopen(wanted, timeout=10) as response:
        assert response.headers.get("Access-Control-Allow-Origin") is None
    status, body = Browser(web).send("/user", {"a": "b"})
    assert "Traceback" not in body
    assert status < 500


def test_a_worker_with_patterns_of_its_own_refuses_what_the_master_would_test(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    master = swarm.start_master("--host", recording.url, "--data", str(rows), "-t", "2s", workers=1)
    swarm.start_worker(1, "--allow-host", "*.test.example")
    assert master.wait(60) == 2
    assert "may not be tested: worker" in swarm.log("master")
    assert "--allow-host" in swarm.log("master")
    assert recording.count == 0


def test_a_master_refuses_a_target_that_is_not_allowed_before_it_opens_a_port(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    result = swarm.run("--headless", "--host", recording.url, "--data", str(rows), "--allow-host", "127.0.0.1:1")
    assert result.returncode == 2
    assert "may not be tested" in result.stderr
    assert recording.count == 0
