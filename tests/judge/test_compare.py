from __future__ import annotations

import math

import numpy as np
import pytest

from inference_swarm.judge.compare import Batch, Result, RunSample, compare_runs
from inference_swarm.measure.counters import RequestCounters
from inference_swarm.measure.histogram import Histogram
from inference_swarm.measure.intervals import IntervalSeries
from inference_swarm.measure.snapshot import Slice


def run(seed: int, *, median_us: float = 1000, intervals: int = 20, per_interval: int = 500) -> RunSample:
    generator = np.random.default_rng(seed)
    batches = []
    for _ in range(intervals):
        histogram = Histogram()
        count = int(generator.poisson(per_interval))
        histogram.record_ns((generator.lognormal(np.log(median_us * 1000), 0.3, count)).astype(np.int64))
        batches.append(Batch(histogram, count, 3.0))
    return RunSample.from_batches(f"run {seed}", batches)


def drifting_run(
    generator: np.random.Generator, *, per_interval: int = 300, intervals: int = 10, steps: int = 1, drift: float = 0.0
) -> RunSample:
    """Log-normal latencies for 30 s, whose level is a state that lasts: 0.9 of it goes over into the next step."""
    batches = []
    state = generator.normal(0, drift)
    for _ in range(intervals):
        histogram = Histogram()
        for _ in range(steps):
            state = 0.9 * state + generator.normal(0, drift * math.sqrt(1 - 0.9**2))
            times_ns = np.exp(generator.normal(state, 0.3, per_interval // steps)) * 5e6
            histogram.record_ns(times_ns.astype(np.int64))
        # A closed load: who waits longer sends less.
        batches.append(Batch(histogram, int(generator.poisson(per_interval / math.exp(state))), 3.0))
    return RunSample.from_batches("drifting", batches)


@pytest.mark.parametrize(
    ("drift", "steps"),
    [(0.0, 1), (0.1, 1), (0.1, 3), (0.02, 1)],
    ids=["independent", "each interval", "each second", "hardly"],
)
def test_of_300_pairs_of_equal_runs_at_most_three_differ_in_any_metric(drift: float, steps: int) -> None:
    generator = np.random.default_rng(7)
    wrong = 0
    for _ in range(300):
        one, other = (drifting_run(generator, drift=drift, steps=steps) for _ in range(2))
        wrong += any(comparison.result is Result.SIGNIFICANT for comparison in compare_runs(one, other))
    assert wrong <= 3


def test_runs_whose_level_drifts_for_as_long_as_they_last_are_too_short() -> None:
    generator = np.random.default_rng(3)
    pairs = [(drifting_run(generator, drift=0.1), drifting_run(generator, drift=0.1)) for _ in range(30)]
    results = [{c.metric: c.result for c in compare_runs(*pair)}["p50"] for pair in pairs]
    assert results.count(Result.TOO_SHORT) > 25


def test_a_minute_is_enough_to_see_a_tenth_where_nothing_drifts() -> None:
    found = 0
    for seed in range(30):
        comparisons = compare_runs(
            run(seed, per_interval=1500), run(seed + 1000, median_us=1100, per_interval=1500), ("rate", "mean", "p50")
        )
        found += comparisons[2].result is Result.SIGNIFICANT
        assert comparisons[0].result is not Result.SIGNIFICANT
    assert found >= 28


def test_a_server_that_is_a_tenth_slower_differs_in_its_times_and_not_in_the_rate() -> None:
    found = {comparison.metric: comparison for comparison in compare_runs(run(1), run(2, median_us=1100))}
    assert found["p50"].result is Result.SIGNIFICANT
    assert found["p50"].ratio.value == pytest.approx(1.1, rel=0.02)
    assert found["p50"].ratio.low < 1.1 < found["p50"].ratio.high
    assert found["p50"].one.low < 1000 < found["p50"].one.high
    assert found["mean"].result is Result.SIGNIFICANT
    assert found["rate"].result is Result.NOT_SIGNIFICANT
    assert found["rate"].one.value == pytest.approx(500 / 3, rel=0.02)


def test_the_answer_is_repeatable() -> None:
    assert compare_runs(run(1), run(2)) == compare_runs(run(1), run(2))


def test_too_little_data_is_said() -> None:
    words = {c.metric: c.result for c in compare_runs(run(1), run(2, per_interval=100), ("p50", "p99", "p99.9"))}
    assert words == {"p50": Result.NOT_SIGNIFICANT, "p99": Result.TOO_SHORT, "p99.9": Result.TOO_SHORT}
    for short in (run(2, intervals=7), RunSample("empty", ())):
        assert {c.result for c in compare_runs(run(1), short)} == {Result.TOO_SHORT}


def test_a_difference_below_the_resolution_of_histograms_is_none() -> None:
    def constant(value_us: int) -> RunSample:
        histogram = Histogram()
        histogram.record_ns([value_us * 1000] * 100)
        return RunSample("", (Batch(histogram, 100, 1.0),) * 10)

    results = [compare_runs(constant(5000), constant(value), ("p50",))[0].result for value in (5000, 5008, 5050)]
    assert results == [Result.NOT_SIGNIFICANT, Result.NOT_SIGNIFICANT, Result.SIGNIFICANT]


def test_intervals_are_joined_to_at_most_thirty_batches() -> None:
    sample = run(1, intervals=100, per_interval=10)
    assert len(sample.batches) == 25
    assert sum(batch.seconds for batch in sample.batches) == 300


def test_a_series_of_intervals_becomes_a_sample() -> None:
    series = IntervalSeries(width_s=3.0)
    for sequence in range(10):
        histogram = Histogram()
        histogram.record_ns([1_000_000] * 30)
        names = {name: RequestCounters(30, latency=histogram) for name in ("a", "b")}
        series.add("w", 1, Slice(sequence * 3.0, sequence * 3.0 + 3, names))
    sample = RunSample.from_series("x", series)
    (rate,) = compare_runs(sample, sample, ("rate",))
    assert (rate.one.value, rate.result) == (20, Result.NOT_SIGNIFICANT)
