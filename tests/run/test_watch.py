"""What the reports of a run bring about: the end of a warm-up, and an early end."""

from __future__ import annotations

from inference_swarm.judge.abort import parse_abort_condition
from inference_swarm.measure.counters import RequestCounters
from inference_swarm.measure.seconds import SecondCounts
from inference_swarm.measure.snapshot import Slice, Snapshot
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.run.watch import RunWatch, Seen


def report(totals: SwarmTotals, sequence: int, succeeded: int, failed: int, worker: str = "w") -> None:
    start_s = 3.0 * sequence
    part = Slice(start_s, start_s + 3, {"x": RequestCounters(succeeded)}, totals.epoch)
    seconds = [SecondCounts(round(start_s) + second, succeeded // 3, failed // 3) for second in range(3)]
    totals.apply(Snapshot("run", worker, sequence, start_s, start_s + 3, [part], seconds))


def test_a_warm_up_of_requests_ends_once_when_so_many_have_ended() -> None:
    totals, watch = SwarmTotals("run"), RunWatch(warm_up_requests=500)
    report(totals, 0, 300, 0)
    assert watch.look(totals) == Seen()
    report(totals, 1, 300, 0)
    assert watch.look(totals) == Seen(is_warm=True)
    assert watch.look(totals) == Seen()


def test_without_a_warm_up_nothing_ends() -> None:
    totals = SwarmTotals("run")
    report(totals, 0, 300, 0)
    assert RunWatch().look(totals) == Seen()


def test_a_condition_ends_the_run_once_and_only_by_what_all_workers_reported() -> None:
    totals, watch = SwarmTotals("run"), RunWatch([parse_abort_condition("error_rate>50% for 3s")])
    totals.expect("late")
    report(totals, 0, 0, 300)
    assert watch.look(totals) == Seen()
    report(totals, 0, 3, 3, worker="late")
    assert watch.look(totals).abort_because.startswith("error_rate>50% for 3s: error_rate was 99.02 % from 0 s to 3 s")
    report(totals, 1, 0, 300)
    assert watch.look(totals) == Seen()
