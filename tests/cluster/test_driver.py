"""The driver: one event after the other, whatever happens while one is decided."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import gevent
import pytest

from inference_swarm.cluster.driver import Driver


class Machine:
    """Answers each event with the actions that a test says; keeps what was decided and executed, in order."""

    def __init__(self, actions: dict[str, list[str]] | None = None, wake_s: float = 60.0) -> None:
        self.log: list[str] = []
        self.wake_after_s = wake_s
        self.deeds: dict[str, Callable[[], None]] = {}
        self.ticked = gevent.event.Event()
        self._actions = actions or {}
        self.driver: Driver[str, str] = Driver(
            self._step, self._execute, lambda now_s: now_s + self.wake_after_s, lambda: "tick"
        )

    def _step(self, event: str, now_s: float) -> list[str]:
        assert abs(now_s - time.monotonic()) < 5
        self.log.append(event)
        if event == "tick":
            self.ticked.set()
        if event == "bad":
            raise ValueError("cannot be decided")
        return self._actions.get(event, [])

    def _execute(self, action: str) -> None:
        self.log.append(action)
        if action in self.deeds:
            self.deeds[action]()


def test_an_event_that_comes_while_another_is_decided_waits_for_its_turn() -> None:
    machine = Machine({"one": ["a", "b"], "two": ["c"]})
    machine.deeds["a"] = lambda: machine.driver.feed("two")
    machine.driver.feed("one")
    assert machine.log == ["one", "a", "b", "two", "c"]
    machine.driver.close()


def test_neither_an_event_nor_an_action_that_fails_stops_what_follows(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine({"one": ["a", "b"], "two": ["c"]})

    def fail() -> None:
        machine.driver.feed("two")
        raise OSError("no such thing")

    machine.deeds["a"] = fail
    with caplog.at_level(logging.ERROR):
        machine.driver.feed("bad")
        machine.driver.feed("one")
    assert machine.log == ["bad", "one", "a", "b", "two", "c"]
    assert [record.getMessage() for record in caplog.records] == [
        "An event could not be decided: 'bad'",
        "An action failed: 'a'",
    ]
    machine.driver.close()


def test_ticks_come_by_themselves_and_end_with_the_driver() -> None:
    machine = Machine(wake_s=0.001)
    machine.driver.feed("one")
    for _ in range(3):
        machine.ticked.clear()
        assert machine.ticked.wait(5)
    machine.driver.close()
    assert machine.driver.is_closed
    machine.driver.feed("two")
    assert machine.log[0] == "one"
    assert set(machine.log[1:]) == {"tick"}
    assert machine.driver._timer is not None
    assert gevent.joinall([machine.driver._timer], timeout=5)


def test_what_becomes_due_sooner_is_not_waited_for_until_the_former_time() -> None:
    machine = Machine(wake_s=60.0)
    machine.driver.feed("one")
    gevent.sleep(0)  # its timer waits for a minute
    machine.wake_after_s = 0.001
    machine.driver.feed("two")
    assert machine.ticked.wait(5)
    machine.driver.close()


def test_a_driver_may_be_closed_by_its_own_tick() -> None:
    machine = Machine({"tick": ["end"]}, wake_s=0.001)
    machine.deeds["end"] = machine.driver.close
    machine.driver.feed("one")
    assert machine.ticked.wait(5)
    assert machine.driver._timer is not None
    assert gevent.joinall([machine.driver._timer], timeout=5)
    assert machine.log == ["one", "tick", "end"]
