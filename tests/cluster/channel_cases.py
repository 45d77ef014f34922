"""The sockets of a worker that looks for its master again, when names take long to look up. Run by test_patched.py."""

from __future__ import annotations

import socket

import pytest

import locust  # noqa: F401 - first: it makes the standard library cooperative
from inference_swarm.cluster.channel import ControlChannel


def test_a_connection_that_is_opened_again_waits_for_no_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users of a worker without a master must stop within seconds; a look-up may take longer than that."""
    asked: list[str] = []

    def look_up(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    channel = ControlChannel(None)
    first = channel.Client("master.test", 9, "worker")
    assert asked == ["master.test"]
    second = channel.Client("master.test", 9, "worker")
    first.close(linger=0)
    assert asked == ["master.test"]
    other = channel.Client("other.test", 9, "worker")
    assert asked == ["master.test", "other.test"]
    # To end a context is to wait for its threads, which look names up: only the end of the process may do that.
    assert first.socket.context is second.socket.context is other.socket.context
    assert not first.socket.context.closed


def test_what_cannot_be_a_name_is_no_traceback() -> None:
    assert not ControlChannel(None).Client("a..b", 9, "worker").socket.closed
