"""Requests of a capture: their bodies as they were recorded, whatever API they are of. Pure.

Where each has its own content type, a stored text begins with it and the length of the body: the end of the head.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from inference_swarm.apis.api import Api
from inference_swarm.apis.body import RequestFormat
from inference_swarm.config.load_options import SAGEMAKER
from inference_swarm.data.capture_formats import BODY, CONTENT_TYPE

# What an inference table records: it names no content type, and says that a request is JSON.
_JSON: Final = "application/json"
# A call into Arrow that takes longer would keep the event loop from the interpreter.
_SLICE_ROWS: Final = 1024


def captured_format(trace_format: str, api: Api) -> RequestFormat:
    """Return how rows of `capture_formats.CAPTURED` become requests; records without a content type get the API's."""
    if trace_format != SAGEMAKER:
        return RequestFormat(_bodies, headers={"Accept": api.accept, "Content-Type": _JSON})

    def encode(table: pa.Table) -> Iterator[pa.Array]:
        for batch in table.to_batches(max_chunksize=_SLICE_ROWS):
            bodies = batch.column(BODY)
            kinds = pc.fill_null(batch.column(CONTENT_TYPE), api.content_type)
            lengths = pc.cast(pc.binary_length(bodies), pa.string())
            yield pc.binary_join_element_wise(
                _text(b"Content-Type: "), _bytes(kinds), _text(b"\r\nContent-Length: "), _bytes(lengths),
                _text(b"\r\n\r\n"), bodies, _text(b""),
            )  # fmt: skip

    return RequestFormat(encode, headers={"Accept": api.accept}, begins_with_headers=True)


def _bodies(table: pa.Table) -> Iterator[pa.Array]:
    yield from table.column(BODY).chunks


def _bytes(texts: pa.Array) -> pa.Array:
    return pc.cast(pc.cast(texts, pa.large_string()), pa.large_binary())


def _text(text: bytes) -> pa.Scalar:
    return pa.scalar(text, pa.large_binary())
