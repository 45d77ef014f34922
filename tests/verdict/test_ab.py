"""A/B by real processes: who is sent what, and what the run says about it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from recording_server import Recording
from swarm_processes import Swarm

pytestmark = pytest.mark.processes


def run(swarm: Swarm, recording: Recording, rows: Path, *more: str, code: int) -> tuple[dict[str, Any], str]:
    done = swarm.run(
        "--headless", "--host", recording.url, "--data", str(rows), "--results", str(swarm.results),
        "--master-bind-port", str(swarm.master_port), "--stop-timeout", "5", *more,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return swarm.summary(), done.stdout + done.stderr


def test_b_that_is_slower_is_found_and_ends_with_3(swarm: Swarm, recording: Recording, rows: Path) -> None:
    recording.delay_s = 0.01
    recording.delays_s = {"/slow": 0.016}
    junit = swarm.folder / "junit.xml"
    summary, printed = run(
        swarm, recording, rows, "--ab", "path=/fast,/slow", "-u", "4", "-r", "4", "-t", "12s", "--processes", "2",
        "--junit", str(junit), "--max-regression", "mean:10%", code=3,
    )  # fmt: skip
    ab = summary["ab"]
    assert ab["names"] == ["A path=/fast", "B path=/slow"]
    assert abs(ab["requests"][0] - ab["requests"][1]) <= 2  # a pair of each worker may be cut in two
    assert {name: one["requests"] for name, one in summary["names"].items()} == dict(
        zip(ab["names"], ab["requests"], strict=True)
    )
    assert sum(ab["requests"]) == summary["requests"] == recording.count
    sent = {target: Counter[bytes]() for target in ("/fast", "/slow")}
    for target, body in zip(recording.targets, recording.bodies, strict=True):
        sent[target][body] += 1
    assert sum(((sent["/fast"] - sent["/slow"]) + (sent["/slow"] - sent["/fast"])).values()) <= 2
    mean = next(metric for metric in ab["metrics"] if metric["metric"] == "mean")
    assert mean["result"] == "significant difference"
    assert 0 < mean["low"] < mean["change"] < mean["high"]
    assert 0.2 < mean["change"] < 0.8
    assert summary["verdict"] == "objective missed"
    assert "B path=/slow against A path=/fast: mean" in printed
    assert "mean at most 10 % above A path=/fast" in ET.tostring(ET.parse(junit).getroot(), encoding="unicode")
    assert "B against A" in (swarm.run_folders()[0] / "report.html").read_text(encoding="utf-8")


def test_a_short_run_cannot_say_and_two_hosts_are_both_sent_to(swarm: Swarm, recording: Recording, rows: Path) -> None:
    recording.delay_s = 0.01
    other = recording.url.replace("127.0.0.1", "localhost")
    summary, printed = run(
        swarm, recording, rows, "--ab", f"host={recording.url},{other}", "-t", "2s", "--processes", "0",
        "--arrival", "constant", "--rate", "50", "-u", "20", "--batch-size", "3", code=4,
    )  # fmt: skip
    assert summary["ab"]["names"] == [f"A host={recording.url}", f"B host={other}"]
    assert summary["ab"]["requests"] == [50, 50]
    assert len(recording.probes) == 2
    assert "too short to say" in printed
    assert "a run of at least 24 s" in summary["reasons"][0]
