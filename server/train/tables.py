"""Reads a user's CSV or parquet file into a frame with types that training and JSON agree on."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from server.errors import SetupError

MISSING_WORDS = ["", "N/A", "NA", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "?"]
"""CSV cells that are missing values. "None" is not: it is a category in the diabetes data."""

_ISO_DATE = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?"


def read_table(path: Path) -> pd.DataFrame:
    """The file's rows; whole numbers with gaps stay whole (Int64), ISO dates become timestamps."""
    if not path.is_file():
        raise SetupError(
            f"No file {path}.", expected="a CSV or parquet file.", action="check the path given with --data."
        )
    is_parquet = path.suffix.lower() in (".parquet", ".pq")
    try:
        frame = pq.read_table(path).to_pandas() if is_parquet else _read_csv(path)
    except (pa.ArrowException, OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise SetupError(
            f"{path} cannot be read: {' '.join(str(error).split())[:200]}",
            expected="parquet." if is_parquet else "CSV with a header line, in UTF-8 (a byte order mark is fine).",
            action="check the file; parquet files are known by their suffix .parquet or .pq.",
        ) from None
    if frame.empty:
        raise SetupError(f"{path} has no rows.", expected="a header and rows.", action="check the file.")
    frame.columns = frame.columns.map(lambda name: str(name).strip())
    return frame.apply(_settle_type)


def _read_csv(path: Path) -> pd.DataFrame:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = file.readline()
    if not header.strip():
        raise ValueError("the first line is empty")
    separator = max(",;\t", key=lambda candidate: len(next(csv.reader([header], delimiter=candidate))))
    return pd.read_csv(
        path,
        sep=separator,
        encoding="utf-8-sig",
        keep_default_na=False,
        na_values=MISSING_WORDS,
        low_memory=False,
        float_precision="round_trip",
    )


def _settle_type(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        categories = column.dtype.categories
        if all(isinstance(value, (str, int)) and not isinstance(value, bool) for value in categories.tolist()):
            return column
        column = column.astype(categories.dtype)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return column
    present = column.dropna()
    if len(present) < len(column) and all(isinstance(value, bool) for value in present) and len(present):
        return column.astype("boolean")
    if pd.api.types.is_float_dtype(column.dtype):
        column = column.astype("Float64").astype("float64").replace([np.inf, -np.inf], np.nan)
        present = column.dropna()
        is_whole = len(present) > 0 and bool((present == np.floor(present)).all()) and present.abs().max() < 2**53
        return column.astype("Int64") if is_whole and len(present) < len(column) else column
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column
    if len(present) and all(isinstance(value, Decimal) for value in present):
        return column.astype("float64")
    if len(present) and all(isinstance(value, str) for value in present) and present.str.fullmatch(_ISO_DATE).all():
        moments = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True).dt.tz_localize(None)
        return moments if moments.notna().sum() == len(present) else column
    return column
