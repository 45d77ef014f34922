"""The number of a row in, the request out that a run would send for it alone. An edge: reads files."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from inference_swarm.apis.body import RequestFormat
from inference_swarm.data.blocks import iter_blocks
from inference_swarm.data.json_rows import label_of
from inference_swarm.data.manifest import Manifest


def request_of_row(
    manifest: Manifest, row: int, row_format: RequestFormat, head_of: Callable[[int], bytes]
) -> tuple[bytes, object]:
    """Return the whole request, as a worker would send it, and the row's label if there are labels.

    Raises SwarmError when the row cannot be read or cannot be sent.
    """
    block = manifest.block_of(row)
    try:
        loaded = next(iter_blocks(manifest, [block]))
        number = row - block.first_row
        stored: list[bytes] = next(row_format.encode(loaded.table.slice(number, 1))).to_pylist()
        label = None if loaded.labels is None else label_of(loaded.labels, number)
        del loaded
    finally:
        pa.default_memory_pool().release_unused()  # tens of MB, of which mimalloc gives back this thread's alone
    body = row_format.body_of(stored)
    return head_of(len(body)) + body, label
