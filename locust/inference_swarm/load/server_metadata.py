"""Asks the server what its model takes, for an API that says where; before rows are encoded. An edge: the network."""

from __future__ import annotations

import logging
from typing import Final

import orjson

from inference_swarm.apis.table import metadata_paths
from inference_swarm.config.documents import ReadDocument
from inference_swarm.config.settings import Settings
from inference_swarm.errors import TargetError
from inference_swarm.transport.client import InferenceClient
from inference_swarm.transport.fetch import fetch
from inference_swarm.transport.target import beside_requests, parse_headers

logger = logging.getLogger(__name__)
TIMEOUT_S: Final = 10.0


def ask_metadata(settings: Settings, client: InferenceClient) -> tuple[ReadDocument, ...]:
    """Return a document for each of `metadata_paths`, an empty one where the server has none. Blocks the greenlet.

    What is missing is no failure: the data's own types are sent then.
    """
    documents: list[ReadDocument] = []
    for path in metadata_paths(settings):
        target_path = beside_requests(settings, path)
        try:
            got = fetch(client, "GET", target_path, headers=parse_headers(settings.headers), timeout_s=TIMEOUT_S)
        except TargetError as error:
            logger.warning("%s Datatypes are those of the data.", error)
            return ()
        documents.append(_document(got.body) if got.status == 200 else {})
    return tuple(documents)


def _document(body: bytes) -> ReadDocument:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
