"""A worker whose way to the master is cut for ten seconds, in a network namespace. Needs root and iproute2."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_server import Recording, recording_server
from swarm_processes import Swarm, wait_until

pytestmark = pytest.mark.processes

NAMESPACE = f"swarm{os.getpid() % 10_000}"
CUT_S = 10.0


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def two_ways() -> Iterator[tuple[str, str, str]]:
    """A namespace with two cables: name of the outer end of the first, its address, and the address of the second."""
    reason = "needs root and iproute2 for network namespaces"
    usable = os.name == "posix" and os.geteuid() == 0 and shutil.which("ip") is not None
    if usable:
        try:
            ip("netns", "add", NAMESPACE)
        except subprocess.CalledProcessError as error:
            usable, reason = False, error.stderr.decode()
    if not usable:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    subnet = 10 + os.getpid() % 200
    try:
        ip("-n", NAMESPACE, "link", "set", "lo", "up")
        addresses = []
        for cable in (1, 2):
            outer, inner = f"{NAMESPACE}o{cable}", f"{NAMESPACE}i{cable}"
            ip("link", "add", outer, "type", "veth", "peer", "name", inner)
            ip("link", "set", inner, "netns", NAMESPACE)
            ip("addr", "add", f"10.213.{subnet}.{cable * 16 + 1}/28", "dev", outer)
            ip("link", "set", outer, "up")
            ip("-n", NAMESPACE, "addr", "add", f"10.213.{subnet}.{cable * 16 + 2}/28", "dev", inner)
            ip("-n", NAMESPACE, "link", "set", inner, "up")
            addresses.append(f"10.213.{subnet}.{cable * 16 + 1}")
        yield f"{NAMESPACE}o1", addresses[0], addresses[1]
    finally:
        for cable in (1, 2):
            subprocess.run(["ip", "link", "del", f"{NAMESPACE}o{cable}"], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=False, capture_output=True)


def test_a_worker_cut_off_and_healed_is_counted_once_and_has_its_users_again(
    swarm: Swarm, tmp_path: Path, two_ways: tuple[str, str, str]
) -> None:
    cable, master_address, target_address = two_ways
    rows = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": list(range(400))}), rows)
    with recording_server(target_address) as recording:
        recording.delay_s, recording.finds_owners = 0.05, True
        url = f"http://{target_address}:{recording.port}"
        master = swarm.start(
            "master", "--master", "--headless", "--master-bind-host", "*", "--master-bind-port",
            str(swarm.master_port), "--expect-workers", "2", "--results", str(swarm.results), "--host", url,
            "--data", str(rows), "-u", "20", "-r", "40", "--stop-timeout", "5",
        )  # fmt: skip
        swarm.start_worker(1)
        command = swarm.command("--worker", "--master-host", master_address, "--master-port", str(swarm.master_port))
        with swarm.log_file("worker-2").open("ab") as log:
            swarm.processes["worker-2"] = subprocess.Popen(
                ["ip", "netns", "exec", NAMESPACE, *command], cwd=tmp_path, env=swarm.environment(), stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_until(lambda: active_users(recording) == 20, 40, "the users of the start")
        wait_until(lambda: len(senders(recording)) == 2, 5, "users on both workers")

        ip("link", "set", cable, "down")
        cut_s = time.monotonic()
        wait_until(lambda: "is lost" in swarm.log("master"), 10, "that the master notices")
        wait_until(lambda: "The master is gone" in swarm.log("worker-2"), 10, "that the worker notices")
        wait_until(lambda: active_users(recording) == 20 and len(senders(recording)) == 1, 5, "users on the other")
        wait_until(lambda: time.monotonic() - cut_s > CUT_S, 15, "the end of the cut")
        ip("link", "set", cable, "up")

        wait_until(lambda: "is back" in swarm.log("master"), 20, "that it comes back")
        wait_until(lambda: active_users(recording) == 20 and len(senders(recording)) == 2, 10, "its users")
        master.send_signal(signal.SIGTERM)
        assert master.wait(60) == 0, swarm.log("master")
        summary = swarm.summary()
        assert summary["requests"] == recording.count
        assert summary["failures"] == 0
        assert summary["complete"] is True


def lately(recording: Recording) -> set[int]:
    since_s = time.monotonic() - 0.6
    latest = range(max(0, len(recording.times_s) - 2000), len(recording.times_s))
    return {recording.peers[index] for index in latest if recording.times_s[index] > since_s}


def active_users(recording: Recording) -> int:
    return len(lately(recording))


def senders(recording: Recording) -> set[int]:
    """Processes that send; 0 is the one in the other namespace, of which this one cannot see the number."""
    return {recording.owners[peer] for peer in lately(recording)}
