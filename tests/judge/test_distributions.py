from __future__ import annotations

import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.judge.distributions import beta_quantile, beta_share, student_quantile
from inference_swarm.judge.share_interval import share_interval

parameters = st.floats(0.3, 3000)


@settings(deadline=None)
@given(parameters, parameters, st.floats(0.0, 1.0))
def test_shares_of_the_beta_distribution_are_scipys(a: float, b: float, x: float) -> None:
    assert beta_share(a, b, x) == pytest.approx(scipy.stats.beta.cdf(x, a, b), abs=1e-9)


@settings(deadline=None)
@given(st.floats(0.0005, 0.9995), st.floats(0.6, 500))
def test_quantiles_of_students_t_are_scipys(share: float, degrees: float) -> None:
    assert student_quantile(share, degrees) == pytest.approx(scipy.stats.t.ppf(share, degrees), rel=1e-6, abs=1e-6)


@settings(deadline=None)
@given(st.floats(0.001, 0.999), st.floats(0.5, 300), st.floats(0.5, 300))
def test_a_quantile_has_its_share_below_it(share: float, a: float, b: float) -> None:
    assert beta_share(a, b, beta_quantile(share, a, b)) == pytest.approx(share, abs=1e-9)


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(0, 400), st.sampled_from([0.9, 0.95, 0.99]))
def test_an_interval_of_a_share_is_clopper_and_pearsons(successes: int, failures: int, confidence: float) -> None:
    low, high = share_interval(successes, successes + failures, confidence)
    assert 0 <= low <= high <= 1
    if successes + failures:
        exact = scipy.stats.binomtest(successes, successes + failures).proportion_ci(confidence, method="exact")
        assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_without_trials_every_share_is_possible() -> None:
    assert share_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("share", "degrees"), [(0.0, 5), (1.0, 5), (0.5, 0)])
def test_what_is_no_quantile_is_refused(share: float, degrees: float) -> None:
    with pytest.raises(ValueError, match="Student's t"):
        student_quantile(share, degrees)


def test_parameters_of_no_distribution_and_shares_of_none_are_refused() -> None:
    with pytest.raises(ValueError, match="beta distribution"):
        beta_share(0, 1, 0.5)
    with pytest.raises(ValueError, match="5 of 3"):
        share_interval(5, 3)
