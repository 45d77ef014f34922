"""The check of whether NetworkPolicies are enforced, against sockets of this machine."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from swarm_processes import free_port

CHECK = Path(__file__).resolve().parents[2] / "docker" / "network_check.py"


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("network_check", CHECK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_connection_that_must_fail_and_does_not_is_said_with_a_way_out(check: ModuleType) -> None:
    with socket.create_server(("127.0.0.1", 0)) as api:
        code, sentence = check.main("127.0.0.1", str(api.getsockname()[1]))
    assert code == 1
    assert sentence.startswith("NetworkPolicies are NOT enforced: this pod reached 127.0.0.1:")
    assert "Fix: " in sentence


def test_a_refused_connection_means_that_policies_are_enforced(check: ModuleType) -> None:
    code, sentence = check.main("127.0.0.1", str(free_port()))
    assert code == 0
    assert "are enforced" in sentence


def test_a_dropped_connection_means_the_same(check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "CONNECT_WITHIN_S", 0.05)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(8)]  # fills the queue: further ones get no answer
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        try:
            assert check.main("127.0.0.1", str(address[1]))[0] == 0
        finally:
            for one in waiting:
                one.close()


@pytest.mark.parametrize(("host", "port"), [("", ""), ("10.0.0.1", "https"), ("no-such-host.invalid", "443")])
def test_what_cannot_be_told_is_not_called_enforced(check: ModuleType, host: str, port: str) -> None:
    code, sentence = check.main(host, port)
    assert code == 2
    assert sentence.startswith("cannot tell: ")


@pytest.mark.processes
def test_it_runs_as_the_job_runs_it() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", CHECK],
        env={"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(free_port())},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "are enforced" in done.stdout) == (0, True)
