"""A long-lived swarm on a Docker engine as its manifests say, with a kubelet that restarts what ends, later each time.

The tests share one swarm. MASTER_DELETIONS=30 scripts/test tests/k8s/test_long_lived_swarm.py -rP deletes 30 masters.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from cluster_requests import ask, try_to_ask, wait_until
from docker_kubelet import DockerKubelet
from restarts import Restarts
from running_pod import RunningPod, docker

from inference_swarm.errors import ExitCode
from manifests.build import K8S, build

DELETIONS = int(os.environ.get("MASTER_DELETIONS", "1"))
pytestmark = [pytest.mark.docker, pytest.mark.timeout(900 + 60 * DELETIONS)]

STARTUP_S = 60
JOIN_WITHIN_S = 10
RUN_S = 6
# After the beginning of a run; it may just have ended, or its results be in the making.
LATEST_DELETION_S = RUN_S + 1.5
THE_PROBE = 1  # the row that a worker sends before a run, which is in no figure of it
PROBED_S = 3.0
PROBED_AT_MOST_S = 120.0
LATE_MACHINE_S = 5.0  # a third of what a probe may take
PAUSE_S = 0.05  # of each user: what is tested is not how fast the machine is
VERDICTS = {
    "interrupted": ExitCode.INCOMPLETE,
    "passed": ExitCode.PASSED,
    "generator-bound": ExitCode.PASSED,
}
SHOW_RESULTS = """
import glob, json, os
for folder in sorted(glob.glob('/app/experiment-results/runs/*')):
    path = folder + '/summary.json'
    print(json.dumps(json.load(open(path)) if os.path.exists(path) else {'missing': sorted(os.listdir(folder))}))
