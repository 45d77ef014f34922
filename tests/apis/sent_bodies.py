"""What a run with some settings would send of a table: requests of the worker's own making."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from inference_swarm.apis.table import request_format
from inference_swarm.config.options import OPTIONS
from inference_swarm.config.settings import Settings


def settings_of(**changes: Any) -> Settings:
    values: dict[str, Any] = {option.name: option.default for option in OPTIONS}
    return Settings(**{**values, "host": "http://127.0.0.1:8000", "model": "m", **changes})


def bodies_of(table: pa.Table, batch_size: int = 1, **changes: Any) -> list[bytes]:
    """The bodies of all rows in their order, the last of them short where the batches do not come out even."""
    row_format = request_format(settings_of(**changes), table.schema, batch_size)
    stored: list[bytes] = [text for part in row_format.encode(table) for text in part.to_pylist()]
    return [row_format.body_of(stored[first : first + batch_size]) for first in range(0, len(stored), batch_size)]
