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

_NULLABLE = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}

_ISO_DATE = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?"


def read_table(path: Path) -> pd.DataFrame:
    """The file's rows; whole numbers with gaps stay whole (Int64), ISO dates become timestamps."""
    if not path.is_file():
        raise SetupError(
            f"No file {path}.", expected="a CSV or parquet file.", action="check the path given with --data."
        )
    is_parquet = path.suffix.lower() in (".parquet", ".pq")
    try:
        frame = read_parquet(path) if is_parquet else _read_csv(path).apply(_settle_csv_type)
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


def read_parquet(path: Path) -> pd.DataFrame:
    """A parquet file with its integers, booleans and categories kept, also where values are missing."""
    table = pq.read_table(path)
    frame: pd.DataFrame = table.to_pandas(types_mapper=_NULLABLE.get)
    for column in (table.schema.pandas_metadata or {}).get("columns", []):
        if column["pandas_type"] == "categorical" and column["name"] in frame:  # parquet keeps only those of strings
            frame[column["name"]] = frame[column["name"]].astype("category")
    return frame


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
    )


def _settle_csv_type(column: pd.Series) -> pd.Series:
    """Restore what CSV cannot express: whole numbers and booleans with gaps, and dates."""
    present = column.dropna()
    if not len(present):
        return column
    has_gaps = len(present) < len(column)
    if pd.api.types.is_float_dtype(column.dtype):
        is_whole = bool((present == np.floor(present)).all()) and present.abs().max() < 2**53
        return column.astype("Int64") if is_whole and has_gaps else column
    if has_gaps and all(isinstance(value, bool) for value in present):
        return column.astype("boolean")
    if all(isinstance(value, str) for value in present) and present.str.fullmatch(_ISO_DATE).all():
        moments = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True).dt.tz_localize(None)
        return moments if moments.notna().sum() == len(present) else column
    return column


def _settle_type(column: pd.Series) -> pd.Series:
    """Convert what JSON cannot express: infinities, decimals, and categories of anything but strings and integers."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        categories = column.dtype.categories
        if all(isinstance(value, (str, int)) and not isinstance(value, bool) for value in categories.tolist()):
            return column
        column = column.astype(categories.dtype)
    if pd.api.types.is_float_dtype(column.dtype):
        return column.astype("Float64").astype("float64").replace([np.inf, -np.inf], np.nan)
    present = column.dropna()
    if len(present) and all(isinstance(value, Decimal) for value in present):
        return column.astype("float64")
    return column
