from __future__ import annotations

import numpy as np
import pytest

from inference_swarm.judge.compare import Batch, Finding, RunSample, compare_runs
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


def test_runs_of_the_same_server_show_no_difference() -> None:
    """At 99 % confidence about 1 of 100 comparisons may err; a bootstrap of 20 batches errs somewhat more often."""
    wrong = 0
    for seed in range(20):
        for comparison in compare_runs(run(seed), run(seed + 1000), ("rate", "p50", "p99")):
            wrong += comparison.finding is Finding.DIFFERS
    assert wrong <= 3


def test_a_server_that_is_a_tenth_slower_differs_in_its_times_and_not_in_the_rate() -> None:
    found = {comparison.metric: comparison for comparison in compare_runs(run(1), run(2, median_us=1100))}
    assert found["p50"].finding is Finding.DIFFERS
    assert found["p50"].ratio.value == pytest.approx(1.1, rel=0.02)
    assert found["p50"].ratio.low < 1.1 < found["p50"].ratio.high
    assert found["p50"].one.low < 1000 < found["p50"].one.high
    assert found["mean"].finding is Finding.DIFFERS
    assert found["rate"].finding is Finding.NO_DIFFERENCE
    assert found["rate"].one.value == pytest.approx(500 / 3, rel=0.02)


def test_the_answer_is_repeatable() -> None:
    assert compare_runs(run(1), run(2)) == compare_runs(run(1), run(2))


def test_too_little_data_is_said() -> None:
    words = {c.metric: c.finding for c in compare_runs(run(1), run(2, per_interval=100), ("p50", "p99", "p99.9"))}
    assert words == {"p50": Finding.NO_DIFFERENCE, "p99": Finding.NO_DIFFERENCE, "p99.9": Finding.TOO_LITTLE}
    for short in (run(2, intervals=7), RunSample("empty", ())):
        assert {c.finding for c in compare_runs(run(1), short)} == {Finding.TOO_LITTLE}


def test_a_difference_below_the_resolution_of_histograms_is_none() -> None:
    def constant(value_us: int) -> RunSample:
        histogram = Histogram()
        histogram.record_ns([value_us * 1000] * 100)
        return RunSample("", (Batch(histogram, 100, 1.0),) * 10)

    findings = [compare_runs(constant(5000), constant(value), ("p50",))[0].finding for value in (5000, 5008, 5050)]
    assert findings == [Finding.NO_DIFFERENCE, Finding.NO_DIFFERENCE, Finding.DIFFERS]


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
    assert (rate.one.value, rate.finding) == (20, Finding.NO_DIFFERENCE)
