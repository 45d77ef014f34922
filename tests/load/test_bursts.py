from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.load.arrivals import NS_PER_S, ArrivalProcess, Schedule
from inference_swarm.load.bursts import BLOCK_ARRIVALS, BLOCK_CELLS, GammaCells
from inference_swarm.load.stage_text import parse_stages
from inference_swarm.load.stages import Stages

MINUTE_NS = 60 * NS_PER_S
SHAPES = [0.05, 0.5, 0.99, 1.0, 2.0, 30.0]


def schedule(rate: Stages, burstiness: float, seed: int = 1) -> Schedule:
    return Schedule(ArrivalProcess.GAMMA, rate, seed, burstiness)


def gaps_of(offsets_ns: object) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    gaps: np.ndarray[tuple[int], np.dtype[np.float64]] = np.diff(np.asarray(offsets_ns)) / NS_PER_S
    return gaps


@pytest.mark.parametrize("shape", SHAPES)
def test_gaps_are_gamma_distributed_independent_and_as_many_as_asked(shape: float) -> None:
    offsets_ns = schedule(Stages.constant(2000, 60), shape).between(0, MINUTE_NS).offsets_ns
    assert offsets_ns.size == 120_000
    gaps_s = gaps_of(offsets_ns)
    # A tiny shape has gaps far below the ns to which instants are rounded: not a matter of the distribution.
    assert (
        scipy.stats.kstest(gaps_s[gaps_s > 0], scipy.stats.gamma(shape, scale=1 / 2000 / shape).cdf).pvalue > 0.01
        or shape < 0.1
    )
    assert gaps_s.mean() == pytest.approx(1 / 2000, rel=1e-3)
    assert gaps_s.std() / gaps_s.mean() == pytest.approx(shape**-0.5, rel=0.03)
    assert abs(np.corrcoef(gaps_s[1:], gaps_s[:-1])[0, 1]) < 0.01


def test_the_gaps_of_a_tiny_shape_are_gamma_distributed_before_they_are_rounded() -> None:
    cells = GammaCells(1, 0.05, math.inf)
    places = np.concatenate([cells.cell(cell)[1] for cell in range(BLOCK_CELLS)])
    gaps = np.diff(places)
    # Positions up to 65,536 are doubles 7e-12 apart.
    assert scipy.stats.kstest(gaps[gaps > 1e-9], _above(scipy.stats.gamma(0.05, scale=20).cdf, 1e-9)).pvalue > 0.01


def _above(cdf: object, low: float) -> object:
    assert callable(cdf)
    below = float(cdf(low))
    return lambda value: (cdf(value) - below) / (1 - below)


def test_with_shape_1_it_is_a_poisson_process() -> None:
    offsets_ns = schedule(Stages.constant(1000), 1.0).between(0, MINUTE_NS).offsets_ns
    assert scipy.stats.kstest(gaps_of(offsets_ns), scipy.stats.expon(scale=1 / 1000).cdf).pvalue > 0.01
    per_100_ms = np.histogram(offsets_ns, bins=600, range=(0, MINUTE_NS))[0]
    assert per_100_ms.var() / per_100_ms.mean() == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize(("shape", "dispersion"), [(0.5, 2.0), (0.1, 10.0), (4.0, 0.25)])
def test_the_smaller_the_shape_the_more_counts_vary(shape: float, dispersion: float) -> None:
    counts = [
        np.histogram(schedule(Stages.constant(1000), shape, seed).between(0, MINUTE_NS).offsets_ns, bins=600)[0]
        for seed in range(5)
    ]
    # A renewal process has an index of dispersion of 1 / shape over stretches of many gaps.
    assert np.var(counts) / np.mean(counts) == pytest.approx(dispersion, rel=0.2)


