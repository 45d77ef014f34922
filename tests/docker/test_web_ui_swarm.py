"""`docker compose up --scale worker=8` and what may happen to it. The tests share one swarm and run in this order."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from compose_project import Project, docker
from swarm_processes import wait_until

pytestmark = pytest.mark.docker

ROWS = 1022  # X_test of the dataset that config.json names
GRACE_PERIOD_S = 45
USERS = 40


@pytest.fixture(scope="module")
def running_project(project: Project) -> Project:
    """Nobody waits for the health checks, as tests/docker/test_login_in_compose.py does: a tick of each takes 10 s."""
    project.must("up", "--detach", "--scale", "worker=8")
    wait_until(lambda: is_up(project), 90, "the master")
    return project


@pytest.fixture
def swarm(running_project: Project) -> Iterator[Project]:
    yield running_project
    if running_project.containers("master") and running_project.stats()["state"] in ("spawning", "running"):
        running_project.post("/stop")  # a failed test must not fail the next one


def wait_for_workers(swarm: Project, workers: int, timeout_s: float = 60) -> None:
    def are_there() -> bool:
        states = [worker["state"] for worker in swarm.stats()["workers"]]
        return len([state for state in states if state != "missing"]) == workers

    wait_until(are_there, timeout_s, f"{workers} workers")


def wait_for_users(swarm: Project, users: int, timeout_s: float = 60) -> None:
    wait_until(lambda: swarm.stats()["user_count"] == users, timeout_s, f"{users} users")


def serving(swarm: Project) -> list[dict[str, Any]]:
    return [worker for worker in swarm.stats()["workers"] if worker["user_count"]]


def stop(swarm: Project) -> dict[str, Any]:
    swarm.post("/stop")
    return finished(swarm)


def finished(swarm: Project) -> dict[str, Any]:
    wait_until(lambda: (swarm.runs()[-1] / "summary.json").exists(), 60, "the results of the run")
    return swarm.summary()


def assert_counts_agree(summary: dict[str, Any], served: int) -> None:
    """What a busy machine leaves unanswered when the run ends is abandoned, and the server may have answered it."""
    assert summary["requests"] <= served <= summary["requests"] + summary["abandoned"]


def test_web_ui_answers_and_eight_workers_are_ready(swarm: Project) -> None:
    wait_for_workers(swarm, 8)
    stats = swarm.stats()
    assert {worker["state"] for worker in stats["workers"]} == {"ready"}
    assert stats["state"] == "ready"
    assert b"<title>Locust" in swarm.get("/")


def test_containers_have_no_rights_that_they_do_not_need(swarm: Project) -> None:
    containers = swarm.containers()
    assert len(containers) == 11  # prepare, server, master, eight workers
    for container in containers:
        host, name = container["HostConfig"], container["Name"]
        assert container["Config"]["User"] == "10001:10001", name
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert not host["CapAdd"], name
        assert host["SecurityOpt"] == ["no-new-privileges:true"], name
        assert not host["Privileged"], name
        assert host["Memory"] > 0, name
        assert host["NanoCpus"] > 0, name
        assert host["PidsLimit"] > 0, name
        assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}, name


@pytest.mark.parametrize("service", ["inference-server", "master", "worker"])
def test_process_1_is_a_plain_user_without_capabilities(swarm: Project, service: str) -> None:
    status = swarm.python(service, "print(open('/proc/1/status').read())")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["10001"] * 4
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"


def test_server_under_test_does_not_see_the_control_channel(swarm: Project) -> None:
    networks = swarm.containers("master")[0]["NetworkSettings"]["Networks"]
    addresses = [network["IPAddress"] for network in networks.values()]
    assert len(addresses) == 2
    code = f"""
import socket
for host in {["master", *addresses]!r}:
    try:
        socket.create_connection((host, 5557), 1)
    except OSError:
        continue
    print("reached", host)
