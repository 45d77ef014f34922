from __future__ import annotations

import pytest
import scipy

from inference_swarm.judge.sample_size import samples_needed


@pytest.mark.parametrize(
    ("percentile", "needed"),
    [(50, 11), (90, 64), (95, 130), (99, 662), (99.9, 6636), (99.99, 66381), (10, 64), (1, 662)],
)
def test_the_samples_that_a_percentile_needs(percentile: float, needed: int) -> None:
    """64 and 662 are the floors of MLPerf's LoadGen for p90 and p99."""
    assert samples_needed(percentile) == needed
    tail = min(percentile, 100 - percentile) / 100
    assert scipy.stats.binom.cdf(1, needed, tail) <= 0.01 < scipy.stats.binom.cdf(1, needed - 1, tail)


@pytest.mark.parametrize("percentile", [0, 100, -1])
def test_there_is_no_such_number_for_minimum_and_maximum(percentile: float) -> None:
    with pytest.raises(ValueError):
        samples_needed(percentile)
