"""The time in which nobody could run the users that were wanted."""

from __future__ import annotations

import pytest

from inference_swarm.cluster.attendance import Attendance


def test_before_a_run_has_begun_no_time_passes() -> None:
    attendance = Attendance()
    assert attendance.pass_time(100.0, has_hosts=False) == 0.0
    assert Attendance(100.0, 104.0).pass_time(99.0, has_hosts=False) == 0.0


@pytest.mark.parametrize(("has_hosts", "unattended_s"), [(False, 0.25), (True, 0.0)])
def test_who_has_no_rows_cannot_send(has_hosts: bool, unattended_s: float) -> None:
    attendance = Attendance(100.0, 110.0)
    assert attendance.pass_time(100.25, has_hosts=has_hosts) == unattended_s
    assert attendance.pass_time(100.5, has_hosts=True) == 0.0


def test_who_has_rows_and_no_lease_cannot_send_either() -> None:
    attendance = Attendance(100.0, 104.0)
    assert attendance.pass_time(106.0, has_hosts=True) == 2.0
    assert attendance.pass_time(106.5, has_hosts=True) == 0.5
    attendance.leased_until_s = 110.5
    assert attendance.pass_time(107.0, has_hosts=True) == 0.0
    assert attendance.pass_time(111.0, has_hosts=False) == 4.0
