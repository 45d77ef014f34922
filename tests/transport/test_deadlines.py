"""The scan interrupts who is overdue, nobody else, and stops when nobody is left."""

from __future__ import annotations

import time

from inference_swarm.transport.deadlines import Deadlines, TimeoutScan


class Waiter:
    def __init__(self, due_ns: int) -> None:
        self._due_ns = due_ns
        self.interruptions = 0

    def due_ns(self) -> int:
        return self._due_ns

    def interrupt(self) -> None:
        self.interruptions += 1
        self._due_ns = 0


def test_only_the_overdue_are_interrupted_and_once() -> None:
    scan = TimeoutScan(Deadlines())
    now_ns = time.monotonic_ns()
    idle, overdue, later = Waiter(0), Waiter(now_ns), Waiter(now_ns + 10**12)
    for waiter in (idle, overdue, later):
        scan.add(waiter)
    scan.run_once()
    scan.run_once()
    assert [waiter.interruptions for waiter in (idle, overdue, later)] == [0, 1, 0]
    for waiter in (idle, overdue, later):
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