"""
    assert swarm.python("inference-server", code) == ""


def test_control_channel_is_encrypted_with_keys_that_compose_made(swarm: Project) -> None:
    names = "import os; print(sorted(os.listdir('/run/inference-swarm/keys')))"
    expected = ["master.key", "master.key_secret", "worker.key", "worker.key_secret"]
    assert swarm.python("worker", names).strip() == str(expected)


def test_400_users_for_20_s_fail_nowhere_and_the_server_counts_the_same(swarm: Project) -> None:
    before = swarm.server_count()
    swarm.start(users=400, spawn_rate=100, run_time="20s")
    summary = finished(swarm)
    assert summary["users"] == 400
    assert summary["failures"] == 0
    assert summary["complete"]
    assert summary["workers"] == 8
    assert summary["requests"] > 400
    assert_counts_agree(summary, swarm.server_count() - before)


def test_shards_of_the_workers_are_disjoint_and_complete(swarm: Project) -> None:
    swarm.start(users=8, spawn_rate=8)

    def shards() -> list[dict[str, Any] | None]:
        return [worker["shard"] for worker in json.loads(swarm.get("/swarm/state"))["workers"]]

    wait_until(lambda: all(shard and shard["is_ready"] for shard in shards()), 60, "eight shards")
    rows = [shard["rows"] for shard in shards() if shard]
    swarm.post("/stop")
    finished(swarm)
    # Blocks have one owner each (tests/data/test_ledger.py), so that parts which add up to the whole do not overlap.
    assert (len(rows), sum(rows)) == (8, ROWS)
    assert min(rows) > 0


def test_users_are_kept_when_workers_are_scaled_down_and_up_again(swarm: Project) -> None:
    before = swarm.server_count()
    swarm.start(users=USERS, spawn_rate=40)
    wait_for_users(swarm, USERS)
    for workers in (3, 8):
        swarm.must("up", "--detach", "--no-recreate", "--scale", f"worker={workers}")
        wait_for_workers(swarm, workers)
        wait_until(lambda workers=workers: len(serving(swarm)) == workers, 60, f"users on {workers} workers")
        wait_for_users(swarm, USERS)
    summary = stop(swarm)
    assert summary["failures"] == 0
    assert summary["complete"]
    assert_counts_agree(summary, swarm.server_count() - before)


def test_users_of_a_killed_worker_go_to_the_others_and_the_run_is_incomplete(swarm: Project) -> None:
    before = swarm.server_count()
    swarm.start(users=USERS, spawn_rate=40)
    wait_for_users(swarm, USERS)
    docker("kill", swarm.containers("worker")[0]["Id"])
    wait_for_workers(swarm, 7)
    wait_for_users(swarm, USERS)
    summary = stop(swarm)
    assert not summary["complete"]
    assert len(summary["incomplete_workers"]) == 1
    assert 0 < summary["requests"] <= swarm.server_count() - before


def test_workers_stop_when_the_master_is_killed_and_join_the_next_one(swarm: Project) -> None:
    swarm.start(users=USERS, spawn_rate=40)
    wait_for_users(swarm, USERS)
    docker("kill", swarm.containers("master")[0]["Id"])
    killed_s = time.monotonic()
    wait_until(lambda: time.monotonic() > killed_s + 5, 10, "five seconds")
    counted = swarm.server_count()
    swarm.must("up", "--detach", "--no-deps", "--no-recreate", "master")
    wait_until(lambda: is_up(swarm), 90, "the next master")
    wait_for_workers(swarm, 7, timeout_s=10)
    assert swarm.server_count() == counted

    swarm.start(users=USERS, spawn_rate=40, run_time="3s")
    summary = finished(swarm)
    assert summary["complete"]
    assert summary["failures"] == 0
    assert_counts_agree(summary, swarm.server_count() - counted)


def test_workers_stay_and_join_again_when_the_master_is_restarted_in_mid_run(swarm: Project) -> None:
    counted = swarm.server_count()
    workers = started_at(swarm)
    swarm.start(users=USERS, spawn_rate=40)
    wait_for_users(swarm, USERS)
    swarm.must("restart", "master")
    wait_until(lambda: is_up(swarm), 90, "the master")
    wait_for_workers(swarm, 7, timeout_s=10)
    summary = swarm.summary()
    assert (summary["verdict"], summary["exit_code"], summary["complete"]) == ("interrupted", 4, True)
    assert summary["requests"] + summary["abandoned"] == swarm.server_count() - counted
    assert started_at(swarm) == workers, "a worker was restarted"

    counted = swarm.server_count()
    swarm.start(users=USERS, spawn_rate=40, run_time="2s")
    summary = finished(swarm)
    assert (summary["exit_code"], summary["workers"], summary["complete"]) == (0, 7, True)
    assert_counts_agree(summary, swarm.server_count() - counted)


def started_at(swarm: Project) -> dict[str, str]:
    """When the workers' containers began, of those that run."""
    return {one["Id"]: one["State"]["StartedAt"] for one in swarm.containers("worker") if one["State"]["Running"]}


def is_up(swarm: Project) -> bool:
    try:
        swarm.stats()
    except OSError:
        return False
    return True


def test_down_drains_within_the_grace_period_and_leaves_the_results(swarm: Project) -> None:
    swarm.start(users=USERS, spawn_rate=40)
    wait_for_users(swarm, USERS)
    began_s = time.monotonic()
    swarm.must("down")
    assert time.monotonic() - began_s < GRACE_PERIOD_S
    assert swarm.containers() == []
    summary = swarm.summary()
    assert summary["complete"], summary["incomplete_workers"]
    assert summary["requests"] >= USERS
    assert summary["failures"] == 0
    assert (swarm.runs()[-1] / "locust.html").stat().st_size > 0
