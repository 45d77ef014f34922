"""The containers run on a Docker engine exactly as the rendered manifests say: a swarm with a web UI, and a job."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from cluster_requests import ask, wait_until
from docker_kubelet import DockerKubelet
from running_pod import RunningPod

from inference_swarm.cluster.keys import make_keys
from inference_swarm.errors import ExitCode
from manifests.build import K8S, build, build_overlay, overlay
from manifests.objects import Item

pytestmark = pytest.mark.docker

STARTUP_S = 60
THE_PROBE = 1  # the row that a worker sends before a run, which is in no figure of it


@contextmanager
def kubelet(
    items: list[Item], image_tag: str, secret_files: Mapping[str, Path] | None = None
) -> Iterator[DockerKubelet]:
    made = DockerKubelet(items, image_tag, secret_files or {})
    try:
        yield made
    finally:
        made.close()


def assert_hardened(pod: RunningPod) -> None:
    inspected = pod.inspected
    assert inspected["HostConfig"]["ReadonlyRootfs"]
    assert inspected["HostConfig"]["CapDrop"] == ["ALL"]
    assert "no-new-privileges" in inspected["HostConfig"]["SecurityOpt"]
    assert inspected["Config"]["User"].split(":")[0] not in ("", "0", "root")


def test_the_default_serves_a_run_from_the_web_ui_and_drains(image_tag: str) -> None:
    with kubelet(build(K8S), image_tag) as cluster:
        workers = cluster.start("Deployment/swarm-worker")
        assert len(workers) == 2
        for worker in workers:
            worker.wait_for("startupProbe", STARTUP_S)
            assert "waiting for a master" in worker.probe("readinessProbe"), "ready without a master"
            assert worker.probe("livenessProbe") == ""
        (server,) = cluster.start("Deployment/inference-server")
        (master,) = cluster.start("Deployment/swarm-master")
        for pod in (server, master, *workers):
            pod.wait_for("startupProbe")
            pod.wait_for("readinessProbe", STARTUP_S)
            assert pod.probe("livenessProbe") == ""
            assert_hardened(pod)

        wait_until(lambda: len(ask(master, "/stats/requests")["workers"]) == 2, 60, "both workers have joined")
        started = ask(master, "/swarm", {"user_count": 20, "spawn_rate": 20, "host": "http://inference-server:8000"})
        assert started["success"], started

        def requests() -> int:
            return int(ask(master, "/stats/requests")["stats"][-1]["num_requests"])

        wait_until(lambda: requests() > 500, 60, "requests are sent")
        leaving, staying = workers
        grace_s = leaving.workload.pod["terminationGracePeriodSeconds"]
        assert leaving.terminate() < grace_s
        assert leaving.exit_code == 0, leaving.logs
        staying.wait_for("readinessProbe")  # once it has taken over the rows
        ask(master, "/stop", {})
        wait_until(lambda: ask(master, "/stats/requests")["state"] == "stopped", 60, "the run has stopped")
        summary = json.loads(cluster.read(master, "runs/*/summary.json", "swarm-results"))
        assert summary["failures"] == 0
        answered = ask(server, "/stats", port=8000)["answered"]
        assert summary["requests"] + THE_PROBE == answered, "requests got lost"
        assert master.terminate() < master.workload.pod["terminationGracePeriodSeconds"]
        # Its last run was stopped before its time; a job's verdict is the subject below.
        assert master.exit_code == ExitCode.INCOMPLETE, master.logs


def job(objective: str, run_time_s: int = 4) -> list[Item]:
    components = ("reference-server", "secure-channel", "job", "cluster-values")
    settings = {"LOCUST_RUN_TIME": f"{run_time_s}s", "LOCUST_USERS": "20", "SWARM_SLO": objective}
    paths = [K8S / "components" / name for name in components]
    return build_overlay(overlay([K8S / "base"], paths, namespace="inference-swarm", settings=settings))


def test_a_job_ends_with_its_verdict_and_leaves_the_results(image_tag: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    for path in make_keys(keys):
        path.chmod(0o440 if os.geteuid() == 0 else 0o444)
        if os.geteuid() == 0:
            os.chown(path, 0, 10001)  # as the kubelet: root's, read through the fsGroup
    with kubelet(job(""), image_tag, {"swarm-keys": keys}) as cluster:
        (server,) = cluster.start("Deployment/inference-server")
        server.wait_for("startupProbe")
        counted = 0
        for objective, verdict in (("error_rate<0.1%", ExitCode.PASSED), ("max<1us", ExitCode.OBJECTIVE_MISSED)):
            cluster.items = job(objective)
            (master,) = cluster.start("Job/swarm-master")
            workers = cluster.start("Job/swarm-worker")
            assert len(workers) == 2
            master.wait_for("startupProbe")
            assert master.wait_for_end(120) == verdict, master.logs
            assert [worker.wait_for_end(60) for worker in workers] == [0, 0], workers[0].logs
            summary = json.loads(cluster.read(master, "runs/*/summary.json", "swarm-results"))
            answered = ask(server, "/stats", port=8000)["answered"]
            assert summary["requests"] == answered - counted - THE_PROBE > 0
            assert (summary["failures"], summary["workers"]) == (0, 2)
            assert_hardened(master)
            counted = answered
            cluster.remove(master, *workers)

        cluster.items = job("error_rate<0.1%", run_time_s=60)
        (master,) = cluster.start("Job/swarm-master")
        workers = cluster.start("Job/swarm-worker")
        wait_until(lambda: int(ask(server, "/stats", port=8000)["answered"]) > counted + 100, 60, "requests are sent")
        master.terminate()
        assert master.exit_code == ExitCode.INCOMPLETE, master.logs
        assert "verdict    INTERRUPTED (interrupted after" in master.logs
        assert "exit code 4" in master.logs
        assert [worker.wait_for_end(60) for worker in workers] == [0, 0], workers[0].logs
        summary = json.loads(cluster.read(master, "runs/*/summary.json", "swarm-results"))
        assert (summary["verdict"], summary["exit_code"], summary["complete"]) == ("interrupted", 4, True)
        assert summary["requests"] == ask(server, "/stats", port=8000)["answered"] - counted - THE_PROBE
