"""Values of every Arrow type to write, and what each must decode to in JSON; for hypothesis."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.sampled_from(
    ['"', "\\", '\\"', "\x00\x1f\n\t", "\u2028\u2029", "€😀", "null", ",", "}", "]"]
)


def _no_constant(token: str) -> None:
    raise AssertionError(f"{token} is not strict JSON")


def decode(body: bytes) -> Any:
    """Strict: no NaN or Infinity; numbers with a fraction or exponent stay Decimal, so that no digit is lost."""
    return json.loads(body.decode("utf-8"), parse_float=Decimal, parse_constant=_no_constant)


# One entry per Arrow type: values to write, and what a value must decode to.
Case = tuple[pa.DataType, st.SearchStrategy[Any], Callable[[Any], Any]]


def same(value: Any) -> Any:
    return value


def number(value: float) -> Any:
    return Decimal(repr(value)) if math.isfinite(value) else None


def float32_value(value: float) -> Any:
    return float(np.float32(value)) if math.isfinite(value) else None


def iso(value: dt.datetime) -> str:
    text = value.isoformat(timespec="microseconds")
    return re.sub(r"\+00:00$", "Z", text) if value.tzinfo is dt.UTC else text


def seconds(value: dt.timedelta) -> str:
    micros = value // dt.timedelta(microseconds=1)
    return f"{'-' * (micros < 0)}PT{abs(micros) // 10**6}.{abs(micros) % 10**6:06d}S"


def whole(bits: int, signed: bool) -> st.SearchStrategy[int]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.integers(low, high) | st.sampled_from([low, high, 0]) | st.integers(0, min(high, 100))


BERLIN = ZoneInfo("Europe/Berlin")
WHEN = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30))
RECENT = st.datetimes(dt.datetime(1950, 1, 1), dt.datetime(2030, 1, 1))
CASES: dict[str, Case] = {
    **{
        f"{'' if signed else 'u'}int{bits}": (
            getattr(pa, f"{'' if signed else 'u'}int{bits}")(),
            whole(bits, signed),
            same,
        )
        for bits in (8, 16, 32, 64)
        for signed in (True, False)
    },
    "float64": (pa.float64(), st.floats(), number),
    "bool": (pa.bool_(), st.booleans(), same),
    "string": (pa.string(), TEXT, same),
    "large_string": (pa.large_string(), TEXT, same),
    "string_view": (pa.string_view(), TEXT, same),
    "category": (pa.dictionary(pa.int8(), pa.string()), TEXT, same),
    "category of integers": (pa.dictionary(pa.int32(), pa.int64()), whole(64, True), same),
    "decimal128": (pa.decimal128(38, 9), st.decimals(-(10**28), 10**28, places=9), same),
    "decimal256": (pa.decimal256(60, 3), st.decimals(-(10**40), 10**40, places=3, allow_nan=False), same),
    "binary": (pa.binary(), st.binary(max_size=9), lambda value: base64.b64encode(value).decode()),
    "large_binary": (pa.large_binary(), st.binary(max_size=9), lambda value: base64.b64encode(value).decode()),
    "fixed binary": (pa.binary(3), st.binary(min_size=3, max_size=3), lambda value: base64.b64encode(value).decode()),
    "timestamp": (pa.timestamp("us"), WHEN, iso),
    "timestamp UTC": (pa.timestamp("us", "UTC"), st.builds(lambda when: when.replace(tzinfo=dt.UTC), WHEN), iso),
    "timestamp Berlin": (
        pa.timestamp("us", "Europe/Berlin"),
        st.builds(lambda when: when.replace(tzinfo=dt.UTC).astimezone(BERLIN), RECENT),
        iso,
    ),
    "date": (pa.date32(), st.dates(), lambda value: value.isoformat()),
    "time": (pa.time64("us"), st.times(), lambda value: value.isoformat(timespec="microseconds")),
    "duration": (pa.duration("us"), st.timedeltas(dt.timedelta(-(10**8)), dt.timedelta(10**8)), seconds),
}


def nullable(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, max_size=12) | st.lists(st.none() | values, max_size=12)


def expected(case: Case, value: Any) -> Any:
    return None if value is None else case[2](value)
