"""Whether what stands where a prediction should be is one: null, NaN, nothing and errors are not. Pure.

A text may be any label, `None` and `NA` too; only those that servers write for a number that is none are not usable.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

ERROR_KEYS: Final = ("error", "errors", "error_code", "error_message")
_CODE_KEY: Final = "error_code"
_NO_ERROR: Final = frozenset({"", "0", "ok", "none", "null", "false", "no error", "success"})
_NO_NUMBER: Final = frozenset(
    {"nan", "+nan", "-nan", "<na>", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"}
)
_MAX_SPELLED: Final = 32


class AnswerError(Exception):
    """The body is not what a model that answers says."""


def check_prediction(prediction: Any) -> None:
    """Raise AnswerError for what is no prediction, at any depth. Raises RecursionError for a very deep one."""
    if prediction is None:
        raise AnswerError("null in place of a prediction")
    if isinstance(prediction, float):
        if not math.isfinite(prediction):
            raise AnswerError("NaN or infinity in place of a prediction")
    elif isinstance(prediction, str):
        _check_text(prediction)
    elif isinstance(prediction, dict):
        if has_error(prediction):
            raise AnswerError("an error in place of a prediction")
        # Beside a prediction, an empty note or error says that there is nothing to say.
        _check_all(
            (value for key, value in prediction.items() if value != "" and (key not in ERROR_KEYS or value)), "object"
        )
    elif isinstance(prediction, list):
        _check_all(prediction, "list")


def has_error(answer: Mapping[str, Any]) -> bool:
    """Return whether an object of a response says that something went wrong.

    A number is a figure, such as the standard error of a prediction, unless it is a code.
    """
    return any(key in answer and _is_error(answer[key], is_code=key == _CODE_KEY) for key in ERROR_KEYS)


def _is_error(value: Any, *, is_code: bool = False) -> bool:
    if isinstance(value, str):
        return value.strip().lower() not in _NO_ERROR
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return is_code and value != 0
    if isinstance(value, list):
        return any(_is_error(entry) for entry in value)
    return bool(value) and any(_is_error(entry, is_code=True) for entry in value.values())


def _check_text(text: str) -> None:
    if not text or text.isspace():
        raise AnswerError("an empty text in place of a prediction")
    if len(text) <= _MAX_SPELLED and text.strip().lower() in _NO_NUMBER:
        raise AnswerError("NaN or infinity in place of a prediction")


def _check_all(values: Iterable[Any], what: str) -> None:
    is_empty = True
    for value in values:
        is_empty = False
        check_prediction(value)
    if is_empty:
        raise AnswerError(f"an empty {what} in place of a prediction")
