"""The time in which nobody ran the users that were wanted."""

from __future__ import annotations

from inference_swarm.cluster.attendance import Attendance


def watched(*instants: tuple[float, bool], is_wanted: bool = True, leased_until_s: float = 104.0) -> float:
    """What is unattended of a run that began at 100 s; (instant, whether a worker has rows) of each look."""
    attendance = Attendance(100.0, leased_until_s)
    for now_s, is_there in instants:
        attendance.pass_time(now_s, is_there=is_there, is_wanted=is_wanted)
    return attendance.unattended_s


def test_before_a_run_has_begun_no_time_passes() -> None:
    attendance = Attendance()
    attendance.pass_time(100.0, is_there=False, is_wanted=True)
    assert attendance.unattended_s == 0.0
    assert watched((90.0, False), (99.0, False)) == 0.0


def test_who_has_no_rows_runs_no_users() -> None:
    assert watched((100.5, True), (102.0, False), (103.5, False)) == 3.0


def test_who_has_rows_and_no_lease_runs_none_either() -> None:
    assert watched((103.0, True), (106.0, True), (107.0, True)) == 3.0


def test_who_has_rows_again_has_to_say_first_that_it_runs_users() -> None:
    assert watched((102.0, False), (103.5, True)) == 3.5


def test_users_that_move_to_another_worker_are_no_gap_and_longer_ones_add_up() -> None:
    attendance = Attendance(100.0, 104.0)

    def look(now_s: float, *, is_there: bool) -> float:
        attendance.pass_time(now_s, is_there=is_there, is_wanted=True)
        return attendance.unattended_s

    assert look(100.9, is_there=False) == 0.0
    attendance.leased_until_s = 104.9
    assert look(105.8, is_there=True) == 0.0
    assert look(106.0, is_there=True) == 106.0 - 104.9
    attendance.leased_until_s = 110.0
    assert look(108.0, is_there=True) == 106.0 - 104.9
    assert look(110.5, is_there=False) == 106.0 - 104.9 + 2.5


def test_where_none_are_wanted_none_are_missing() -> None:
    assert watched((102.0, False), (110.0, True), is_wanted=False) == 0.0