@pytest.mark.parametrize("text", ["30s@500", "3s@20,2s@0,4s->3000", "1s@1", "20s@10000", "10s@0.7", "1s@0,50s@1310.72"])
@pytest.mark.parametrize("shape", [0.01, 0.5, 3.0, 1000.0])
def test_a_load_that_ends_has_exactly_as_many_arrivals_as_its_rate_gives(text: str, shape: float) -> None:
    rate = parse_stages(text)
    for seed in range(3):
        arrivals = schedule(rate, shape, seed).between(0, 2 * MINUTE_NS)
        assert arrivals.offsets_ns.size == math.ceil(rate.amount)
        assert arrivals.numbers.tolist() == list(range(math.ceil(rate.amount)))
        assert arrivals.offsets_ns[-1] < rate.duration_s * NS_PER_S


def test_without_an_end_every_block_has_its_arrivals() -> None:
    per_block_ns = BLOCK_ARRIVALS * NS_PER_S // 8192
    for block in (0, 1, 7):
        arrivals = schedule(Stages.constant(8192), 0.3).between(block * per_block_ns, (block + 1) * per_block_ns)
        assert arrivals.offsets_ns.size == BLOCK_ARRIVALS
        assert arrivals.numbers[0] == block * BLOCK_ARRIVALS


def test_gamma_arrivals_follow_a_ramp() -> None:
    rate = parse_stages("10s->1000,10s@0,5s@500")
    times_s = schedule(rate, 0.5, seed=3).between(0, MINUTE_NS).offsets_ns / NS_PER_S
    assert np.count_nonzero((times_s >= 10) & (times_s < 20)) == 0
    places = np.array([rate.amount_until(time_s) for time_s in times_s])
    # By the time rescaling theorem the integral of the rate turns them into gaps of mean 1.
    assert scipy.stats.kstest(np.diff(places), scipy.stats.gamma(0.5, scale=2).cdf).pvalue > 0.01


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 12 * NS_PER_S), max_size=8),
    st.integers(0, 2**64),
    st.sampled_from([0.01, 0.5, 1.0, 7.0]),
    st.sampled_from(["4s@1000..3000,1s@0,5s@700", "3s@30000,9s@500"]),
)
def test_however_it_is_cut_a_schedule_is_the_same(cuts: list[int], seed: int, shape: float, text: str) -> None:
    whole = schedule(parse_stages(text), shape, seed).between(0, 13 * NS_PER_S)
    cut = schedule(parse_stages(text), shape, seed)
    edges = [0, *sorted(cuts), 13 * NS_PER_S]
    parts = [cut.between(low, high) for low, high in pairwise(edges)]
    assert np.array_equal(np.concatenate([part.offsets_ns for part in parts]), whole.offsets_ns)
    assert np.array_equal(np.concatenate([part.numbers for part in parts]), whole.numbers)
    assert np.all(np.diff(whole.offsets_ns) >= 0)
    for until_ns in cuts:
        count = schedule(parse_stages(text), shape, seed).count_until(until_ns)
        assert count == np.count_nonzero(whole.offsets_ns < until_ns)


def test_another_rate_from_an_instant_on_leaves_what_was_before() -> None:
    steady = schedule(Stages.constant(500), 0.5)
    raised = steady.with_rate(Stages((*Stages.constant(500, 10).stages, *Stages.constant(900).stages)))
    before_ns = 10 * NS_PER_S
    assert np.array_equal(steady.between(0, before_ns).offsets_ns, raised.between(0, before_ns).offsets_ns)
    assert raised.between(before_ns, 2 * before_ns).offsets_ns.size == pytest.approx(9000, rel=0.05)


def test_the_seed_decides_the_schedule() -> None:
    def first(seed: int) -> list[int]:
        offsets: list[int] = schedule(Stages.constant(1000), 0.5, seed).between(0, NS_PER_S).offsets_ns.tolist()
        return offsets

    assert first(7) == first(7)
    assert first(7) != first(8)
    # The schedule of a published seed must not change with a new release of NumPy or of ours.
    assert first(7)[:4] == pytest.approx([0, 269930, 3195633, 3354270], abs=1)
