"""The exact interval of a share: how large may the probability be, given the successes of N trials?

Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial" (1934): it holds
the true chance at least as often as it says, whatever the chance and however few the trials.
"""

from __future__ import annotations

from inference_swarm.judge.distributions import beta_quantile


def share_interval(successes: int, trials: int, confidence: float = 0.99) -> tuple[float, float]:
    """Return lower and upper end; without trials everything is possible."""
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is not a share")
    tail = (1 - confidence) / 2
    low = beta_quantile(tail, successes, trials - successes + 1) if successes else 0.0
    high = beta_quantile(1 - tail, successes + 1, trials - successes) if successes < trials else 1.0
    return low, high
