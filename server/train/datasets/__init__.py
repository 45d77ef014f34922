"""Synthetic data of four published schemas: names, types, categories, gaps and class balance, none of the real rows.

Each module has `generate(rows, rng)` for the published columns, and says what is not a feature and why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from server.train.datasets import credit_card, diabetic, stroke, unsw_nb15


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one dataset is made; `drop` are the published columns that a practitioner would not learn from."""

    target: str
    drop: tuple[str, ...]
    positive: str | None
    default_rows: int
    generate: Callable[[int, np.random.Generator], pd.DataFrame]


RECIPES = {
    "credit_card_transactions": Recipe(
        credit_card.TARGET, credit_card.DROP, "1", credit_card.DEFAULT_ROWS, credit_card.generate
    ),
    "diabetic": Recipe(diabetic.TARGET, diabetic.DROP, None, diabetic.DEFAULT_ROWS, diabetic.generate),
    "healthcare-dataset-stroke": Recipe(stroke.TARGET, stroke.DROP, "1", stroke.DEFAULT_ROWS, stroke.generate),
    "UNSW_NB15_merged": Recipe(unsw_nb15.TARGET, unsw_nb15.DROP, "1", unsw_nb15.DEFAULT_ROWS, unsw_nb15.generate),
}
