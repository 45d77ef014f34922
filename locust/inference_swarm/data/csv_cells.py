"""An Arrow column in, its texts as cells of a CSV line out; and cells with another text for null.

Numbers, booleans and times are as in JSON without quotes, nested values are JSON in quotes, null is empty.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from inference_swarm.data.arrow_types import plain_type
from inference_swarm.data.json_rows_assembly import Texts, binary_of, nulls_of
from inference_swarm.data.json_rows_texts import texts_alone, texts_of
from inference_swarm.data.numpy_values import numpy_of

_NEEDS_QUOTES = r'[",\r\n]|^$|^\s|\s$'


def csv_texts_of(values: pa.Array, name: str) -> Texts:
    """Cells of one column, in double quotes where they hold a comma, a quote, a line's end, or are empty text."""
    kind = values.type
    if isinstance(kind, pa.BaseExtensionType) and kind.extension_name not in ("arrow.uuid", "arrow.bool8"):
        return csv_texts_of(values.storage, name)
    if pa.types.is_dictionary(kind):
        return csv_texts_of(values.dictionary_decode(), name)
    if pa.types.is_run_end_encoded(kind):
        return csv_texts_of(pc.run_end_decode(values), name)
    texts = texts_of(values, name)
    if pa.types.is_string(plain_type(kind)):
        return Texts(_quoted(binary_of(values).cast(pa.string())), nulls=nulls_of(values), null=b"")
    if pa.types.is_nested(kind):
        flat = texts_alone(replace(texts, nulls=None), len(values)).cast(pa.string())
        return Texts(_quoted(flat), nulls=nulls_of(values), null=b"")
    if texts.opening:  # times, UUIDs, base64: nothing in them needs quotes
        texts = replace(texts, opening=b"", closing=b"")
    return with_null(texts, values, b"")


def with_null(texts: Texts, values: pa.Array, null: bytes) -> Texts:
    """Return the same texts with another one where the value is null, NaN or infinite."""
    if pa.types.is_floating(values.type):
        numbers: NDArray[Any] = numpy_of(values)
        nulls = ~np.isfinite(numbers)
    else:
        nulls = numpy_of(values.is_null())
    return replace(texts, nulls=nulls if nulls.any() else None, null=null)


def _quoted(values: pa.Array) -> pa.Array:
    doubled = pc.binary_join_element_wise('"', pc.replace_substring(values, '"', '""'), '"', "")
    return binary_of(pc.if_else(pc.match_substring_regex(values, _NEEDS_QUOTES), doubled, values))
