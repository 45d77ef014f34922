"""The master's clock as a worker knows it."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from inference_swarm.cluster.master_clock import MasterClock

MS = 1_000_000
ELSEWHERE = "another machine"


def test_the_quickest_answer_is_believed() -> None:
    clock = MasterClock("here")
    # The master's clock is 1,000 ms ahead; answers take 2 + 8, then 1 + 1, then 9 + 1 ms.
    clock.note(0, 1_002 * MS, 10 * MS, ELSEWHERE)
    clock.note(20 * MS, 1_021 * MS, 22 * MS, ELSEWHERE)
    clock.note(40 * MS, 1_049 * MS, 50 * MS, ELSEWHERE)
    assert clock.error_ns == 1 * MS
    assert clock.to_local_ns(5_000 * MS) == 4_000 * MS


def test_without_an_answer_a_message_is_better_than_nothing_and_an_answer_better_than_that() -> None:
    clock = MasterClock("here")
    clock.note_message(1_000 * MS, 7 * MS, ELSEWHERE)
    assert clock.to_local_ns(1_000 * MS) == 7 * MS
    clock.note(8 * MS, 1_004 * MS, 10 * MS, ELSEWHERE)
    clock.note_message(2_000 * MS, 3_000 * MS, ELSEWHERE)
    assert clock.to_local_ns(1_004 * MS) == 9 * MS


def test_on_the_masters_machine_the_clocks_are_one() -> None:
    clock = MasterClock("here")
    clock.note(0, 500 * MS, 80 * MS, "here")
    clock.note_message(500 * MS, 80 * MS, "here")
    assert (clock.to_local_ns(7), clock.error_ns) == (7, 0)


def test_processes_that_do_not_know_their_boot_are_not_taken_for_neighbours() -> None:
    clock = MasterClock("")
    clock.note(0, 1_001 * MS, 2 * MS, "")
    assert (clock.to_local_ns(1_001 * MS), clock.error_ns) == (1 * MS, 1 * MS)


def test_another_master_has_another_clock() -> None:
    clock = MasterClock("here")
    clock.note(0, 1_001 * MS, 2 * MS, ELSEWHERE)
    clock.forget()
    assert (clock.to_local_ns(7), clock.error_ns) == (7, None)
    clock.note(0, 9_010 * MS, 20 * MS, ELSEWHERE)  # slower than the best of the former one
    assert clock.to_local_ns(9_010 * MS) == 10 * MS


@given(
    ahead_ns=st.integers(-(10**12), 10**12),
    ways=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=10),
)
def test_the_error_is_at_most_what_is_said(ahead_ns: int, ways: list[tuple[int, int]]) -> None:
    clock, now_ns = MasterClock("here"), 0
    for there_ns, back_ns in ways:
        clock.note(now_ns, now_ns + there_ns + ahead_ns, now_ns + there_ns + back_ns, ELSEWHERE)
        now_ns += there_ns + back_ns
    assert clock.error_ns is not None
    assert abs(clock.to_local_ns(ahead_ns)) <= clock.error_ns + 1
