"""The stages of a run judged one by one: what each wanted, what it achieved, and its own verdict. Pure.

A request belongs to the stage that holds its intended instant; the rate of a stage is of what ended within it. The
verdict of the run is that of all stages together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inference_swarm.judge.evaluate import InTime
from inference_swarm.judge.objectives import Objective
from inference_swarm.judge.verdict import RunFacts, Verdict, judge
from inference_swarm.load.stages import Stages
from inference_swarm.measure.counters import RequestCounters, merge_counters
from inference_swarm.measure.totals import SwarmTotals


@dataclass(frozen=True, slots=True)
class StageResult:
    """One stage. It wanted `wanted_first` to `wanted_last` requests a second, or users in a closed load."""

    number: int
    """From 1."""
    start_s: float
    """Since the run began, without the part that was warm-up."""
    end_s: float
    wanted_first: float
    wanted_last: float
    is_rate: bool
    counters: RequestCounters
    rate_rps: float
    verdict: Verdict

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s

    @property
    def rows_per_s(self) -> float:
        """The rate in rows: requests per second times the rows that a request of this stage had on average."""
        return self.rate_rps * self.counters.rows / self.counters.ended if self.counters.ended else 0.0


def judge_stages(
    totals: SwarmTotals,
    stages: Stages,
    objectives: Sequence[Objective],
    *,
    is_open: bool,
    end_s: float,
    is_generator_bound: bool = False,
) -> tuple[StageResult, ...]:
    """Judge the stages reached by `end_s`, in seconds since the run began; a stage that was all warm-up is left out."""
    results = []
    begin_s = 0.0
    for index, stage in enumerate(stages.stages):
        start_s, stop_s = max(begin_s, totals.epoch_start_s), min(begin_s + stage.duration_s, end_s)
        begin_s += stage.duration_s
        if stop_s <= start_s:
            continue
        names = totals.stages.get(index, {})
        succeeded, ended = totals.seconds.between(start_s, stop_s)
        facts = RunFacts(
            measured_s=stop_s - start_s,
            is_open=is_open,
            is_generator_bound=is_generator_bound,
            has_connected=totals.has_connected,
            in_time=InTime(succeeded, ended),
        )
        results.append(
            StageResult(
                index + 1,
                start_s,
                stop_s,
                stage.first,
                stage.last,
                is_open,
                merge_counters(names.values()),
                ended / (stop_s - start_s),
                judge(names, objectives, facts),
            )
        )
    return tuple(results)
