"""The frame of a dataset and the frame that a model is trained on; `server.encoding` does the same for single rows."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from server.encoding import MISSING_CATEGORY
from server.errors import SetupError
from server.schema import Column, ColumnKind, feature_names

_EPOCH = pd.Timestamp("1970-01-01")


def infer_columns(frame: pd.DataFrame, train: pd.DataFrame) -> tuple[Column, ...]:
    """Kinds from the whole frame; categories only from the rows that training sees, sorted."""
    columns = []
    for name, kind in check_kinds(frame).items():
        values: tuple[int | str, ...] = ()
        if kind is ColumnKind.CATEGORY:
            values = tuple(sorted(train[name].dropna().unique().tolist()))
            if not values:
                kind = ColumnKind.NUMBER  # nothing but missing values to learn from
        columns.append(Column(name=name, kind=kind, categories=values))
    return tuple(columns)


def check_kinds(frame: pd.DataFrame) -> dict[str, ColumnKind]:
    """Every column's kind; raises SetupError for one that cannot be learned from."""
    kinds = {}
    for name in map(str, frame.columns):
        kind = column_kind(frame[name])
        if kind is None:
            raise SetupError(
                f"Column '{name}' has values that training cannot take ({frame[name].dtype}).",
                expected="numbers, booleans, strings, dates or timestamps.",
                action=f"leave it out: --drop-cols {name}.",
            )
        kinds[name] = kind
    return kinds


def column_kind(column: pd.Series) -> ColumnKind | None:
    """How this column's JSON values will look, or None when it holds something else."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return column_kind(pd.Series(dtype.categories)) and ColumnKind.CATEGORY
    if pd.api.types.is_bool_dtype(dtype):
        return ColumnKind.BOOLEAN
    if pd.api.types.is_integer_dtype(dtype):
        return ColumnKind.INTEGER
    if pd.api.types.is_float_dtype(dtype):
        return ColumnKind.NUMBER
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return ColumnKind.TIMESTAMP
    kinds = {type(value) for value in column.dropna()}
    if not kinds:
        return ColumnKind.NUMBER
    if kinds == {str}:
        return ColumnKind.CATEGORY
    if kinds <= {date, pd.Timestamp}:
        return ColumnKind.TIMESTAMP
    return ColumnKind.BOOLEAN if kinds == {bool} else None


def model_frame(frame: pd.DataFrame, columns: tuple[Column, ...], *, categories_as_text: bool) -> pd.DataFrame:
    """The features of every row; `categories_as_text` for CatBoost, otherwise pandas categories in schema order."""
    features: list[pd.Series] = []
    for column in columns:
        values = frame[column.name]
        if column.kind is ColumnKind.TIMESTAMP:
            moments = pd.to_datetime(values)
            if moments.dt.tz is not None:
                moments = moments.dt.tz_convert("UTC").dt.tz_localize(None)
            features.append((moments.dt.normalize() - _EPOCH).dt.days.astype("float64"))
            features.append(moments.dt.hour.astype("float64"))
            features.append(moments.dt.day_of_week.astype("float64"))
        elif column.kind is ColumnKind.CATEGORY:
            features.append(_category(values, column, categories_as_text))
        else:
            features.append(values.astype("Float64").astype("float64") if values.dtype != "float64" else values)
    result = pd.concat([feature.reset_index(drop=True) for feature in features], axis=1)
    result.columns = pd.Index(feature_names(columns))
    return result


def _category(values: pd.Series, column: Column, as_text: bool) -> pd.Series:
    if column.is_integer_category:
        values = values.astype(
            "Int64"
        )  # iterating a category of integers with gaps gives floats, and "11.0" is not "11"
    if not as_text:
        known = values.astype("object").where(values.isin(list(column.categories)), None)
        return known.astype(pd.CategoricalDtype(list(column.categories)))
    texts = [MISSING_CATEGORY if pd.isna(value) else str(value) for value in values]
    return pd.Series(texts, dtype="object")


def class_codes(labels: pd.Series, classes: tuple[object, ...]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Labels as positions in `classes`."""
    positions = {label: position for position, label in enumerate(classes)}
    return np.array([positions[label] for label in labels.tolist()], dtype=np.int64)
