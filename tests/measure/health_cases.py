"""The health of a process whose event loop is held up. Run by test_health.py in a patched process."""

from __future__ import annotations

import time

import gevent

from inference_swarm.judge.self_check import SelfCheck, is_generator_bottleneck
from inference_swarm.measure.health import HealthMonitor, loop_lag_ms


def test_many_ticks_of_which_few_are_late_have_a_small_p99() -> None:
    assert loop_lag_ms([0.5] * 99 + [80.0, 0.5]) == (80.0, 0.5)


def test_of_a_short_time_there_is_no_p99() -> None:
    assert loop_lag_ms([1.0] * 10) == (1.0, None)
    assert loop_lag_ms([]) == (None, None)


def test_the_few_ticks_of_a_loop_that_is_held_up_count() -> None:
    worst_ms, p99_ms = loop_lag_ms([290.0] * 10)  # three seconds
    assert (worst_ms, p99_ms) == (290.0, 290.0)


def test_a_loop_that_is_held_up_marks_the_run_although_the_process_gets_little_cpu() -> None:
    monitor, check = HealthMonitor(), SelfCheck()
    for _ in range(2):
        until_s = time.monotonic() + 0.8
        while time.monotonic() < until_s:
            _hold_up(0.2)
            gevent.sleep(0)
        check.observe("w", monitor.take())
    monitor.close()
    assert is_generator_bottleneck(check.warnings())
    assert any("late to read responses" in warning.sentence for warning in check.warnings())


def test_a_tick_that_has_not_ended_counts_as_well() -> None:
    monitor = HealthMonitor()
    gevent.sleep(0.03)
    _hold_up(0.7)
    health = monitor.take()
    monitor.close()
    assert health.loop_lag_max_ms is not None
    assert health.loop_lag_max_ms > 600
    assert health.loop_lag_p99_ms is not None


def _hold_up(seconds: float) -> None:
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        pass
