"""No two tests that run at the same time are given the same port."""

from __future__ import annotations

import itertools
import socket

import pytest
import swarm_processes
from swarm_processes import AT_A_TIME, PORTS, free_port


def test_each_process_of_pytest_has_ports_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    for number in range(AT_A_TIME):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", f"gw{number}")
        given += itertools.islice(swarm_processes._ports(), len(PORTS) // AT_A_TIME)
    assert sorted(given) == list(PORTS)


def test_a_port_is_free_and_comes_back_late() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    with socket.socket() as taken:
        following = free_port() + AT_A_TIME
        if following in PORTS:
            taken.bind(("127.0.0.1", following))
        assert free_port() != following
