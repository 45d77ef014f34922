"""Two variants of one run: equal ones are not called different, unequal ones are, and how sure that is is said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from inference_swarm.judge.ab import FAILED, TIMES, Side, compare_variants, sides_of
from inference_swarm.judge.compare import Result
from inference_swarm.measure.counters import RequestCounters
from inference_swarm.measure.histogram import Histogram, bucket_of_ns
from inference_swarm.measure.intervals import IntervalSeries
from inference_swarm.measure.snapshot import Slice

SECONDS = 60
Times = NDArray[np.float64]


def side(times_us: Times, seconds: NDArray[np.int64], failed: NDArray[np.int64] | None = None) -> Side:
    """What `sides_of` makes of a run, without 60 whole histograms."""
    count = int(seconds.max()) + 1
    buckets, places = np.unique(bucket_of_ns((times_us * 1000).astype(np.int64)), return_inverse=True)
    counts = np.bincount(seconds * len(buckets) + places, minlength=count * len(buckets)).reshape(count, -1)
    failures = np.zeros(count, np.int64) if failed is None else failed
    return Side(buckets, counts, np.bincount(seconds, times_us, count), failures, counts.sum(axis=1) + failures)


def drift(generator: np.random.Generator, keeps: float, size: float) -> Times:
    """A level that lasts: `keeps` of it goes over into the next second."""
    levels = [generator.normal(0, size)]
    for _ in range(SECONDS - 1):
        levels.append(keeps * levels[-1] + generator.normal(0, size * math.sqrt(1 - keeps**2)))
    return np.array(levels)


def variants(
    generator: np.random.Generator,
    *,
    factor: float = 1.0,
    shared: Times | float = 0.0,
    own: float = 0.0,
    rate: int = 60,
) -> tuple[Side, Side]:
    """Log-normal latencies of 60 s; `factor` is how much slower B is."""
    seconds = np.repeat(np.arange(SECONDS), rate)
    sides = []
    for slower in (1.0, factor):
        level = np.zeros(SECONDS) + shared + (drift(generator, 0.965, own) if own else 0.0)
        sides.append(side(5000 * slower * np.exp(generator.normal(level[seconds], 0.3)), seconds))
    return sides[0], sides[1]


def is_any_different(one: Side, other: Side, *, drift_apart: bool = False) -> bool:
    return any(c.result is Result.SIGNIFICANT for c in compare_variants(one, other, drift_apart=drift_apart))


@pytest.mark.parametrize("keeps", [0.0, 0.965], ids=["nothing drifts", "the machine drifts"])
def test_of_200_comparisons_of_equal_variants_at_most_four_claim_a_difference(keeps: float) -> None:
    generator = np.random.default_rng(11)
    level = 0.2 if keeps else 0.0
    pairs = (variants(generator, shared=drift(generator, keeps, level)) for _ in range(200))
    assert sum(is_any_different(*pair) for pair in pairs) <= 4


def test_two_servers_that_drift_each_for_itself_are_not_called_different() -> None:
    generator = np.random.default_rng(12)
    pairs = (variants(generator, own=0.05) for _ in range(50))
    assert sum(is_any_different(*pair, drift_apart=True) for pair in pairs) <= 1


def test_a_model_that_is_a_twentieth_slower_is_found_in_a_minute_though_the_machine_drifts() -> None:
    generator = np.random.default_rng(13)
    found = 0
    for _ in range(20):
        mean = compare_variants(*variants(generator, factor=1.05, shared=drift(generator, 0.965, 0.2), rate=150))[0]
        found += mean.result is Result.SIGNIFICANT and mean.ratio.low < 1.05 < mean.ratio.high
    assert found >= 18


def test_the_interval_holds_the_true_difference_of_every_metric() -> None:
    compared = compare_variants(*variants(np.random.default_rng(14), factor=1.3, rate=200), TIMES)
    for metric in compared:
        assert metric.ratio.low < 1.3 < metric.ratio.high < 1.5, metric
        assert metric.result is Result.SIGNIFICANT
    assert compared[0].one.value == pytest.approx(5000 * math.exp(0.3**2 / 2), rel=0.02)


def test_more_failures_of_b_are_found_and_a_single_one_is_not() -> None:
    generator = np.random.default_rng(15)
    one, _ = variants(generator)
    for failed, result in ((generator.poisson(2, SECONDS), Result.SIGNIFICANT), (np.eye(1, SECONDS, 7)[0], None)):
        other = Side(one.buckets, one.counts, one.sum_us, failed.astype(np.int64), one.ended + failed.astype(np.int64))
        (found,) = compare_variants(one, other, (FAILED,))
        assert found.one.value == 0
        assert found.other.value == pytest.approx(failed.sum() / (failed.sum() + one.ended.sum()))
        assert found.result is (result or Result.NOT_SIGNIFICANT)


def test_too_little_is_too_short_to_say() -> None:
    seconds = np.repeat(np.arange(7), 50)
    short = side(np.full(350, 5000.0), seconds)
    assert {c.result for c in compare_variants(short, short)} == {Result.TOO_SHORT}
    few = side(np.full(300, 5000.0), np.repeat(np.arange(10), 30))
    assert [c.result is Result.TOO_SHORT for c in compare_variants(few, few)] == [False, False, False, True, False]


def test_times_below_a_bucket_are_no_difference() -> None:
    generator = np.random.default_rng(16)
    seconds = np.repeat(np.arange(20), 500)
    sides = [side(np.round(generator.normal(300 + more, 0.2, len(seconds))), seconds) for more in (0.0, 0.1)]
    assert not is_any_different(*sides)


def test_a_run_becomes_two_sides_of_the_seconds_in_which_both_were_sent() -> None:
    series = IntervalSeries(1.0)
    for second in range(130):
        names = {}
        for name, us in (("A", 1000), ("B", 2000)):
            latency = Histogram()
            latency.record_us(us)
            names[name] = RequestCounters(succeeded=1, latency=latency)
        if second == 0:
            del names["B"]
        series.add("w", 1, Slice(second, second + 1.0, names))
    one, other = sides_of(series, ("A", "B"))
    assert (one.batches, one.samples, other.samples) == (44, 130, 129)
    assert one.sum_us.sum() == 130_000
    assert sides_of(IntervalSeries(1.0), ("A", "B"))[0].batches == 0
    assert {c.result for c in compare_variants(*sides_of(IntervalSeries(1.0), ("A", "B")))} == {Result.TOO_SHORT}
