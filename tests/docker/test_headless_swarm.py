"""`docker compose run --rm swarm`: one test, and the verdict as exit code."""

from __future__ import annotations

import os
import signal

import pytest
from compose_project import Project
from swarm_processes import wait_until

pytestmark = pytest.mark.docker

SHORT = {"LOCUST_RUN_TIME": "3s", "LOCUST_USERS": "20"}


def test_met_objective_ends_with_0_and_the_files_are_there(project: Project) -> None:
    done = project.compose("run", "--rm", "swarm", env={**SHORT, "SWARM_SLO": "error_rate<1%"})
    assert done.returncode == 0, done.stdout + done.stderr
    summary = project.summary()
    assert summary["complete"]
    assert summary["workers"] == 2
    assert summary["users"] == 20
    assert summary["requests"] == project.server_count() > 20
    assert (project.runs()[-1] / "locust.html").exists()
    assert (project.folder / "experiment-results" / "run_table.csv").read_text().count("\n") == 2


def test_workers_of_a_finished_test_have_ended_well_and_stay_down(project: Project) -> None:
    wait_until(
        lambda: {worker["State"]["Status"] for worker in project.containers("worker")} == {"exited"}, 90, "their end"
    )
    assert [worker["State"]["ExitCode"] for worker in project.containers("worker")] == [0, 0]


def test_missed_objective_ends_with_3_with_several_processes_in_a_worker(project: Project) -> None:
    env = {**SHORT, "SWARM_SLO": "p50<1us", "SWARM_WORKERS": "1", "WORKER_PROCESSES": "2"}
    done = project.compose("run", "--rm", "swarm", env=env)
    assert done.returncode == 3, done.stdout + done.stderr
    summary = project.summary()
    assert summary["complete"]
    assert summary["workers"] == 2
    assert len(project.runs()) == 2


def test_bad_setting_ends_with_2_and_names_it(project: Project) -> None:
    done = project.compose("run", "--rm", "--no-deps", "swarm", env={"SWARM_ROW_ORDER": "backwards"})
    assert done.returncode == 2
    assert "backwards" in done.stdout + done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can kill a container's process from outside of it")
def test_lost_worker_comes_back_and_a_stopped_one_does_not(project: Project) -> None:
    project.must("up", "--detach", "--no-deps", "--scale", "worker=1", "worker")
    (worker,) = project.containers("worker")
    wait_until(
        lambda: "Waiting for a master at port 5557" in project.logs("worker"), 30, "a worker that waits for a master"
    )
    os.kill(worker["State"]["Pid"], signal.SIGKILL)
    wait_until(lambda: is_running_again(project, worker["State"]["Pid"]), 90, "the worker's return")
    wait_until(lambda: project.logs("worker").count("enough for") == 2, 90, "that it waits again")
    project.must("stop", "worker")
    (worker,) = project.containers("worker")
    assert (worker["State"]["Status"], worker["State"]["ExitCode"]) == ("exited", 0)


def is_running_again(project: Project, former_pid: int) -> bool:
    (worker,) = project.containers("worker")
    return worker["State"]["Running"] and worker["State"]["Pid"] not in (0, former_pid)


def test_own_server_leaves_the_reference_server_out(project: Project) -> None:
    services = project.must("config", "--services", env={"TARGET_HOST": "http://model.example:8080"}).split()
    assert sorted(services) == ["master", "prepare", "worker"]
    assert "inference-server" in project.must("config", "--services").split()


def test_closed_results_folder_is_refused_with_the_command_that_opens_it(project: Project) -> None:
    folder = project.folder / "experiment-results"
    project.must("down")
    folder.chmod(0o755)
    os.chown(folder, 12345, 12345)
    done = project.compose("up", "--detach", "prepare")
    wait_until(lambda: project.containers("prepare")[0]["State"]["Status"] == "exited", 90, "its end")
    assert done.returncode == 0
    assert project.containers("prepare")[0]["State"]["ExitCode"] == 2
    assert "chmod a+rwX experiment-results" in project.logs("prepare")
    assert folder.stat().st_mode & 0o777 == 0o755
