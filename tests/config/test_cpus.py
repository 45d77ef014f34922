"""The CPU quota of control groups, on the files as Docker and Kubernetes write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_swarm.config.cpus import Cpus, read_quota

V1_CONTAINER = "12:cpuset:/docker/ab\n4:cpu,cpuacct:/docker/ab\n1:name=systemd:/docker/ab\n"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        # version 2, in a namespace of its own
        ({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "50000 100000\n"}, 0.5),
        ({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        # version 2, where the pod has less than its container
        (
            {
                "/proc/self/cgroup": "0::/kubepods/pod1/c1\n",
                "/sys/fs/cgroup/kubepods/pod1/c1/cpu.max": "max 100000\n",
                "/sys/fs/cgroup/kubepods/pod1/cpu.max": "150000 100000\n",
                "/sys/fs/cgroup/kubepods/cpu.max": "800000 100000\n",
            },
            1.5,
        ),
        # version 1: the mount in the container is the container's group, the path is that of the machine
        (
            {
                "/proc/self/cgroup": V1_CONTAINER,
                "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
                "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
        # version 1, mounted as `cpu` alone, on the machine itself
        (
            {
                "/proc/self/cgroup": "4:cpu:/batch\n",
                "/sys/fs/cgroup/cpu/batch/cpu.cfs_quota_us": "300000\n",
                "/sys/fs/cgroup/cpu/batch/cpu.cfs_period_us": "100000\n",
            },
            3.0,
        ),
        (
            {
                "/proc/self/cgroup": "4:cpu:/\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        # both versions beside each other
        (
            {
                "/proc/self/cgroup": "1:cpu:/\n0::/\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            2.0,
        ),
        ({"/proc/self/cgroup": "nonsense\n0::/\n", "/sys/fs/cgroup/cpu.max": "a b\n"}, None),
        ({}, None),
    ],
)
def test_the_smallest_quota_of_all_groups_counts(files: dict[str, str], cores: float | None) -> None:
    assert read_quota(files.get) == cores


@pytest.mark.parametrize(
    ("cpus", "processes"),
    [
        (Cpus(64, 0.5), 1),
        (Cpus(64, 1.9), 1),
        (Cpus(64, 2.0), 2),
        (Cpus(2, 8.0), 2),
        (Cpus(4), 4),
    ],
)
def test_a_process_has_a_whole_core_but_there_is_one_at_least(cpus: Cpus, processes: int) -> None:
    assert cpus.processes == processes


def test_a_quota_that_holds_back_is_said_and_no_other() -> None:
    assert Cpus(64, 3.5).note == "3 worker processes: the CPU quota is 3.5 of 64 cores."
    assert Cpus(64, 0.5).note.startswith("1 worker process: the CPU quota is 0.5 of 64 cores. Below 1 ")
    assert (Cpus(2, 8.0).note, Cpus(2).note) == ("", "")


@given(st.integers(1, 512), st.none() | st.floats(0.01, 1000))
def test_there_are_never_more_processes_than_cores_or_quota_allow(cores: int, limit: float | None) -> None:
    processes = Cpus(cores, limit).processes
    assert 1 <= processes <= cores
    assert limit is None or processes <= max(1.0, limit)
