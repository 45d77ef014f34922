from __future__ import annotations

import numpy as np
import pytest

from inference_swarm.judge.objectives import parse_objective
from inference_swarm.judge.stages import StageResult, judge_stages
from inference_swarm.judge.verdict import Status
from inference_swarm.load.stage_text import parse_stages
from inference_swarm.measure.counters import FailureRecord, RequestCounters
from inference_swarm.measure.seconds import SecondCounts
from inference_swarm.measure.snapshot import Slice, Snapshot
from inference_swarm.measure.totals import SwarmTotals

STAIRS = parse_stages("10s@100,10s@200,10s@200..400")


def served(count: int, took_ms: float, failed: int = 0) -> RequestCounters:
    made = RequestCounters(count, connects=1)
    made.latency.record_ns(np.full(count, round(took_ms * 1e6)))
    if failed:
        made.count_failure("timeout", FailureRecord("timeout", failed))
    return made


def climbed(*stages: RequestCounters, warm_up_s: float = 0.0) -> SwarmTotals:
    """What each stage got; the seconds hold what ended in them: the last stage takes longer than it lasts."""
    totals = SwarmTotals("run", is_staged=True)
    if warm_up_s:
        totals.start_epoch(warm_up_s)
    slices = [
        Slice(10.0 * number, 10.0 * number + 10, {"/x": counters}, totals.epoch, number)
        for number, counters in enumerate(stages)
    ]
    per_s = [(100, 0), (200, 0), (250, 50)]
    seconds = [SecondCounts(second, *per_s[second // 10]) for second in range(10 * len(stages))]
    totals.apply(Snapshot("run", "w", 0, 0.0, 30.0, slices, seconds, is_final=True))
    return totals


def results(totals: SwarmTotals, *, end_s: float = 30.0, slo: str = "p99<50ms") -> tuple[StageResult, ...]:
    return judge_stages(totals, STAIRS, [parse_objective(slo)], is_open=True, end_s=end_s)


def test_each_stage_of_a_staircase_has_its_own_rate_times_and_verdict() -> None:
    totals = climbed(served(1000, 5), served(2000, 20), served(2500, 80, failed=500))
    first, second, third = results(totals)
    assert [(one.wanted_first, one.wanted_last, one.rate_rps) for one in (first, second, third)] == [
        (100, 100, 100), (200, 200, 200), (200, 400, 300),
    ]  # fmt: skip
    assert [one.counters.latency.max_us for one in (first, second, third)] == [5000, 20_000, 80_000]
    assert [one.verdict.status for one in (first, second, third)] == [
        Status.PASSED, Status.PASSED, Status.OBJECTIVE_MISSED,
    ]  # fmt: skip
    assert third.verdict.reasons == (
        "p99<50ms: fail, measured no response (500 requests that did not succeed count as slowest)",
        "500 of 3,000 requests failed",
    )


def test_the_rate_of_a_stage_is_of_what_ended_within_it() -> None:
    totals = climbed(served(1000, 5), served(2000, 20), served(4000, 80))
    assert results(totals, slo="rate>=255")[2].verdict.results[0].measured == 250


def test_a_stage_that_was_not_reached_is_left_out_and_one_cut_short_is_shorter() -> None:
    totals = climbed(served(1000, 5), served(1000, 20))
    first, second = results(totals, end_s=15.0)
    assert (second.start_s, second.end_s, second.rate_rps, first.length_s) == (10, 15, 200, 10)


@pytest.mark.parametrize(("warm_up_s", "starts"), [(4.0, [4, 10, 20]), (12.0, [12, 20])])
def test_what_was_warm_up_is_no_part_of_a_stage(warm_up_s: float, starts: list[float]) -> None:
    totals = climbed(served(600, 5), served(2000, 20), served(3000, 20), warm_up_s=warm_up_s)
    found = results(totals)
    assert [one.start_s for one in found] == starts
    assert [one.rate_rps for one in found][-2:] == [200, 300]
