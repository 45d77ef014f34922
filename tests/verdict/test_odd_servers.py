"""Whatever a server does: it passes only if it served, each request counts once, and the result says what it was."""

from __future__ import annotations

import csv
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from odd_server import BODY, OddServer, Peer, for_each_request, odd_server, response
from swarm_processes import Swarm, free_port, wait_until

pytestmark = pytest.mark.processes

Run = Callable[..., tuple[dict[str, Any], str]]


@pytest.fixture
def run(swarm: Swarm, rows: Path) -> Run:
    """A run of 2 s with 4 users in one process: its summary, and what it said on the terminal."""

    def run_it(url: str, *arguments: str) -> tuple[dict[str, Any], str]:
        result = swarm.run(
            "--headless", "--host", url, "--data", str(rows), "--results", str(swarm.results), "--processes", "0",
            "--no-probe",
            "-u", "4", "-r", "100", "-t", "2s", "--stop-timeout", "1", *arguments,
        )  # fmt: skip
        summary = swarm.summary()
        assert result.returncode == summary["exit_code"], result.stderr
        return summary, result.stderr

    return run_it


def silence(peer: Peer) -> None:
    """Reads on and says nothing."""


def only_the_first(peer: Peer) -> None:
    if peer.requests == 1:
        peer.send(response())


def dribble(peer: Peer) -> None:
    peer.send(response()[: -len(BODY)])
    for place in range(len(BODY)):
        time.sleep(0.3)
        peer.send(BODY[place : place + 1])


