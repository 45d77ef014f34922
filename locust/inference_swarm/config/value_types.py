"""Value types of settings: text in (from JSON, environment, command line or the start form), typed value out.

Every parser accepts its own output, because the web UI and the master hand values back already parsed.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|KiB|MiB|GiB)?", re.IGNORECASE)
_SIZE_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_TRUE = {"true", "1", "yes", "on"}
_FALSE = {"false", "0", "no", "off"}


# A worker asks its master every second or two, and takes it for gone after a part of this time.
MIN_MASTER_TIMEOUT_S = 3.0
# A slip of the keyboard, or a forged request, must not keep a process busy for ever: no swarm does more than this.
MAX_USERS = 1_000_000
MAX_RATE = 10_000_000
# Gaps of shape 0.01 are ten times as irregular as Poisson's; those of 1,000 differ by 3 %.
MIN_BURSTINESS, MAX_BURSTINESS = 0.01, 1000
ANSWER_CHECKS = ("off", "valid", "consistent")


@dataclass(frozen=True, slots=True)
class ValueType:
    """The values that a setting accepts. `parse` raises ValueError; `expected` describes in words what it accepts."""

    name: str
    expected: str
    parse: Callable[[object], Any]


def _reject_bool(value: object) -> None:
    if isinstance(value, bool):
        raise ValueError("expected a number")


def _scalar(value: object) -> str | int | float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("expected a number")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected text")
    value.encode()  # a ValueError for bytes of a command line that are not UTF-8, and for half a pair of \\u escapes
    return value.strip()


def _texts(value: object) -> str:
    parts = value if isinstance(value, list | tuple) else [value]
    return "; ".join(text for text in map(_text, parts) if text)


def _lines(value: object) -> str:
    if isinstance(value, dict):
        value = [f"{name}: {_text(text)}" for name, text in value.items()]
    parts = value if isinstance(value, list | tuple) else [value]
    return "\n".join(line.strip() for text in map(_text, parts) for line in text.splitlines() if line.strip())


def _params(value: object) -> str:
    if isinstance(value, dict):
        if any(set(_text(key)) & set("=\n") for key in value):
            raise ValueError("a key with = or an end of a line")
        value = [f"{key}={json.dumps(of_key)}" for key, of_key in value.items()]
    parts = value if isinstance(value, list | tuple) else [value]
    # At the ends of lines alone: `splitlines` would cut values at U+2028 and the like.
    return "\n".join(line.strip() for text in map(_text, parts) for line in text.split("\n") if line.strip())


def _pairs(value: object) -> str:
    if isinstance(value, dict):
        value = [
            f"{name}={of_name if isinstance(of_name, str) else json.dumps(of_name)}" for name, of_name in value.items()
        ]
    return _names(value)


def _names(value: object) -> str:
    if isinstance(value, dict):
        value = [f"{old}={_text(new)}" for old, new in value.items()]
    if not isinstance(value, list | tuple):
        return _checked_names(_text(value))
    return ",".join(map(_quoted_name, map(_text, value)))


def _quoted_name(name: str) -> str:
    """Return the name as CSV has it; csv.writer leaves an end of a line without quotes."""
    return '"' + name.replace('"', '""') + '"' if set(name) & set(',"\r\n') else name


def _checked_names(text: str) -> str:
    try:
        split_names(text)
    except csv.Error as error:
        raise ValueError("a name with an end of a line") from error
    return text


def _rate(value: object) -> float:
    number = _number(value, 0, inclusive=False)
    if number > MAX_RATE:
        raise ValueError("out of range")
    return number


def _burstiness(value: object) -> float:
    number = _number(value, MIN_BURSTINESS, inclusive=True)
    if number > MAX_BURSTINESS:
        raise ValueError("out of range")
    return number


def split_names(text: str) -> list[str]:
    """The names in a setting, in its order; one that holds a comma stands in double quotes, as in CSV."""
    return [name.strip() for line in csv.reader([text], skipinitialspace=True) for name in line if name.strip()]


def _url(value: object) -> str:
    text = _text(value)
    text = text if "?" in text else text.rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("no http:// or https:// in front, or no host name")
    _ = parts.port  # raises ValueError when it is not a number or out of range
    return text


def _integer_from(minimum: int, below: int | None = None) -> Callable[[object], int]:
    def parse(value: object) -> int:
        given = _scalar(value)
        if isinstance(given, float) and not given.is_integer():
            raise ValueError("not whole")
        number = int(given)
        if number < minimum or (below is not None and number >= below):
            raise ValueError("out of range")
        return number

    return parse


def _number(value: object, minimum: float, inclusive: bool) -> float:
    number = float(_scalar(value))
    if not math.isfinite(number) or number < minimum or (number == minimum and not inclusive):
        raise ValueError("out of range")
    return number


def parse_duration_s(value: object) -> float:
    """Seconds from a number or from text such as `30`, `30s`, `1.5s`, `2m`, `1h30m`."""
    _reject_bool(value)
    if isinstance(value, int | float):
        return _number(value, 0, inclusive=True)
    text = _text(value)
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError("not a duration")
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds or 0)


def _whole_seconds(value: object) -> int:
    seconds = parse_duration_s(value)
    if not float(seconds).is_integer():
        raise ValueError("not whole seconds")
    return int(seconds)


def _run_time(value: object) -> int:
    seconds = _whole_seconds(value)
    if seconds == 0:  # Locust takes it for a run without an end
        raise ValueError("no time at all")
    return seconds


def _positive_duration(value: object) -> float:
    return _number(parse_duration_s(value), 0, inclusive=False)


def _master_timeout(value: object) -> float:
    return _number(parse_duration_s(value), MIN_MASTER_TIMEOUT_S, inclusive=True)


def _share(value: object) -> float:
    text = _text(value) if isinstance(value, str) else ""
    share = float(text[:-1]) / 100 if text.endswith("%") else float(_scalar(value))
    if not 0 < share < 1:  # also for NaN
        raise ValueError("out of range")
    return share


def _sample(value: object) -> float:
    text = _text(value) if isinstance(value, str) else ""
    share = float(text[:-1]) / 100 if text.endswith("%") else float(_scalar(value))
    if not 0 < share <= 1:  # also for NaN
        raise ValueError("out of range")
    return share


def _size_bytes(value: object) -> int:
    _reject_bool(value)
    if isinstance(value, int):
        return _integer_from(1)(value)
    match = _SIZE.fullmatch(_text(value))
    if match is None:
        raise ValueError("not a size")
    number, unit = match.groups()
    size = int(float(number) * _SIZE_UNITS[(unit or "B").lower()])
    return _integer_from(1)(size)


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    text = _text(value).lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("neither true nor false")


def _answer_check(value: object) -> str:
    """A flag that has become a choice: true and false are what they were."""
    if isinstance(value, str) and value.strip().lower() in ANSWER_CHECKS:
        return value.strip().lower()
    return ANSWER_CHECKS[1] if _flag(value) else ANSWER_CHECKS[0]


TEXT = ValueType("text", "text in UTF-8", _text)
NAMES = ValueType("names", "names with commas between them (in double quotes if they hold one), or a list", _names)
PAIRS = ValueType("pairs", "name=value with commas between them, or an object", _pairs)
PARAMS = ValueType("param", "key=value, or several of them in lines, a list or an object", _params)
TEXTS = ValueType("texts", "text in UTF-8, or a list of texts", _texts)
HEADERS = ValueType("header", "Name: value, or several of them in lines, a list or an object", _lines)
URL = ValueType("url", "an address that begins with http:// or https://, such as http://127.0.0.1:8000", _url)
COUNT = ValueType("count", "a whole number of at least 1", _integer_from(1))
BATCH_SIZE = ValueType("count", "a whole number from 1 to 1,000,000", _integer_from(1, 1_000_001))
USERS = ValueType("count", f"a whole number from 1 to {MAX_USERS:,}", _integer_from(1, MAX_USERS + 1))
PORT = ValueType("port", "a whole number from 0 to 65535", _integer_from(0, 65536))
INTEGER = ValueType("integer", "a whole number of at least 0 and below 2^63", _integer_from(0, 2**63))
SECONDS = ValueType("seconds", "a number of seconds, 0 or more", lambda value: _number(value, 0, inclusive=True))
RATE = ValueType("rate", f"a number above 0, at most {MAX_RATE:,}", lambda value: _rate(value))
BURSTINESS = ValueType("burstiness", f"a number from {MIN_BURSTINESS} to {MAX_BURSTINESS:,}; 1 is Poisson", _burstiness)
WHOLE_SECONDS = ValueType("duration", "whole seconds, or text such as 30s, 2m, 1h30m", _whole_seconds)
RUN_TIME = ValueType(
    "duration", "whole seconds above 0, or text such as 30s, 2m, 1h30m; none for a run that is stopped", _run_time
)
TIMEOUT = ValueType("timeout", "a duration above 0 such as 500, 2.5s, 1m", _positive_duration)
MASTER_TIMEOUT = ValueType(
    "timeout", f"a duration of at least {MIN_MASTER_TIMEOUT_S:g} s, such as 5 or 10s", _master_timeout
)
SHARE = ValueType("share", "a share above 0 and below 1, such as 5% or 0.05", _share)
SIZE = ValueType("size", "a size such as 256MiB or 1GB", _size_bytes)
SAMPLE = ValueType("share", "a share above 0 up to 1, such as 10% or 0.1", _sample)
TOLERANCE = ValueType("number", "a number of at least 0, such as 1e-6", lambda value: _number(value, 0, inclusive=True))
FLAG = ValueType("flag", "true or false", _flag)
ANSWER_CHECK = ValueType("check", "valid (or true), consistent, or off (or false)", _answer_check)


def choice(*values: str) -> ValueType:
    """Make a value type of a few words."""

    def parse(value: object) -> str:
        text = _text(value)
        if text not in values:
            raise ValueError("not one of them")
        return text

    return ValueType("choice", "one of " + ", ".join(values), parse)


def upper_choice(*values: str) -> ValueType:
    """Make a value type of a few words in capitals, given in any case."""
    inner = choice(*values)
    return ValueType("choice", inner.expected, lambda value: inner.parse(_text(value).upper()))
