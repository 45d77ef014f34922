"""The line of a run under way: true metrics of a stretch that it names, whoever is lost, late or gone."""

from __future__ import annotations

import numpy as np
import pytest

from inference_swarm.export.moment import Window, newest_window, present_workers
from inference_swarm.measure.counters import RequestCounters
from inference_swarm.measure.snapshot import whole_snapshot
from inference_swarm.measure.totals import SwarmTotals


def totals_with(*reports: tuple[str, int, int]) -> SwarmTotals:
    """Reports of 3 s each: worker, number, requests of 5 ms."""
    totals = SwarmTotals("run")
    for worker, number, requests in reports:
        counters = RequestCounters(requests, rows=2 * requests)
        counters.latency.record_ns(np.full(requests, 5_000_000, dtype=np.int64))
        totals.apply(whole_snapshot("run", worker, number, 3.0 * number, 3.0 * number + 3, {"x": counters}, users=1))
    return totals


def test_the_window_is_the_newest_of_which_all_have_reported() -> None:
    totals = totals_with(("a", 0, 30), ("b", 0, 60), ("a", 1, 300))
    window = newest_window(totals, ["a", "b"])
    assert window is not None
    assert (window.start_s, window.end_s, window.rate_rps, window.rows_per_s) == (0.0, 3.0, 30.0, 60.0)
    assert window.p50_us == pytest.approx(5000, rel=0.002)


def test_the_metrics_go_on_after_a_worker_was_lost() -> None:
    totals = totals_with(("a", 0, 30), ("b", 0, 60), *(("a", number, 90) for number in range(1, 9)))
    present = present_workers(totals, ["b"])
    assert present == ["a"]
    window = newest_window(totals, present)
    assert window is not None
    assert (window.start_s, window.rate_rps) == (24.0, 30.0)


def test_until_a_worker_that_is_silent_is_lost_the_others_are_shown() -> None:
    totals = totals_with(("a", 0, 30), ("b", 0, 60), *(("a", number, 90) for number in range(1, 9)))
    window = newest_window(totals, ["a", "b"])
    assert window is not None
    assert (window.start_s, window.rate_rps) == (24.0, 30.0)


def test_a_server_that_answers_nobody_has_a_rate_of_nothing_now_and_not_the_rate_of_before() -> None:
    totals = totals_with(("a", 0, 30), ("a", 1, 0), ("a", 2, 0))
    window = newest_window(totals, ["a"])
    assert window is not None
    assert (window.start_s, window.end_s, window.rate_rps) == (6.0, 9.0, 0.0)
    assert window.p50_us != window.p50_us


def test_there_is_no_window_before_the_first_report() -> None:
    assert newest_window(SwarmTotals("run"), []) is None
    assert isinstance(newest_window(totals_with(("a", 0, 0)), ["a"]), Window)
