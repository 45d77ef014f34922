"""Whether what stands where a prediction should be is one: null, NaN, nothing and errors are not. Pure.

A text may be any label, `None` and `NA` too; only those that servers write for a number that is none are not usable.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

ERROR_KEYS: Final = ("error", "errors", "error_code", "error_message")
_CODE_KEY: Final = "error_code"
_NO_ERROR: Final = frozenset({"", "0", "ok", "none", "null", "false", "no error", "success"})
_NO_NUMBER: Final = frozenset(
    {"nan", "+nan", "-nan", "<na>", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"}
)
_MAX_SPELLED: Final = 32
# What frameworks and proxies write in place of an answer; a class may well be called "error".
_ERROR_TEXT: Final = re.compile(
    r"([\w.]*(error|exception):\s|internal (server )?error\b|traceback \(most recent call"
    r"|(service unavailable|bad gateway|gateway time-?out)\b)",
    re.IGNORECASE,
)
# Far more than any tensor has, and less than orjson writes (254).
MAX_DEPTH: Final = 64
TOO_DEEP: Final = "nested too deeply to be predictions"


class AnswerError(Exception):
    """The body is not what a model that answers says."""


def check_prediction(prediction: Any, depth: int = 0) -> None:
    """Raise AnswerError for what is no prediction, at any depth, and for what could not be compared or written."""
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
        for key in prediction:
            _check_unicode(key)
        # Beside a prediction, an empty note or error says that there is nothing to say.
        said = (value for key, value in prediction.items() if value != "" and (key not in ERROR_KEYS or value))
        _check_all(said, "object", depth)
    elif isinstance(prediction, list):
        _check_all(prediction, "list", depth)


def has_error(answer: Mapping[str, Any]) -> bool:
    """Return whether an object of a response says that something went wrong.

    A number is a figure, such as the standard error of a prediction, unless it is a code.
    """
    return any(key in answer and _is_error(answer[key], is_code=key == _CODE_KEY) for key in ERROR_KEYS)


def has_failed(answer: Mapping[str, Any]) -> bool:
    """Return whether a body has the status of a failure, as Seldon's messages have it: `{"status":"FAILURE"}`, or 1."""
    status = answer.get("status")
    return isinstance(status, dict) and status.get("status") in ("FAILURE", 1)


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
    if _ERROR_TEXT.match(text):
        raise AnswerError("an error in place of a prediction")
    _check_unicode(text)


def _check_unicode(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can escape and nobody can write
        raise AnswerError("a text that is no Unicode in place of a prediction") from None


def _check_all(values: Iterable[Any], what: str, depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise AnswerError(TOO_DEEP)
    is_empty = True
    for value in values:
        is_empty = False
        check_prediction(value, depth + 1)
    if is_empty:
        raise AnswerError(f"an empty {what} in place of a prediction")
