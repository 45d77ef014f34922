"""The dispatcher of a share, with a clock and a timer of the test's own: who gets which arrival, what is dropped."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.load.arrivals import NO_PART, ArrivalProcess, Part, Schedule, Share
from inference_swarm.load.dispatcher import ArrivalDispatcher
from inference_swarm.load.stage_text import parse_stages
from inference_swarm.load.stages import Stages

MS = 1_000_000
BEGAN_NS = 5_000 * MS


class Stage:
    """A dispatcher whose clock stands still until `pass_to` moves it, firing the timer on the way."""

    def __init__(
        self, stages: Stages, part: Part | None = None, drop_after_ms: float = 1e6, lease_ms: float = 1e9
    ) -> None:
        self.now_ns = BEGAN_NS
        self.timer_ns: int | None = None
        self.got: list[tuple[int, int]] = []
        schedule = Schedule(ArrivalProcess.CONSTANT, stages, seed=0)
        self.dispatcher = ArrivalDispatcher(
            Share(schedule, part or Part((0,), 1)),
            BEGAN_NS,
            drop_after_ns=round(drop_after_ms * MS),
            lease_until_ns=BEGAN_NS + round(lease_ms * MS),
            clock_ns=lambda: self.now_ns,
            timer_with=self._take_callback,
        )

    def _take_callback(self, callback: Callable[[], None]) -> Stage:
        self.fire = callback
        return self

    def set(self, due_ns: int) -> None:
        self.timer_ns = due_ns

    def close(self) -> None:
        self.timer_ns = None

    def user(self, service_ms: float = 0.0, most: int = 10**9) -> gevent.Greenlet:
        """Takes arrivals one after the other; (instant of the schedule, instant of the send) in ms."""

        def send() -> None:
            for _ in range(most):
                intended_ns = self.dispatcher.wait_next()
                self.got.append(((intended_ns - BEGAN_NS) // MS, (self.now_ns - BEGAN_NS) // MS))
                if service_ms:
                    free_ns = self.now_ns + round(service_ms * MS)
                    while self.now_ns < free_ns:
                        gevent.sleep(0)

        greenlet = gevent.spawn(send)
        gevent.sleep(0)
        return greenlet

    def pass_to(self, ms: float) -> None:
        """The clock goes on, ms by ms; the timer fires in the hub as the real one does."""
        end_ns = BEGAN_NS + round(ms * MS)
        while self.now_ns < end_ns:
            self.now_ns = min(self.now_ns + MS, end_ns)
            if self.timer_ns is not None and self.timer_ns <= self.now_ns:
                self.timer_ns = None
                gevent.get_hub().loop.run_callback(self.fire)
            gevent.sleep(0)
            gevent.sleep(0)


def test_a_free_user_gets_each_arrival_at_its_instant() -> None:
    stage = Stage(parse_stages("1s@100"))
    stage.user()
    stage.pass_to(1000)
    assert [intended for intended, _ in stage.got] == list(range(0, 1000, 10))
    # The first is due at the beginning itself, before the clock moves.
    assert [sent - intended for intended, sent in stage.got] == [0] * 100


def test_an_arrival_waits_for_a_user_and_keeps_its_intended_instant() -> None:
    stage = Stage(parse_stages("1s@100"))
    stage.user(service_ms=35)
    stage.pass_to(100)
    assert stage.got[:3] == [(0, 0), (10, 35), (20, 70)]


def test_what_waits_too_long_is_dropped_and_counted() -> None:
    stage = Stage(parse_stages("1s@100"), drop_after_ms=50)
    stage.user(service_ms=200)
    stage.pass_to(450)
    assert stage.got == [(0, 0), (150, 200), (350, 400)]
    dropped_ms = [(at_ns - BEGAN_NS) // MS for at_ns in stage.dispatcher.take_dropped_ns()]
    # all that was due, but for the three that were sent and those that may still wait
    assert dropped_ms == [10 * n for n in range(400 // 10) if 10 * n not in (0, 150, 350)]


def test_what_the_user_that_was_given_it_does_not_send_goes_to_another_one() -> None:
    stage = Stage(parse_stages("1s@10"))
    given_ns = stage.dispatcher.wait_next()
    stage.user()
    stage.dispatcher.give_back(given_ns)
    stage.pass_to(250)
    assert [intended for intended, _ in stage.got] == [0, 100, 200]
    assert not stage.dispatcher.take_dropped_ns()


def test_what_is_given_back_after_the_end_is_dropped() -> None:
    stage = Stage(parse_stages("1s@10"))
    given_ns = stage.dispatcher.wait_next()
    stage.dispatcher.end()
    stage.dispatcher.give_back(given_ns)
    assert list(stage.dispatcher.take_dropped_ns()) == [given_ns]


def test_at_the_end_what_still_waits_is_dropped_and_what_was_not_due_is_not() -> None:
    stage = Stage(parse_stages("1s@100"))
    stage.user(most=1)
    stage.pass_to(95)
    stage.dispatcher.end()
    assert len(stage.dispatcher.take_dropped_ns()) == 9
    assert stage.timer_ns is None


def test_nothing_is_handed_to_a_user_that_was_killed() -> None:
    stage = Stage(parse_stages("1s@100"))
    killed, other = stage.user(), stage.user()
    stage.pass_to(5)
    killed.kill()
    stage.pass_to(100)
    assert [intended for intended, _ in stage.got] == list(range(0, 101, 10))
    other.kill()


def test_lags_are_those_of_arrivals_for_which_a_user_was_free() -> None:
    stage = Stage(parse_stages("1s@100"))
    stage.user(service_ms=35)
    stage.pass_to(200)
    assert list(stage.dispatcher.take_lags_ns()) == []  # it was always busy: each arrival but the first had to wait


def test_a_part_that_changes_holds_from_its_instant_on() -> None:
    stage = Stage(parse_stages("2s@100"), part=Part((0,), 1))
    stage.user()
    stage.pass_to(100)
    stage.dispatcher.change(Part((1,), 2), 1_000 * MS)
    stage.pass_to(2000)
    assert [intended for intended, _ in stage.got] == [*range(0, 1000, 10), *range(1010, 2000, 20)]


def test_a_user_that_waits_without_a_part_is_woken_when_there_is_one() -> None:
    stage = Stage(parse_stages("1s@100"), part=NO_PART)
    stage.user()
    stage.pass_to(300)
    stage.dispatcher.change(Part((0,), 1), 500 * MS)
    stage.pass_to(1000)
    assert [intended for intended, _ in stage.got] == list(range(500, 1000, 10))


def test_no_arrival_after_the_end_of_the_lease_is_sent_until_the_lease_is_longer() -> None:
    stage = Stage(parse_stages("1s@100"), lease_ms=200)
    stage.user()
    stage.pass_to(400)
    assert [intended for intended, _ in stage.got] == list(range(0, 200, 10))
    stage.dispatcher.extend_lease(BEGAN_NS + 600 * MS)
    stage.dispatcher.extend_lease(BEGAN_NS + 300 * MS)  # older news
    stage.pass_to(1000)
    intended = [intended for intended, _ in stage.got]
    assert intended == list(range(0, 600, 10))


def test_after_a_pause_nothing_is_sent_and_what_waited_is_dropped() -> None:
    stage = Stage(parse_stages("1s@100"))
    user = stage.user(service_ms=200)
    stage.pass_to(105)  # 0 is being sent, 10 … 100 wait
    stage.dispatcher.pause(BEGAN_NS + 55 * MS)
    # Only those of its lease were its own: 10 … 50. Those up to 100 belong to whoever takes over from 55 ms on.
    assert len(stage.dispatcher.take_dropped_ns()) == 5
    stage.pass_to(1000)
    assert stage.got == [(0, 0)]
    user.kill()


def test_after_a_pause_another_part_is_sent_from_its_instant_on() -> None:
    stage = Stage(parse_stages("1s@100"))
    stage.user()
    stage.pass_to(105)
    stage.dispatcher.pause(BEGAN_NS + 105 * MS)
    stage.pass_to(405)
    stage.dispatcher.change(Part((0,), 2), 600 * MS)
    stage.pass_to(1000)
    assert [intended for intended, _ in stage.got] == [*range(0, 105, 10), *range(600, 1000, 20)]


def test_a_pause_in_the_schedule_is_slept_through() -> None:
    stage = Stage(parse_stages("100ms@100,3s@0,100ms@100"))
    stage.user()
    stage.pass_to(3300)
    intended = [intended for intended, _ in stage.got]
    assert intended[:10] == list(range(0, 100, 10))
    assert len(intended) == 20
    assert intended[10] >= 3100


@given(service_ms=st.integers(0, 60), users=st.integers(1, 4), drop_after_ms=st.integers(5, 200))
@settings(max_examples=25, deadline=None)
def test_every_arrival_is_sent_or_dropped_never_both_or_neither(
    service_ms: int, users: int, drop_after_ms: int
) -> None:
    stage = Stage(parse_stages("400ms@100"), drop_after_ms=drop_after_ms)
    greenlets = [stage.user(service_ms=service_ms) for _ in range(users)]
    stage.pass_to(400)
    stage.dispatcher.end()
    sent = [intended for intended, _ in stage.got]
    assert len(sent) == len(set(sent))
    assert len(sent) + len(stage.dispatcher.take_dropped_ns()) == 40
    gevent.killall(greenlets)


def test_the_shares_of_several_workers_make_up_the_schedule() -> None:
    stages = parse_stages("1s@100..300")
    sent: list[int] = []
    for index in range(3):
        stage = Stage(stages, Part((index,), 3))
        stage.user()
        stage.pass_to(1000)
        sent += [intended for intended, _ in stage.got]
    whole = Schedule(ArrivalProcess.CONSTANT, stages, seed=0).between(0, 1000 * MS).offsets_ns
    assert sorted(sent) == (whole // MS).tolist()
    assert np.all(np.diff(whole) > 0)


@pytest.mark.parametrize("offset_ms", [-3, 0, 40])
def test_a_timer_fires_when_it_is_due(offset_ms: int) -> None:
    import time

    from inference_swarm.load.timer import HubTimer, KernelTimer

    for kind in (KernelTimer, HubTimer):
        fired = gevent.event.Event()
        timer = kind(fired.set)
        due_ns = time.monotonic_ns() + offset_ms * MS
        timer.set(due_ns)
        assert fired.wait(2)
        assert time.monotonic_ns() >= due_ns
        timer.close()
