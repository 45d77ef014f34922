"""A load that is decided while the run goes on: the same arrivals everywhere, whenever a worker learns of a step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_swarm.load.arrivals import NS_PER_S, ArrivalProcess, Part, Schedule, Share
from inference_swarm.load.stages import Stages
from inference_swarm.load.steps import LoadStep, ends_of_steps, rate_of_steps, step_of_stage
from inference_swarm.measure.phases import Phases


def step(from_s: float, rate_rps: float, settle_s: float = 1.0) -> LoadStep:
    return LoadStep(round(from_s * NS_PER_S), round((from_s + settle_s) * NS_PER_S), rate_rps)


@pytest.mark.parametrize("process", list(ArrivalProcess))
def test_a_further_step_leaves_the_arrivals_before_it_as_they_were(process: ArrivalProcess) -> None:
    steps = (step(0, 400.0), step(10, 40.0), step(12.5, 900.0))
    first = Schedule(process, rate_of_steps(steps[:1]), 3)
    then = first.with_rate(rate_of_steps(steps))
    until = 10 * NS_PER_S
    assert first.between(0, until).offsets_ns.tolist() == then.between(0, until).offsets_ns.tolist()
    assert len(then.between(until, round(12.5 * NS_PER_S)).offsets_ns) == pytest.approx(100, abs=40)
    assert len(then.between(round(12.5 * NS_PER_S), round(22.5 * NS_PER_S)).offsets_ns) == pytest.approx(9000, rel=0.05)


@given(st.integers(0, 4000), st.integers(0, 4000), st.sampled_from([5.0, 50.0, 400.0]))
def test_every_arrival_is_taken_missed_or_counted_twice_whenever_a_worker_learns_of_a_step(
    learned_ms: int, change_ms: int, rate_rps: float
) -> None:
    old = Schedule(ArrivalProcess.POISSON, Stages.constant(100.0), 1)
    steps = (step(0, 100.0), step(change_ms / 1000, rate_rps))
    new = old.with_rate(rate_of_steps(steps)) if change_ms else old.with_rate(Stages.constant(rate_rps))
    part = Part((0,), 2)
    share = Share(old, part)
    taken = share.take(learned_ms * 1_000_000).tolist()
    missed = share.follow(new, change_ms * 1_000_000)
    taken += share.take(8 * NS_PER_S).tolist()
    wanted = part.pick(new.between(0, 8 * NS_PER_S))
    assert len(taken) + len(missed) - share.possible_duplicates == len(wanted)
    assert set(wanted.tolist()) <= {*taken, *missed.tolist()}
    if learned_ms <= change_ms:
        assert not len(missed)
        assert not share.possible_duplicates


def test_the_judged_part_of_a_step_is_a_stage_of_its_own() -> None:
    phases = Phases().with_stages(ends_of_steps((step(0, 10.0), step(4, 20.0, 2.0))))
    at_s = (0.0, 0.9, 1.0, 3.9, 4.0, 5.9, 6.0, 60.0)
    assert [step_of_stage(phases.at(round(s * NS_PER_S)).stage) for s in at_s] == [
        None, None, 1, 1, None, None, 2, 2,
    ]  # fmt: skip
    assert phases.codes_of(np.array([round(s * NS_PER_S) for s in at_s])).tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