"""


@dataclass(slots=True)
class Swarm:
    cluster: DockerKubelet
    server: RunningPod
    master: RunningPod
    workers: list[RunningPod]
    restarts: Restarts = field(default_factory=lambda: Restarts(()))

    def start_run(self, users: int, run_time_s: int, pause_s: float = PAUSE_S) -> None:
        """Returns when its load has begun."""
        before = self.run_id()
        form = {
            "user_count": users,
            "spawn_rate": users,
            "run_time": f"{run_time_s}s",
            "wait_min": pause_s,
            "wait_max": pause_s,
            "host": "http://inference-server:8000",
        }

        def has_begun() -> bool:
            answer = ask(self.master, "/swarm", form)
            assert answer["success"] or "results of the last run" in answer["message"], answer
            return bool(answer["success"])

        wait_until(has_begun, 60, "the end of the run before")
        wait_until(lambda: self.run_id() != before, 60, "the run begins")

    def run_id(self) -> str:
        run = ask(self.master, "/swarm/state")["run"]
        return "" if run is None else str(run["run_id"])

    def answered(self) -> int:
        return int(ask(self.server, "/stats", port=8000)["answered"])

    def delete_master(self) -> int:
        """Returns the exit code; its pod is there still."""
        self.master.terminate()
        code = self.master.exit_code
        assert code is not None
        return code

    def next_master(self) -> float:
        """Returns how many seconds after the next master was ready, at another address, all workers were."""
        former = self.master
        self.master = self.cluster.replace(former)
        self.master.wait_for("startupProbe")
        self.master.wait_for("readinessProbe", STARTUP_S)
        ready_s = time.monotonic()
        wait_until(lambda: len(joined(self.master)) == len(self.workers), JOIN_WITHIN_S, "all workers have joined")
        for worker in self.workers:
            worker.wait_for("readinessProbe", JOIN_WITHIN_S)
        return time.monotonic() - ready_s

    def results(self) -> list[dict[str, object]]:
        """What each run has left, oldest first."""
        lines = docker("exec", self.master.name, "python", "-c", SHOW_RESULTS).splitlines()
        return [json.loads(line) for line in lines]


def joined(master: RunningPod) -> list[str]:
    return [worker["id"] for worker in (try_to_ask(master, "/swarm/state") or {"workers": []})["workers"]]


@pytest.fixture(scope="module")
def running(image_tag: str) -> Iterator[Swarm]:
    cluster = DockerKubelet(build(K8S), image_tag, gives_addresses=True)
    try:
        (server,) = cluster.start("Deployment/inference-server")
        workers = cluster.start("Deployment/swarm-worker")
        (master,) = cluster.start("Deployment/swarm-master")
        for pod in (server, master, *workers):
            pod.wait_for("startupProbe")
        for pod in (server, master, *workers):
            pod.wait_for("readinessProbe", STARTUP_S)
        wait_until(lambda: len(joined(master)) == len(workers), STARTUP_S, "all workers have joined")
        yield Swarm(cluster, server, master, workers)
    finally:
        cluster.close()


@pytest.fixture
def swarm(running: Swarm) -> Iterator[Swarm]:
    with Restarts([running.server, *running.workers]) as running.restarts:
        yield running


def test_every_deleted_master_leaves_a_result_and_workers_join_the_next_without_a_restart(swarm: Swarm) -> None:
    draw = random.Random(3)  # one alone falls into the run
    slowest_s = 0.0
    for number in range(DELETIONS):
        answered = swarm.answered()
        address = swarm.master.address
        swarm.start_run(users=20, run_time_s=RUN_S)
        after_s = LATEST_DELETION_S * (number + draw.random()) / DELETIONS
        time.sleep(after_s)
        code = swarm.delete_master()
        took_s = swarm.next_master()
        assert swarm.master.address != address
        slowest_s = max(slowest_s, took_s)
        results = swarm.results()
        assert len(results) == number + 1
        result = results[-1]
        print(f"{number + 1:3}  deleted after {after_s:4.1f} s  exit code {code}  {result.get('verdict')!s:12} "  # noqa: T201
              f"{result.get('requests')} requests  workers ready {took_s:.1f} s after the next master")  # fmt: skip
        assert "missing" not in result, result
        assert (result["complete"], result["failures"], result["abandoned"]) == (True, 0, 0)
        assert code == result["exit_code"] == VERDICTS[str(result["verdict"])]
        assert result["requests"] == swarm.answered() - answered - THE_PROBE
        assert swarm.restarts.codes == {}, "a container has ended"
    print(f"{DELETIONS} masters deleted, {len(swarm.results())} results, slowest {slowest_s:.1f} s, no restart")  # noqa: T201


def test_workers_leave_a_master_whose_node_died_for_the_next_one(swarm: Swarm) -> None:
    """Nothing closes its connections: they only fall silent."""
    swarm.start_run(users=20, run_time_s=60)
    docker("network", "disconnect", "--force", swarm.cluster.prefix, swarm.master.name)
    assert swarm.next_master() < JOIN_WITHIN_S
    answered = swarm.answered()
    swarm.start_run(users=4, run_time_s=1)
    wait_until(lambda: ask(swarm.master, "/swarm/state")["run"]["is_over"], 60, "the results")
    result = swarm.results()[-1]
    assert VERDICTS[result["verdict"]] == ExitCode.PASSED
    assert (result["workers"], result["complete"]) == (len(swarm.workers), True)
    assert result["requests"] == swarm.answered() - answered - THE_PROBE
    assert swarm.restarts.codes == {}


def test_no_probe_fails_while_the_swarm_saturates_the_server(swarm: Swarm) -> None:
    """A round in which nothing at all is executed in time, by no fault of the probes, is asked again."""
    pods = (swarm.master, swarm.server, *swarm.workers)
    kinds = ("readinessProbe", "livenessProbe")
    swarm.start_run(users=400, run_time_s=600, pause_s=0)
    until_s = time.monotonic() + PROBED_S
    give_up_s = time.monotonic() + PROBED_AT_MOST_S
    is_well = False
    with ThreadPoolExecutor(len(pods) * (len(kinds) + 1)) as kubelets:
        while not is_well or time.monotonic() < until_s:
            asked = {(pod.name, kind): kubelets.submit(pod.probe, kind) for pod in pods for kind in kinds}
            nothing = [kubelets.submit(seconds_for_nothing, pod) for pod in pods]
            said = {which: answer.result() for which, answer in asked.items()}
            is_well = set(said.values()) == {""}
            is_machine_late = max(took.result() for took in nothing) > LATE_MACHINE_S
            assert is_well or (is_machine_late and time.monotonic() < give_up_s), said
    # A worker that got no core for some seconds was given up, and comes back.
    wait_until(lambda: ask(swarm.master, "/swarm/state")["users"] == 400, 30, "all users")
    assert ask(swarm.master, "/stop", {})["success"]
    assert swarm.restarts.codes == {}


def seconds_for_nothing(pod: RunningPod) -> float:
    """How long a program that does nothing takes in a pod: on a quiet machine half a second beside all probes."""
    began_s = time.monotonic()
    docker("exec", pod.name, "python", "-I", "-S", "-c", "", timeout_s=120)
    return time.monotonic() - began_s
