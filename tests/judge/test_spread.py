from __future__ import annotations

import math

import numpy as np
import pytest

from inference_swarm.judge.spread import Ratio, Spread, joint_degrees, likeness_of, spread_of


def test_joined_batches_hold_the_same_sums_and_the_first_takes_what_is_left_over() -> None:
    ratio = Ratio(np.arange(7.0), np.ones(7))
    joined = ratio.joined(3)
    assert joined.numerators.tolist() == [0 + 1 + 2 + 3, 4 + 5 + 6]
    assert joined.denominators.tolist() == [4, 3]
    assert joined.value == ratio.value == 3


def test_deviations_add_up_to_nothing() -> None:
    generator = np.random.default_rng(0)
    ratio = Ratio(generator.uniform(1, 9, 20), generator.uniform(1, 9, 20))
    assert float(ratio.deviations().sum()) == pytest.approx(0, abs=1e-9)


def first_order(generator: np.random.Generator, count: int, likeness: float) -> list[float]:
    state = generator.normal()
    values = []
    for _ in range(count):
        state = likeness * state + generator.normal() * math.sqrt(1 - likeness**2)
        values.append(100 + state)
    return values


def test_the_error_of_independent_batches_is_the_usual_one() -> None:
    values = np.random.default_rng(1).normal(100, 5, 25)
    found = spread_of(Ratio(values, np.ones(25)), likeness=0.0)
    assert found.error == pytest.approx(values.std(ddof=1) / math.sqrt(25))
    assert found.degrees == pytest.approx(24)


@pytest.mark.parametrize("likeness", [0.0, 0.5, 0.9])
def test_the_error_of_alike_batches_is_that_of_many_such_runs(likeness: float) -> None:
    generator = np.random.default_rng(2)
    runs = [Ratio(np.array(first_order(generator, 10, likeness)), np.ones(10)) for _ in range(4000)]
    true_error = float(np.std([run.value for run in runs]))
    errors = [spread_of(run, likeness) for run in runs]
    assert math.sqrt(float(np.mean([one.error**2 for one in errors]))) == pytest.approx(true_error, rel=0.06)
    variances = np.array([one.error**2 for one in errors])
    degrees = 2 * float(variances.mean()) ** 2 / float(variances.var())
    assert errors[0].degrees == pytest.approx(degrees, rel=0.15)


def test_likeness_is_that_of_neighbours_and_its_limit_is_what_cannot_be_ruled_out() -> None:
    generator = np.random.default_rng(3)
    for true in (0.0, 0.9):
        series = [np.array(first_order(generator, 2000, true)) for _ in range(2)]
        found = likeness_of([one - one.mean() for one in series])
        assert found.corrected == pytest.approx(true, abs=0.05)
        assert found.limit == pytest.approx(found.corrected + 3.2 / math.sqrt(4000))
    assert likeness_of([np.zeros(9)] * 2).limit == 0


def test_degrees_of_a_difference_are_between_those_of_the_parts_and_their_sum() -> None:
    assert joint_degrees(Spread(1.0, 5), Spread(1.0, 5)) == pytest.approx(10)
    assert joint_degrees(Spread(1.0, 5), Spread(1e-9, 50)) == pytest.approx(5)
    assert joint_degrees(Spread(0.0, 5), Spread(0.0, 7)) == 5
