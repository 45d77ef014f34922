"""One truth: what a warm-up or a reset leaves out is left out of every file and page, and nothing else is."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from recording_server import ANSWER_BODY, Recording, answer_bytes
from swarm_processes import LOCUSTFILE, Swarm, aggregated, free_port, wait_until

pytestmark = pytest.mark.processes

LISTENER = """
import locust

locust.events.request.add_listener(lambda **_: None)
"""


@pytest.fixture
def target(recording: Recording) -> Recording:
    """Answers after 10 ms, and fails a row in three."""
    recording.delay_s = 0.01
    recording.answer = lambda body: answer_bytes(503 if int(json.loads(body)["n"]) % 3 == 0 else 200, ANSWER_BODY)
    return recording


def check_left_out(summary: dict[str, Any], recording: Recording) -> None:
    left_out = summary["left_out"]
    assert summary["requests"] > 0
    assert summary["failures"] > 0
    assert left_out["requests"] > 0
    assert left_out["failures"] > 0
    abandoned = summary["abandoned"] + left_out["abandoned"]
    assert summary["requests"] + left_out["requests"] + abandoned == recording.count


@pytest.mark.parametrize("left_out_by", ["--warm-up=1s", "--reset-stats"])
@pytest.mark.parametrize("listens", [False, True], ids=["", "listener"])
@pytest.mark.parametrize("processes", [0, 2])
def test_what_is_left_out_is_in_no_file(
    swarm: Swarm, target: Recording, rows: Path, processes: int, listens: bool, left_out_by: str
) -> None:
    listener = swarm.folder / "listener.py"
    listener.write_text(LISTENER)
    result = swarm.run(
        *(("-f", f"{LOCUSTFILE},{listener}") if listens else ()), "--headless", "--host", target.url,
        "--data", str(rows), "--results", str(swarm.results), "-u", "4", "-r", "2", "-t", "4s", "--stop-timeout", "5",
        "--processes", str(processes), "--master-bind-port", str(swarm.master_port),
        "--csv", str(swarm.folder / "own"), left_out_by,
    )  # fmt: skip
    assert result.returncode == 1, result.stderr
    summary = swarm.summary()
    check_left_out(summary, target)
    counts = (summary["requests"], summary["failures"])
    assert aggregated(swarm.run_folders()[0] / "locust_stats.csv") == counts
    assert aggregated(swarm.folder / "own_stats.csv") == counts
    assert summary["measured_s"] == pytest.approx(summary["duration_s"] - summary["left_out"]["until_s"], abs=0.01)
    if left_out_by == "--warm-up=1s":
        assert summary["left_out"]["until_s"] == 1
        assert summary["changes"] == []
    else:
        assert [change["what"] for change in summary["changes"]] == ["the statistics were reset"]
    assert "left out   the first" in result.stderr


@pytest.mark.parametrize("processes", [0, 2])
def test_reset_in_the_web_ui_is_a_warm_up_that_ends_then(
    swarm: Swarm, target: Recording, rows: Path, processes: int
) -> None:
    web_port = free_port()
    swarm.start(
        "master", "--processes", str(processes), "--web-host", "127.0.0.1", "--web-port", str(web_port),
        "--master-bind-port", str(swarm.master_port), "--data", str(rows), "--results", str(swarm.results),
        "--host", target.url, "-u", "4", "-r", "100", "-t", "60s", "--autostart", "--stop-timeout", "5",
    )  # fmt: skip
    base = f"http://127.0.0.1:{web_port}"

    def ask(path: str, data: bytes | None = None) -> bytes:
        with urllib.request.urlopen(f"{base}{path}", data=data, timeout=10) as response:
            text: bytes = response.read()
            return text

    wait_until(lambda: target.count > 500, 30, "requests")
    assert ask("/stats/reset", b"") == b"ok"
    counted = target.count
    wait_until(lambda: target.count > counted + 500, 30, "more requests")
    ask("/stop", b"")
    wait_until(lambda: bool(list(swarm.results.glob("runs/*/locust.html"))), 30, "the results")
    summary = swarm.summary()
    check_left_out(summary, target)
    assert summary["left_out"]["requests"] >= 400
    counts = (summary["requests"], summary["failures"])
    assert aggregated(swarm.run_folders()[0] / "locust_stats.csv") == counts
    (total,) = [entry for entry in json.loads(ask("/stats/requests"))["stats"] if entry["name"] == "Aggregated"]
    assert (total["num_requests"], total["num_failures"]) == counts
