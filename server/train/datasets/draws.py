"""Small random building blocks that the four generators share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_FEWEST = 4

Floats = npt.NDArray[np.float64]
Columns = dict[str, Any]
"""One array or categorical for each column, all of one length."""


def pick(rng: np.random.Generator, weights: Mapping[str, float], rows: int) -> npt.NDArray[np.object_]:
    """Strings drawn by weight."""
    shares = np.array(list(weights.values()), dtype=np.float64)
    return np.array(list(weights), dtype=object)[rng.choice(len(shares), rows, p=shares / shares.sum())]


def with_gaps(rng: np.random.Generator, values: npt.NDArray[Any], share: float) -> npt.NDArray[np.object_]:
    """The values with this share of them missing."""
    result = values.astype(object)
    result[rng.random(len(values)) < share] = None
    return result


def draw_labels(rng: np.random.Generator, score: Floats, positive_share: float) -> npt.NDArray[np.int64]:
    """0 or 1, likelier for a higher score (in log odds), with the expected share of ones and at least four of each."""
    low, high = -60.0, 60.0
    for _ in range(60):
        offset = (low + high) / 2
        if _chance(score + offset).mean() < positive_share:
            low = offset
        else:
            high = offset
    labels = (rng.random(len(score)) < _chance(score + low)).astype(np.int64)
    order = np.argsort(score)
    for label, surest in ((0, order[:_FEWEST]), (1, order[-_FEWEST:])):
        if np.count_nonzero(labels == label) < _FEWEST:
            labels[surest] = label
    return labels


def _chance(log_odds: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(log_odds, -50, 50)))
