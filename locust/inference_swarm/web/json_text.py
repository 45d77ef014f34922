"""Documents of the web UI as JSON: NaN and infinity, which JSON lacks, become null."""

from __future__ import annotations

import json

import orjson

from inference_swarm.config.documents import Document

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def json_bytes(document: Document) -> bytes:
    """Return the document's bytes."""
    try:
        return orjson.dumps(document, option=_OPTIONS)
    except TypeError:  # half of a surrogate pair, as in the name of a file that is no UTF-8
        return json.dumps(document, default=str).encode()
