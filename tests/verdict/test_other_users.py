"""Users that are no InferenceUsers: their requests are in Locust's tables, named in the result, and judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recording_server import ANSWER_BODY, Recording, answer_bytes
from swarm_processes import LOCUSTFILE, Swarm, aggregated

pytestmark = pytest.mark.processes

PLAIN_USERS = """
import locust

class PlainUser(locust.HttpUser):
    wait_time = locust.constant(0.05)

    @locust.task
    def look(self):
        self.client.post("/look", json={"n": 1, "look": True})
"""
RAISING_USERS = """
import locust

class RaisingUser(locust.User):
    @locust.task
    def fall(self):
        raise RuntimeError("fell " + "x" * 70_000)

    def wait_time(self):
        return 0.5
"""

# As `json.loads` reads it in a server's response: no UTF-8 can hold it.
ODD_NAMES = """
import locust

class OddUser(locust.User):
    @locust.task
    def name_it(self):
        name = "half a pair \\ud83d"
        self.environment.events.request.fire(
            request_type=name, name=name, response_time=1.0, response_length=1, exception=ValueError(name), context={}
        )
        if type(self.environment.runner).__name__ == "SwarmWorkerRunner":  # of a single one Locust's own --csv fails
            raise ValueError(name)

    def wait_time(self):
        return 0.3
"""

FAILING_LISTENER = """
import locust

@locust.events.test_start.add_listener
def fill_the_cache(environment, **_):
    raise RuntimeError("no cache")
"""


@pytest.fixture
def target(recording: Recording) -> Recording:
    recording.delay_s = 0.05
    return recording


def run(swarm: Swarm, target: Recording, rows: Path, users: str, processes: int, *more: str) -> tuple[Any, int]:
    file = swarm.folder / "users.py"
    file.write_text(users)
    result = swarm.run(
        "-f", f"{LOCUSTFILE},{file}", "--headless", "--host", target.url, "--data", str(rows),
        "--results", str(swarm.results), "-u", "4", "-r", "4", "-t", "3s", "--stop-timeout", "5",
        "--processes", str(processes), "--master-bind-port", str(swarm.master_port),
        "--csv", str(swarm.folder / "own"), *more,
    )  # fmt: skip
    return result, result.returncode


@pytest.mark.parametrize("processes", [0, 2])
@pytest.mark.parametrize("warm_up", ["", "--warm-up=1s"], ids=["", "warm-up"])
def test_requests_of_other_user_classes_are_named_and_a_warm_up_leaves_them_out_of_locusts_table(
    swarm: Swarm, target: Recording, rows: Path, processes: int, warm_up: str
) -> None:
    result, code = run(swarm, target, rows, PLAIN_USERS, processes, *([warm_up] if warm_up else []))
    assert code == 0, result.stderr
    summary = swarm.summary()
    assert summary["exit_code"] == 0
    others = summary["other_users"]
    looks_s = [at_s for at_s, body in zip(target.times_s, target.bodies, strict=True) if b'"look"' in body]
    assert (others["failures"], others["exceptions"]) == (0, 0)
    assert f"{others['requests']} requests of other user classes are in Locust's table only" in result.stderr
    count = (summary["requests"] + others["requests"], 0)
    assert aggregated(swarm.folder / "own_stats.csv") == count
    assert aggregated(swarm.run_folders()[0] / "locust_stats.csv") == count
    if warm_up:
        # A second of three is left out; the first request comes somewhat after the begin of the run.
        after = [sum(at_s > looks_s[0] + since_s for at_s in looks_s) for since_s in (1.4, 0.6)]
        assert len(looks_s) > after[1]
        assert after[0] <= others["requests"] <= after[1]
    else:
        assert others["requests"] == len(looks_s)


@pytest.mark.parametrize("processes", [0, 2])
def test_failures_of_other_user_classes_fail_the_run_whatever_its_objectives_say(
    swarm: Swarm, target: Recording, rows: Path, processes: int
) -> None:
    target.answer = lambda body: answer_bytes(503 if b'"look"' in body else 200, ANSWER_BODY)
    _, code = run(swarm, target, rows, PLAIN_USERS, processes, "--slo", "error_rate<50%")
    summary = swarm.summary()
    failed = summary["other_users"]["failures"]
    assert failed > 0
    assert (summary["verdict"], summary["failures"], code, summary["exit_code"]) == ("requests failed", 0, 1, 1)
    words = f"{failed} of {failed} requests of other user classes failed: they are in Locust's table only"
    assert summary["reasons"][0] == words


@pytest.mark.parametrize("processes", [0, 2])
def test_what_a_user_raises_fails_the_run_and_is_in_locusts_table_however_long_it_is(
    swarm: Swarm, target: Recording, rows: Path, processes: int
) -> None:
    _, code = run(swarm, target, rows, RAISING_USERS, processes)
    summary = swarm.summary()
    raised = summary["other_users"]["exceptions"]
    assert raised > 2
    assert (summary["verdict"], code) == ("requests failed", 1)
    assert summary["reasons"][0] == f"{raised} exceptions were raised by users: Locust's table has them"
    rows_of_table = (swarm.folder / "own_exceptions.csv").read_text()
    assert rows_of_table.startswith("Count,Message,Traceback,Nodes")
    assert sum(int(line.split(",")[0]) for line in rows_of_table.splitlines()[1:] if line[:1].isdigit()) == raised
    if processes:
        assert "of 70,005 characters" in rows_of_table


@pytest.mark.parametrize("processes", [0, 2])
def test_a_run_without_what_a_listener_was_for_is_not_passed(
    swarm: Swarm, target: Recording, rows: Path, processes: int
) -> None:
    result, code = run(swarm, target, rows, FAILING_LISTENER, processes)
    summary = swarm.summary()
    assert (code, summary["exit_code"], summary["verdict"]) == (4, 4, "incomplete"), result.stderr
    assert any("a listener of the locustfile raised an exception" in reason for reason in summary["reasons"])
    assert "no cache" in result.stderr


@pytest.mark.parametrize("processes", [0, 2])
def test_names_that_no_message_can_hold_lose_no_report(
    swarm: Swarm, target: Recording, rows: Path, processes: int
) -> None:
    result, code = run(swarm, target, rows, ODD_NAMES, processes)
    assert code == 1, result.stderr
    assert "UnicodeEncodeError" not in result.stderr
    summary = swarm.summary()
    others = summary["other_users"]
    assert summary["requests"] > 10
    assert others["requests"] == others["failures"] > 1
    count = (summary["requests"] + others["requests"], others["failures"])
    assert aggregated(swarm.run_folders()[0] / "locust_stats.csv") == count
