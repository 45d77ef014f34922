"""The sockets of master and workers: what they wait for, and what not. Run by test_patched.py."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import gevent
import pytest
import zmq
from locust.rpc import Message

import locust  # noqa: F401 - first: it makes the standard library cooperative
from inference_swarm.cluster import channel_context
from inference_swarm.cluster.channel import Client, ControlChannel
from inference_swarm.cluster.keys import MASTER, make_keys, read_keys


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


def test_a_process_that_ends_does_not_wait_for_a_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that does not answer holds a thread of ZMQ for 10 s and more, as an open socket does here."""
    monkeypatch.setattr(channel_context, "TERM_TIMEOUT_S", 0.1)
    channel = ControlChannel(None)
    client = channel.Client("127.0.0.1", 9, "worker")
    busy = zmq.Context.shadow(channel._context.underlying).socket(zmq.DEALER)
    began_s = time.monotonic()
    channel.close()
    assert time.monotonic() - began_s < 10
    assert client.socket.closed
    busy.close(linger=0)


def test_who_lets_workers_in_ends_with_the_channel_without_a_traceback(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys")
    channel = ControlChannel(read_keys(tmp_path / "keys", MASTER))
    gate = channel.Server("127.0.0.1", 0)._gate
    assert gate is not None
    gevent.sleep(0.01)
    channel.close()
    gate.join(timeout=10)
    assert (gate.dead, gate.exception) == (True, None)


def test_what_was_sent_before_the_end_arrives() -> None:
    server, channel = ControlChannel(None).Server("127.0.0.1", 0), ControlChannel(None)
    client = channel.Client("127.0.0.1", server.port, "w")
    send_when_connected(client, "w", "first")
    for number in range(1000):
        assert client.send(Message("more", number, "w"))
    channel.close()
    assert client.socket.closed
    received = [server.recv_from_client()[1].data for _ in range(1001)]
    assert received == ["first", *range(1000)]


def test_what_cannot_be_a_name_is_no_traceback() -> None:
    assert not ControlChannel(None).Client("a..b", 9, "worker").socket.closed


def test_messages_are_read_in_turns_and_the_master_knows_how_far_it_has_read() -> None:
    server = ControlChannel(None).Server("127.0.0.1", 0)
    clients = {name: ControlChannel(None).Client("127.0.0.1", server.port, name) for name in ("w1", "w2")}
    took: list[str] = []

    def take() -> None:
        while True:
            sender, message = server.recv_from_client()
            took.append(f"{sender} {message.data}")
            server.send_to_client(Message("answer", message.data, sender))
            if message.data == "slow":
                gevent.sleep(0.3)

    listener = gevent.spawn(take)
    for name, client in clients.items():
        send_when_connected(client, name, "first")
        assert client.recv().data == "first"
    gevent.sleep(0.05)
    assert server.read_until_s == pytest.approx(time.monotonic(), abs=0.05)

    before_s = time.monotonic()
    clients["w1"].send(Message("note", "slow", "w1"))
    with gevent.Timeout(5):
        while took[2:] != ["w1 slow"]:
            gevent.sleep(0.01)
    clients["w2"].send(Message("note", "waits", "w2"))
    gevent.sleep(0.1)
    assert took[2:] == ["w1 slow"]
    assert server.read_until_s <= before_s + 0.02
    gevent.sleep(0.3)
    assert sorted(took[2:]) == ["w1 slow", "w2 waits"]
    assert [client.recv().data for client in clients.values()] == ["slow", "waits"]
    assert server.read_until_s > before_s + 0.3
    listener.kill()


def test_to_ask_how_far_was_read_takes_no_message_from_who_waits_for_it() -> None:
    """As after a suspension: a timer is due before the waiting reader was woken."""
    server = ControlChannel(None).Server("127.0.0.1", 0)
    client = ControlChannel(None).Client("127.0.0.1", server.port, "w")
    took: list[object] = []

    def take() -> None:
        while True:
            took.append(server.recv_from_client()[1].data)

    listener = gevent.spawn(take)
    send_when_connected(client, "w", 0)
    with gevent.Timeout(5):
        while not took:
            gevent.sleep(0.01)
    gevent.sleep(0.05)
    for number in range(1, 6):
        client.send(Message("note", number, "w"))
        until_s = time.monotonic() + 0.05
        while time.monotonic() < until_s:
            pass  # the loop stands still
        assert server.read_until_s <= time.monotonic()
        gevent.sleep(0.1)
    assert took == list(range(6))
    listener.kill()


def test_a_flood_is_read_whole_in_order_and_answered() -> None:
    server = ControlChannel(None).Server("127.0.0.1", 0)
    client = ControlChannel(None).Client("127.0.0.1", server.port, "w")
    count = 900
    send_when_connected(client, "w", 0)

    def send() -> None:
        for number in range(1, count):
            client.send(Message("note", number, "w"))
            if not number % 20:
                gevent.sleep(0.01)

    sender = gevent.spawn(send)
    took = []
    for _ in range(count):
        took.append(server.recv_from_client()[1].data)
        server.send_to_client(Message("answer", took[-1], "w"))
    assert took == list(range(count))
    assert [client.recv().data for _ in range(count)] == took
    sender.join()


def test_what_cannot_be_sent_to_a_worker_gives_its_place_to_no_message_of_another() -> None:
    server = ControlChannel(None).Server("127.0.0.1", 0)
    clients = {name: ControlChannel(None).Client("127.0.0.1", server.port, name) for name in ("w1", "w2")}
    for name, client in clients.items():
        send_when_connected(client, name, "here")
        assert server.recv_from_client()[0] == name
    with pytest.raises(TypeError):
        server.send_to_client(Message("of a locustfile", {"a set"}, "w1"))
    for number in (1, 2):
        for name in ("w2", "w1"):
            server.send_to_client(Message("order", f"{number} for {name}", name))
    with gevent.Timeout(5):
        found = {name: [client.recv().data for _ in range(2)] for name, client in clients.items()}
    assert found == {name: [f"1 for {name}", f"2 for {name}"] for name in clients}


def send_when_connected(client: Client, name: str, data: object) -> None:
    with gevent.Timeout(5):
        while not client.send(Message("note", data, name)):
            gevent.sleep(0.01)
