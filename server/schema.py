"""The schema of a served model: columns with their types, categories and classes, kept as JSON beside the model.

JSON rows cannot distinguish an integer column with nulls from a float column or a category from a string; this does.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, StrictBool, StrictFloat, StrictInt, StrictStr

Label = StrictBool | StrictInt | StrictFloat | StrictStr

TIMESTAMP_PARTS = ("days", "hour", "weekday")
"""Features made of one timestamp: whole days since 1970-01-01, hour of the day, Monday = 0."""


class ColumnKind(StrEnum):
    """How a column's JSON values are read. Null is a missing value in all of them."""

    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    TIMESTAMP = "timestamp"


class Algorithm(StrEnum):
    """The three libraries, by the key that requests and options use."""

    CATBOOST = "catboost"
    LGBM = "lgbm"
    XGBOOST = "xgboost"

    @property
    def file_name_part(self) -> str:
        """The algorithm's name in the names of model files."""
        return {"catboost": "CatBoost", "lgbm": "LightGBM", "xgboost": "XGBoost"}[self.value]

    @property
    def suffix(self) -> str:
        """The suffix of the library's own model format."""
        return {"catboost": ".cbm", "lgbm": ".txt", "xgboost": ".ubj"}[self.value]


class Column(BaseModel):
    """One input column; `categories` in the order of their codes, only for categories."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: ColumnKind
    categories: tuple[StrictInt | StrictStr, ...] = ()

    @property
    def is_integer_category(self) -> bool:
        """True for categories that are numbers in the data, such as a type id."""
        return self.kind is ColumnKind.CATEGORY and bool(self.categories) and isinstance(self.categories[0], int)


class ModelSchema(BaseModel):
    """The sidecar of a model file. `classes` in the order of the probabilities; of two, the positive one is last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    dataset: str
    algorithm: Algorithm
    library: str
    source: str
    seed: int
    target: str
    classes: tuple[Label, ...]
    columns: tuple[Column, ...]
    example: dict[str, Any]
    train_rows: int


def feature_names(columns: tuple[Column, ...]) -> list[str]:
    """Names inside the model: letters, digits and underscores only, since LightGBM and XGBoost forbid others."""
    names: list[str] = []
    for column in columns:
        clean = re.sub(r"\W+", "_", column.name, flags=re.ASCII) or "column"
        parts = [clean] if column.kind is not ColumnKind.TIMESTAMP else [f"{clean}_{part}" for part in TIMESTAMP_PARTS]
        for part in parts:
            name, number = part, 2
            while name in names:
                name, number = f"{part}_{number}", number + 1
            names.append(name)
    return names


def category_positions(columns: tuple[Column, ...]) -> list[int]:
    """Positions of the categories among the model's features (a timestamp makes several features)."""
    positions, position = [], 0
    for column in columns:
        if column.kind is ColumnKind.CATEGORY:
            positions.append(position)
        position += len(TIMESTAMP_PARTS) if column.kind is ColumnKind.TIMESTAMP else 1
    return positions
