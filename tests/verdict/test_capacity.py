"""A search for a capacity with real processes, against a server that answers 503 above 300 requests a second."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from swarm_processes import ROOT, Swarm, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.long, pytest.mark.first, pytest.mark.timeout(280)]

QUICK = (
    "--find-capacity", "--slo", "error_rate<1%", "--rate", "100", "--precision", "40%", "--confirm", "3s", "--step-max",
    "4s", "--budget", "90s",
)  # fmt: skip


@contextmanager
def server_of(model: str) -> Iterator[str]:
    """A server that behaves as this model."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.queueing_server", model],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT / 'locust'}:{ROOT}", "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    server.kill()
    server.wait()
    server.stdout.close()


@pytest.fixture
def url() -> Iterator[str]:
    """A server that answers 503 above 300 requests a second."""
    with server_of("limit") as address:
        yield address


def capacity_of(swarm: Swarm) -> dict[str, Any]:
    capacity: dict[str, Any] = swarm.summary()["capacity"]
    return capacity


def test_the_limit_is_found_and_is_said_first_everywhere(swarm: Swarm, rows: Path, url: str) -> None:
    result = swarm.run(
        "--headless", "--host", url, "--data", str(rows), "--results", str(swarm.results), "--processes", "1", *QUICK,
        "--at-least", "5000", "--master-bind-port", str(swarm.master_port), timeout_s=100,
    )  # fmt: skip
    assert result.returncode in (3, 4), result.stderr  # below 5,000/s; 4 where this machine could not show it
    capacity = capacity_of(swarm)
    assert capacity["outcome"] == "found", result.stderr
    assert 150 <= capacity["load"] <= 310
    assert capacity["high"] > 280
    sentence = capacity["sentence"]
    assert sentence.startswith("Holds ")
    assert result.stderr.index(sentence) < result.stderr.index("\nRun ")
    (folder,) = (swarm.results / "runs").iterdir()
    assert sentence.split(";")[0].replace("<", "&lt;") in (folder / "report.html").read_text(encoding="utf-8")
    table = (swarm.results / "run_table.csv").read_text(encoding="utf-8").splitlines()
    row = dict(zip(table[0].split(","), table[1].split(","), strict=True))
    assert (float(row["capacity"]), row["capacity_of"], row["capacity_outcome"]) == (capacity["load"], "rate", "found")


@pytest.mark.alone
def test_the_scenario_of_a_server_is_such_a_search(swarm: Swarm, rows: Path, url: str) -> None:
    # A refused request counts as slower than any bound. Of Poisson arrivals at 300/s a bucket of a tenth of a second
    # refuses more than 1 %, of those at 285/s less. One search in ten or so is further off than that by chance, or
    # since another program took the core for as long as the bucket lasts: then a second one is not.
    for name in ("first", "second"):
        swarm.results = swarm.folder / name
        result = swarm.run(
            "--headless", "--host", url, "--data", str(rows), "--results", str(swarm.results),
            "--processes", "1", "--scenario", "server", "--slo", "p99<50ms", "--rate", "250", "--precision", "4%",
            "--confirm", "4s", "--step-max", "4s", "--budget", "120s",
            "--master-bind-port", str(swarm.master_port), timeout_s=125,
        )  # fmt: skip
        summary = swarm.summary()
        scenario = summary["scenario"]
        assert summary["capacity"]["outcome"] == "found", result.stderr
        assert scenario["value"] == summary["capacity"]["load"]
        if scenario["value"] == pytest.approx(300, rel=0.07):
            break
    assert scenario["value"] == pytest.approx(300, rel=0.07)
    assert scenario["samples"] >= scenario["samples_needed"] == 662
    (difference,) = scenario["differences"]
    assert "s were measured instead of at least 600 s" in difference
    assert result.returncode == 0


def test_workers_that_are_killed_or_join_in_mid_search_are_said_and_the_search_goes_on(
    swarm: Swarm, rows: Path, url: str
) -> None:
    master = swarm.start_master("--host", url, "--data", str(rows), *QUICK, "--budget", "150s", workers=2)
    workers = [swarm.start_worker(number) for number in (1, 2)]
    log = swarm.log_file("master")
    wait_until(lambda: "step 2" in log.read_text(encoding="utf-8"), 40, "a second step")
    workers[0].kill()
    swarm.start_worker(3)
    wait_until(lambda: master.poll() is not None, 190, "the end of the search")
    capacity = capacity_of(swarm)
    notes = [note for note in capacity["notes"] if ": the step at " in note]
    for words in (" is gone", " has joined"):
        assert any(words in note for note in notes), json.dumps(capacity["notes"])
    assert capacity["outcome"] == "found"
    assert 150 <= capacity["load"] <= 310


def test_by_users_the_knee_and_the_law_are_those_of_four_servers_of_50_ms(swarm: Swarm, rows: Path) -> None:
    with server_of("slow") as url:
        result = swarm.run(
            "--headless", "--host", url, "--data", str(rows), "--results", str(swarm.results), "--processes", "0",
            "--find-capacity", "--capacity-by", "users", "--slo", "p50<220ms", "--precision", "40%", "--confirm", "3s",
            "--step-max", "4s", "--budget", "240s", timeout_s=65,
        )  # fmt: skip
    capacity = capacity_of(swarm)
    assert capacity["outcome"] == "found", result.stderr
    assert capacity["by_users"]
    assert 8 <= capacity["load"] <= 17  # n users wait n/4 × 50 ms
    assert 16 < capacity["high"] <= 32
    assert 3 <= capacity["scalability"]["knee_users"] <= 5
    assert capacity["scalability"]["one_user_rps"]["value"] == pytest.approx(19.8, rel=0.3)
    assert "By the Universal Scalability Law" in capacity["sentence"]
    assert result.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--find-capacity"], ["--find-capacity has no objective", 'add --slo "p99<50ms"']),
        (["--find-capacity", "--slo", "rate>=5"], ["'rate>=5' cannot be searched for", "upper bounds on percentiles"]),
        (["--find-capacity", "--slo", "p99<5ms", "--stages", "9s@5"], ["--stages is given and so is --find-capacity"]),
        (["--find-capacity", "--slo", "p99<5ms", "--confirm", "20m"], ["--budget is 600 s and --confirm 1200 s"]),
        (["--find-capacity", "--slo", "p99<5ms", "--precision", "0.05%"], ["--precision is 0.0005", "0.1%"]),
        (["--find-capacity", "--slo", "p99<5ms", "--precision", "200%"], ["argument --precision", "a share above 0"]),
        (
            ["--find-capacity", "--slo", "p99<5ms", "--capacity-by", "users", "--arrival", "poisson"],
            ["--capacity-by is users and an open load is asked for"],
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_at_start(swarm: Swarm, arguments: list[str], words: list[str]) -> None:
    result = swarm.run("--headless", "--processes", "0", "--host", "http://127.0.0.1:1", *arguments)
    assert result.returncode == 2, result.stdout + result.stderr
    for word in words:
        assert word in result.stderr
