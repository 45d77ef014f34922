"""The value types of what workers report: bounded numbers, texts that are cut instead of refused, histograms.

A report must never be lost because a server or a user class gave it a long text, so texts are cut on both sides.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

from pydantic import (
    BeforeValidator,
    Field,
    InstanceOf,
    PlainSerializer,
    SerializationInfo,
    ValidationError,
    ValidationInfo,
)

from inference_swarm.config.documents import in_utf8
from inference_swarm.errors import ProtocolError
from inference_swarm.measure.histogram import Histogram
from inference_swarm.measure.histogram_batch import HistogramWriter

MAX_TEXT: Final = 400
MAX_EXAMPLE_ROWS: Final = 100
_DIGEST_CHARACTERS = 8

Count = Annotated[int, Field(strict=True, ge=0, le=1 << 62)]
Metric = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(strict=True, ge=0, le=1e9, allow_inf_nan=False)]


def cut_text(text: str, limit: int = MAX_TEXT) -> str:
    """Return the text if it is short, else its beginning and a digest, so that different long texts stay different."""
    text = in_utf8(text)
    if len(text) <= limit:
        return text
    digest = hashlib.blake2s(text.encode("utf-8")).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{text[: limit - _DIGEST_CHARACTERS - 1]}…{digest}"


def _cut(value: object) -> object:
    return cut_text(value) if isinstance(value, str) else value


Text = Annotated[str, Field(strict=True, min_length=1, max_length=MAX_TEXT), BeforeValidator(_cut)]
OptionalText = Annotated[str, Field(strict=True, max_length=MAX_TEXT), BeforeValidator(_cut)]


def _read_histogram(value: object, info: ValidationInfo) -> Histogram:
    """Of a report's counters, whose histograms are read beforehand, it is the number of one of them."""
    if isinstance(value, Histogram):
        return value
    if isinstance(info.context, list):
        if type(value) is not int or not 0 <= value <= len(info.context):
            raise ValueError(f"histogram {str(value)[:40]!r} of {len(info.context)}")
        if not value:  # of an address that only failed, say
            return Histogram()
        found: Histogram = info.context[value - 1]  # the same one again where it is: those of a report are only read
        return found
    try:
        return Histogram.from_wire(value)
    except ProtocolError as error:
        raise ValueError(str(error)) from error


def _write_histogram(histogram: Histogram, info: SerializationInfo) -> object:
    return info.context.number(histogram) if isinstance(info.context, HistogramWriter) else histogram.to_wire()


WireHistogram = Annotated[InstanceOf[Histogram], BeforeValidator(_read_histogram), PlainSerializer(_write_histogram)]


def describe_problems(error: ValidationError, limit: int = 5) -> str:
    """Return the first few problems, each with the path of its field; values are left out, as they may be large."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    words = []
    for problem in problems[:limit]:
        path = ".".join(str(part)[:60] for part in problem["loc"]) or "message"
        words.append(f"{path}: {' '.join(problem['msg'].split())}")
    more = f" and {len(problems) - limit} more" if len(problems) > limit else ""
    return "; ".join(words) + more
