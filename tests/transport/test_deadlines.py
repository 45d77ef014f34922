"""The timeout scan interrupts whose deadline has passed, nobody else, soon after it, and stops when nobody is left."""

from __future__ import annotations

import time

import gevent

from inference_swarm.transport.deadlines import MIN_GAP_S, DeadlineExceeded, Deadlines, TimeoutScan, Wait


class Waiter:
    def __init__(self, due_ns: int) -> None:
        self._due_ns = due_ns
        self.interruptions = 0

    def due_ns(self) -> int:
        return self._due_ns

    def interrupt(self) -> None:
        self.interruptions += 1
        self._due_ns = 0


def test_only_those_whose_deadline_has_passed_are_interrupted_and_once() -> None:
    scan = TimeoutScan(Deadlines())
    now_ns = time.monotonic_ns()
    idle, exceeded, later = Waiter(0), Waiter(now_ns), Waiter(now_ns + 10**12)
    for waiter in (idle, exceeded, later):
        scan.add(waiter)
    scan.run_once()
    scan.run_once()
    assert [waiter.interruptions for waiter in (idle, exceeded, later)] == [0, 1, 0]
    for waiter in (idle, exceeded, later):
        scan.remove(waiter)
    assert scan._timer is None


def test_a_waiter_whose_deadline_moved_because_of_another_is_left_alone() -> None:
    now_ns = time.monotonic_ns()
    scan = TimeoutScan(Deadlines())
    waiters = [Waiter(now_ns), Waiter(now_ns)]

    class Chain(Waiter):
        def interrupt(self) -> None:
            super().interrupt()
            for waiter in waiters:
                waiter._due_ns = 0

    first = Chain(now_ns)
    scan._waiters = dict.fromkeys([first, *waiters])  # type: ignore[assignment]  # a set in a known order
    scan.run_once()
    assert (first.interruptions, waiters[0].interruptions, waiters[1].interruptions) == (1, 0, 0)


def test_the_next_look_is_at_the_earliest_deadline_but_not_at_once_again() -> None:
    scan = TimeoutScan(Deadlines(connect_s=5, send_s=60, request_s=60))

    def next_look_s(*after_s: float) -> float:
        now_ns = time.monotonic_ns()
        scan._waiters = {Waiter(now_ns + round(each * 1e9)) for each in after_s} | {Waiter(0)}
        return scan.run_once()

    # Nobody who begins to wait now is due before the shortest deadline from now.
    assert 4.5 < next_look_s() <= 5
    assert 4.5 < next_look_s(40, 50) <= 5
    assert 1.5 < next_look_s(2, 40) <= 2
    assert next_look_s(0.001, 2) == MIN_GAP_S


def test_a_wait_has_the_deadline_of_its_phase_or_else_of_its_request() -> None:
    wait = Wait(request_s=2)
    wait.sent_ns = 1_000_000_000
    assert wait.due_ns() == 0
    wait.is_for_response = True
    assert wait.due_ns() == 3_000_000_000
    wait.phase_due_ns = 1_500_000_000
    assert wait.due_ns() == 1_500_000_000


def test_interruptions_come_within_twenty_milliseconds_whatever_the_length_of_the_deadline() -> None:
    delays_ms = []

    def wait_for_nothing(scan: TimeoutScan, wait_s: float) -> None:
        wait = Wait(wait_s)
        scan.add(wait)
        gevent.sleep(0.32 * wait_s)  # so that the deadline is at no tenth of it, counted from the first look
        wait.sent_ns = time.monotonic_ns()
        wait.is_for_response = True
        try:
            wait.switch()
        except DeadlineExceeded:
            delays_ms.append((time.monotonic_ns() - wait.due_ns()) / 1e6)
        scan.remove(wait)

    scans = [TimeoutScan(Deadlines(request_s=wait_s)) for wait_s in (0.35, 0.6, 0.7) for _ in range(3)]
    greenlets = [gevent.spawn(wait_for_nothing, scan, scan._shortest_s) for scan in scans]
    gevent.joinall(greenlets, timeout=5, raise_error=True)
    # Not the last, since a busy machine may wake this process late.
    assert 0 <= sorted(delays_ms)[3] < 20
    assert len(delays_ms) == 9
