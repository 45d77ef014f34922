"""A container that was made from a pod, and its probes as they are written."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from manifests.objects import Item, Workload


def docker(*arguments: str, timeout_s: float = 60) -> str:
    """The output of a `docker` command that must succeed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


@dataclass(slots=True)
class RunningPod:
    """A container made from a pod with one container."""

    name: str
    workload: Workload
    container: Item

    def probe(self, kind: str) -> str:
        """Runs the probe as it is written: empty when it succeeds, else what it said."""
        probe = self.container[kind]
        timeout_s = probe["timeoutSeconds"]
        if "exec" in probe:
            command = ["docker", "exec", self.name, *probe["exec"]["command"]]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
            except subprocess.TimeoutExpired:
                return f"no answer in {timeout_s} s"
            return "" if done.returncode == 0 else done.stdout + done.stderr or "failed"
        if "tcpSocket" in probe:
            try:
                port = self.workload.ports[probe["tcpSocket"]["port"]]
                socket.create_connection((self.address, port), timeout_s).close()
            except OSError as error:
                return str(error)
            return ""
        request = probe["httpGet"]
        url = f"http://{self.address}:{self.workload.ports[request['port']]}{request['path']}"
        try:
            with urllib.request.urlopen(url, timeout=timeout_s):
                return ""
        except (urllib.error.URLError, OSError) as error:
            return str(error)

    def wait_for(self, kind: str, within_s: float | None = None) -> None:
        """Repeats the probe in its period until it succeeds; by default as often as it may fail."""
        probe = self.container[kind]
        period_s = probe["periodSeconds"]
        deadline_s = time.monotonic() + (within_s or period_s * probe.get("failureThreshold", 3))
        while said := self.probe(kind):
            assert self.exit_code is None, f"{self.name} ended with {self.exit_code}:\n{self.logs}"
            assert time.monotonic() < deadline_s, f"{self.name}: {kind} failed: {said}\n{self.logs}"
            time.sleep(min(period_s, 1))

    @property
    def inspected(self) -> dict[str, Any]:
        """`docker inspect`."""
        document: dict[str, Any] = json.loads(docker("inspect", self.name))[0]
        return document

    @property
    def address(self) -> str:
        """In the Docker network."""
        (network,) = self.inspected["NetworkSettings"]["Networks"].values()
        address: str = network["IPAddress"]
        return address

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        state = self.inspected["State"]
        return None if state["Running"] else int(state["ExitCode"])

    @property
    def logs(self) -> str:
        done = subprocess.run(["docker", "logs", self.name], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def wait_for_end(self, timeout_s: float) -> int:
        """The exit code."""
        deadline_s = time.monotonic() + timeout_s
        while (code := self.exit_code) is None:
            assert time.monotonic() < deadline_s, f"{self.name} still runs after {timeout_s} s:\n{self.logs}"
            time.sleep(0.2)
        return code

    def terminate(self) -> float:
        """Ends it as Kubernetes does, SIGTERM and SIGKILL after the grace period; returns the seconds it took."""
        grace_s = self.workload.pod["terminationGracePeriodSeconds"]
        began_s = time.monotonic()
        docker("stop", "--time", str(grace_s), self.name, timeout_s=grace_s + 30)
        return time.monotonic() - began_s
