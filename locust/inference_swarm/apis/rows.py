"""Rows as most APIs write them: JSON objects and JSON arrays. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from inference_swarm.apis.body import Rows
from inference_swarm.data.json_rows import json_keys
from inference_swarm.data.json_rows_texts import row_fragments


def object_rows(names: Sequence[str]) -> Rows:
    """`{"a":1,"b":2},{"a":3,"b":4}`"""
    return Rows(row_fragments(b"{", json_keys(names), b"}"))


def array_rows(names: Sequence[str]) -> Rows:
    """`[1,2],[3,4]`"""
    return Rows(row_fragments(b"[", [b""] * len(names), b"]"))


def json_bytes(value: object) -> bytes:
    """Return compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
