"""Rows of JSON values in, rows of model features out, without a DataFrame: a DataFrame per request costs milliseconds.

`server.train.frames.model_frame` does the same by column for training; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from server.errors import RequestError
from server.rows import describe
from server.schema import Column, ColumnKind

Feature = float | str
_Converter = Callable[[list[Feature], Any], None]

MISSING_CATEGORY = "<missing>"
"""CatBoost takes no null as a category."""

_NAN = float("nan")
_EPOCH_DAY = date(1970, 1, 1).toordinal()


class _WrongValueError(Exception):
    """The value does not fit the column; the argument says what was expected."""


class RowEncoder:
    """Turns rows into features. `categories_as_text` for CatBoost; otherwise categories become their codes.

    A category that training did not see is a missing value, as production rows will have such.
    """

    def __init__(self, columns: tuple[Column, ...], *, categories_as_text: bool) -> None:
        self._columns = columns
        self._converters = [_converter(column, categories_as_text) for column in columns]

    def encode(self, row: list[Any], number: int = 0) -> list[Feature]:
        """One row's features; raises RequestError that names the column, the value and what was expected."""
        features: list[Feature] = []
        done = 0
        try:
            for convert, value in zip(self._converters, row, strict=True):
                convert(features, value)
                done += 1
        except _WrongValueError as error:
            raise RequestError(
                422,
                f"Column '{self._columns[done].name}' of row {number} is {describe(row[done])}; "
                f"expected {error} or null.",
            ) from None
        return features


def _converter(column: Column, categories_as_text: bool) -> _Converter:
    if column.kind is ColumnKind.CATEGORY:
        return _category_as_text(column) if categories_as_text else _category_as_code(column)
    return {
        ColumnKind.INTEGER: _integer,
        ColumnKind.NUMBER: _number,
        ColumnKind.BOOLEAN: _boolean,
        ColumnKind.TIMESTAMP: _timestamp,
    }[column.kind]


def _number(features: list[Feature], value: Any) -> None:
    kind = type(value)
    if kind is float:
        features.append(value)
    elif kind is int:
        features.append(float(value))
    elif value is None:
        features.append(_NAN)
    else:
        raise _WrongValueError("a number")


def _integer(features: list[Feature], value: Any) -> None:
    kind = type(value)
    if kind is int:
        features.append(float(value))
    elif value is None:
        features.append(_NAN)
    elif kind is float and value.is_integer():  # pandas writes integer columns with missing values as floats
        features.append(value)
    else:
        raise _WrongValueError("a whole number")


def _boolean(features: list[Feature], value: Any) -> None:
    if value is True:
        features.append(1.0)
    elif value is False:
        features.append(0.0)
    elif value is None:
        features.append(_NAN)
    else:
        raise _WrongValueError("true or false")


def _timestamp(features: list[Feature], value: Any) -> None:
    if value is None:
        features.extend((_NAN, _NAN, _NAN))
        return
    if type(value) is not str:
        raise _WrongValueError('an ISO 8601 string such as "2020-06-21T12:14:25"')
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _WrongValueError('an ISO 8601 string such as "2020-06-21T12:14:25"') from None
    features.extend((float(moment.toordinal() - _EPOCH_DAY), float(moment.hour), float(moment.weekday())))


def _category_value(value: Any, is_integer: bool) -> int | str | None:
    kind = type(value)
    if value is None:
        return None
    if is_integer:
        if kind is int or (kind is float and value.is_integer()):
            return int(value)
        raise _WrongValueError("a whole number (a category)")
    if kind is str:
        return str(value)
    raise _WrongValueError("a string (a category)")


def _category_as_text(column: Column) -> _Converter:
    is_integer = column.is_integer_category

    def convert(features: list[Feature], value: Any) -> None:
        category = _category_value(value, is_integer)
        features.append(MISSING_CATEGORY if category is None else str(category))

    return convert


def _category_as_code(column: Column) -> _Converter:
    is_integer = column.is_integer_category
    codes: dict[int | str | None, float] = {category: float(code) for code, category in enumerate(column.categories)}

    def convert(features: list[Feature], value: Any) -> None:
        features.append(codes.get(_category_value(value, is_integer), _NAN))

    return convert
