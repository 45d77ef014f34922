"""Passwords are checked one after the other, and a wrong one takes a second, wherever it is tried."""

from __future__ import annotations

import gevent
from gevent.event import Event

from inference_swarm.web.brake import MAX_WAITING, MAX_WAITING_OF_ONE, WRONG_PASSWORD_S, Checked, PasswordBrake


class Desk:
    """A brake whose seconds pass when the test says so."""

    def __init__(self) -> None:
        self.looked_at: list[str] = []
        self.waited_s: list[float] = []
        self.go_on = Event()
        self.brake = PasswordBrake(self._is_right, self._wait)

    def _is_right(self, _user: str, password: str) -> bool:
        self.looked_at.append(password)
        return password == "right"

    def _wait(self, seconds: float) -> None:
        self.waited_s.append(seconds)
        self.go_on.wait()

    def try_at(self, address: str, password: str) -> gevent.Greenlet:
        attempt = gevent.spawn(self.brake.check, address, "ada", password)
        gevent.sleep(0)
        return attempt


def test_two_hundred_guesses_take_their_time_one_after_the_other() -> None:
    desk = Desk()
    attempts = [desk.try_at(f"192.0.2.{number}", f"guess {number}") for number in range(200)]
    assert desk.looked_at == ["guess 0"]
    assert [attempt.value for attempt in attempts if attempt.ready()] == [Checked.BUSY] * (200 - MAX_WAITING)
    desk.go_on.set()
    gevent.joinall(attempts)
    assert [attempt.value for attempt in attempts[:MAX_WAITING]] == [Checked.WRONG] * MAX_WAITING
    assert desk.waited_s == [WRONG_PASSWORD_S] * MAX_WAITING


def test_one_address_alone_holds_up_the_others_for_a_few_seconds_at_most() -> None:
    desk = Desk()
    attempts = [desk.try_at("192.0.2.1", f"guess {number}") for number in range(100)]
    assert sum(attempt.ready() for attempt in attempts) == 100 - MAX_WAITING_OF_ONE
    right = desk.try_at("192.0.2.2", "right")
    desk.go_on.set()
    assert right.get() is Checked.RIGHT
    assert len(desk.waited_s) == MAX_WAITING_OF_ONE


def test_the_right_one_waits_its_turn_too_so_that_no_flood_finds_it_sooner() -> None:
    desk = Desk()
    desk.try_at("192.0.2.1", "guess")
    right = desk.try_at("192.0.2.2", "right")
    assert not right.ready()
    desk.go_on.set()
    assert right.get() is Checked.RIGHT


def test_an_address_that_was_right_is_not_held_up_by_others_until_it_is_wrong() -> None:
    desk = Desk()
    assert desk.try_at("192.0.2.2", "right").get() is Checked.RIGHT
    desk.try_at("192.0.2.1", "guess")
    assert desk.try_at("192.0.2.2", "right").value is Checked.RIGHT
    wrong = desk.try_at("192.0.2.2", "guess too")
    held_up = desk.try_at("192.0.2.2", "right")
    assert (wrong.ready(), held_up.ready()) == (False, False)
    desk.go_on.set()
    assert (wrong.get(), held_up.get()) == (Checked.WRONG, Checked.RIGHT)