def endless_chunks(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n13\r\n" + BODY + b"\r\n")


@pytest.mark.parametrize("answer", [silence, only_the_first, dribble, endless_chunks])
def test_a_server_that_leaves_requests_without_a_whole_response_is_not_passed(
    run: Run, answer: Callable[[Peer], None]
) -> None:
    with odd_server(for_each_request(answer)) as server:
        summary, said = run(server.url)
    assert (summary["verdict"], summary["exit_code"]) == ("requests failed", 1)
    assert summary["abandoned"] == 4
    assert summary["requests"] + summary["abandoned"] == server.read
    assert summary["succeeded"] == (4 if answer is only_the_first else 0)
    assert "4 abandoned" in said
    assert "4 requests were abandoned: sent, and without a whole response when the run ended" in said
    with (Path(summary["settings"]["results_dir"]["value"]) / "run_table.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["verdict"], row["abandoned"]) == ("requests failed", "4")


def test_of_an_open_load_that_nobody_answers_every_arrival_is_abandoned_or_dropped(run: Run) -> None:
    with odd_server(for_each_request(silence)) as server:
        summary, _ = run(server.url, "--arrival", "constant", "--rate", "20", "--slo", "p50<1s")
    assert (summary["verdict"], summary["exit_code"]) == ("objective missed", 3)
    arrivals = summary["arrivals"]
    assert (arrivals["wanted"], arrivals["abandoned"], arrivals["unaccounted"]) == (40, 4, 0)
    assert arrivals["dropped"] == 36
    assert summary["error_rate"] == 1
    assert server.read == 4


@pytest.mark.parametrize(
    ("data", "kind", "error", "words"),
    [
        (response(500, b"out of memory"), "status", "status: 500 Internal Server Error", "out of memory"),
        (response(302, b"", head=b"location: /login\r\n"), "status", "status: 302 Found", ""),
        (response(length=5), "protocol", "protocol: more bytes than the response has", "HTTP/1.1 200 Any"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "protocol", "protocol: not HTTP: Expected HTTP/, RTSP/ or ICE/", "SSH-2.0"),
        (response(body=b"\x1f\x8b\x08!", head=b"content-encoding: gzip\r\n"), "answer",
         "answer: the body in gzip is cut short, damaged or too large", ""),
        (response(body=b""), "answer", "answer: an empty body", ""),
    ],
)  # fmt: skip
def test_quick_nonsense_fails_every_request_and_explains_itself(
    run: Run, data: bytes, kind: str, error: str, words: str
) -> None:
    with odd_server(for_each_request(lambda peer: peer.send(data))) as server:
        summary, said = run(server.url, "--check-answer", "--slo", "p50<10s; rate>=1")
    assert (summary["verdict"], summary["succeeded"]) == ("objective missed", 0)
    assert [result["outcome"] for result in summary["objectives"]] == ["fail", "fail"]
    assert summary["errors"] == {kind: server.read}
    (failed,) = summary["failed"]
    assert (failed["error"], failed["count"]) == (error, server.read)
    assert failed["explanation"].startswith(words)
    (row,) = failed["rows"]
    assert failed["row_count"] == 1
    assert 0 <= row < 300
    assert f"(row {row})" in said


def test_a_server_that_is_gone_in_mid_run_ends_the_run_early_and_passes_nothing(swarm: Swarm, rows: Path) -> None:
    server = OddServer(for_each_request(lambda peer: (time.sleep(0.002), peer.send(response()))[1]))
    try:
        process = swarm.start(
            "run", "--headless", "--host", server.url, "--data", str(rows), "--results", str(swarm.results),
            "--processes", "0", "--no-probe", "-u", "4", "-r", "100", "-t", "120s", "--slo", "p99<10s",
            "--abort-when", "error_rate>50% for 2s",
        )  # fmt: skip
        wait_until(lambda: server.read > 100, 40, "requests")
    finally:
        server.close()
    assert process.wait(60) == 3, swarm.log("run")
    summary = swarm.summary()
    assert summary["verdict"] == "aborted"
    assert summary["reasons"][0].startswith("error_rate>50% for 2s: error_rate was ")
    assert summary["duration_s"] < 60
    assert summary["errors"]["connect"] > 0
    refused = next(failed for failed in summary["failed"] if failed["error"] == "connect: Connection refused")
    assert 0 < refused["first_s"] < refused["last_s"] <= summary["duration_s"] + 5


def test_a_server_that_restarts_in_mid_run_fails_what_it_missed_and_no_more(swarm: Swarm, rows: Path) -> None:
    script = for_each_request(lambda peer: (time.sleep(0.002), peer.send(response()))[1])
    first = OddServer(script)
    process = swarm.start(
        "run", "--headless", "--host", first.url, "--data", str(rows), "--results", str(swarm.results),
        "--processes", "0", "--no-probe", "-u", "4", "-r", "100", "-t", "6s", "--stop-timeout", "5",
    )  # fmt: skip
    wait_until(lambda: first.read > 100, 40, "requests")
    first.close()
    second = OddServer(script, first.port)
    try:
        exit_code = process.wait(60)
    finally:
        second.close()
    summary = swarm.summary()
    # Every request in flight may happen to be one that the first server had not read: it is sent again, and none fails.
    assert exit_code == (1 if summary["failures"] else 0), swarm.log("run")
    assert summary["failures"] or summary["stale_connections"]
    assert second.read > 0
    assert summary["succeeded"] <= first.read + second.read <= summary["requests"] + summary["abandoned"]
    assert summary["errors"].keys() <= {"connect", "receive", "send"}


def test_a_closed_port_is_asked_at_a_measured_pace(run: Run) -> None:
    summary, said = run(f"http://127.0.0.1:{free_port()}")
    assert (summary["verdict"], summary["exit_code"], summary["connects"]) == ("target unreachable", 5, 0)
    assert summary["errors"] == {"connect": summary["requests"]}
    assert 4 <= summary["requests"] <= 4 * 12  # pauses of each user double from 0.05 s to a second
    assert "TARGET UNREACHABLE" in said


def test_an_interrupted_run_says_so_everywhere(swarm: Swarm, rows: Path) -> None:
    with odd_server(for_each_request(lambda peer: peer.send(response()))) as server:
        process = swarm.start(
            "run", "--headless", "--host", server.url, "--data", str(rows), "--results", str(swarm.results),
            "--processes", "0", "--no-probe", "-u", "4", "-r", "100", "-t", "40s", "--slo", "p50<10s",
            "--stop-timeout", "5",
        )  # fmt: skip
        wait_until(lambda: server.read > 2000, 40, "requests")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 4, swarm.log("run")
    summary = swarm.summary()
    assert (summary["verdict"], summary["tone"], summary["exit_code"]) == ("interrupted", "warn", 4)
    (reason,) = [reason for reason in summary["reasons"] if reason.startswith("interrupted after")]
    assert "of 40 s" in reason
    assert summary["requests"] == server.read  # the signal itself costs no request
    assert "verdict    INTERRUPTED (interrupted after" in swarm.log("run")
    assert "<strong>Interrupted</strong>" in (swarm.run_folders()[0] / "report.html").read_text(encoding="utf-8")
    with (swarm.results / "run_table.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["verdict"], row["exit_code"]) == ("interrupted", "4")
