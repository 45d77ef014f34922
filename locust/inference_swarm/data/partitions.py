"""Paths in, the columns that their `key=value` folders are out, typed as `pyarrow.dataset` types them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import unquote

import pyarrow as pa

from inference_swarm.data.data_files import PartitionValue

_NULL = "__HIVE_DEFAULT_PARTITION__"
_INT32_MIN, _INT32_MAX = -(2**31), 2**31 - 1


def partition_texts(path: str) -> dict[str, str | None]:
    """The keys and values of a path's folders, decoded as a URL's; the first of a key counts, as in Arrow."""
    found: dict[str, str | None] = {}
    for segment in path.split("/")[:-1]:
        key, equals, value = segment.partition("=")
        if equals and key:
            found.setdefault(unquote(key), None if value == _NULL else unquote(value))
    return found


def partition_fields(texts: Sequence[Mapping[str, str | None]]) -> list[pa.Field]:
    """Return fields: int32 where all values of a key are such numbers, else text; null for a file without the key."""
    fields: list[pa.Field] = []
    for key in dict.fromkeys(key for each in texts for key in each):
        values = [value for each in texts if (value := each.get(key)) is not None]
        kind = pa.int32() if all(map(_is_int32, values)) else pa.string()
        fields.append(pa.field(key, kind if values else pa.null()))
    return fields


def partition_values(texts: Mapping[str, str | None], fields: Sequence[pa.Field]) -> tuple[PartitionValue, ...]:
    """The values of one file, in the order of the fields."""
    values = [(texts.get(field.name), field) for field in fields]
    return tuple(text if text is None or field.type != pa.int32() else int(text) for text, field in values)


def _is_int32(text: str) -> bool:
    digits = text.removeprefix("-")
    return len(digits) < 20 and digits.isascii() and digits.isdecimal() and _INT32_MIN <= int(text) <= _INT32_MAX
