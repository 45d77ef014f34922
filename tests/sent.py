"""What a run would send of a source: its rows as a server gets them, decoded again; and the lines that it would say."""

from __future__ import annotations

import atexit
import json
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from recording_server import Recording, answer_bytes, recording_server

from inference_swarm.data.blocks import iter_blocks
from inference_swarm.data.columns import ColumnChoice
from inference_swarm.data.dataset import read_manifest
from inference_swarm.data.json_rows import iter_bodies
from inference_swarm.data.manifest import Manifest
from inference_swarm.data.manifest_wire import manifest_from_wire, manifest_to_wire
from inference_swarm.data.packed import Heads, PackedBodies, Requests
from inference_swarm.transport.target import parse_target, request_heads

AT_ONCE = 32  # their responses fit into the buffers of a connection


def _no_constant(token: str) -> None:
    raise AssertionError(f"{token} is not strict JSON")


@lru_cache(maxsize=1)
def _connection() -> tuple[Recording, socket.socket]:
    """A recording server, and one connection to it, for all tests of this process."""
    stack = ExitStack()
    atexit.register(stack.close)
    server = stack.enter_context(recording_server())
    return server, stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 30))


def received_bodies(requests: Sequence[bytes]) -> list[bytes]:
    """Send the requests; return what a server recorded."""
    server, connection = _connection()
    del server.bodies[:], server.targets[:], server.peers[:], server.times_s[:]
    for start in range(0, len(requests), AT_ONCE):
        some = requests[start : start + AT_ONCE]
        missing = len(some) * len(answer_bytes())
        connection.sendall(b"".join(some))
        while missing:
            missing -= len(connection.recv(missing))
    return list(server.bodies)


def requests_of(manifest: Manifest) -> list[bytes]:
    """All requests as a worker keeps them ready, in the order of the rows."""
    heads = Heads(request_heads(parse_target("http://127.0.0.1:1")))
    blocks = [
        (loaded.block.first_row, PackedBodies.pack(iter_bodies(loaded.table)))
        for loaded in iter_blocks(manifest, manifest.blocks)
    ]
    requests = Requests(blocks, heads)
    return list(requests.compose(np.arange(len(requests))))


def sent_rows(source: Path | str, block_rows: int = 7, **choice: Any) -> list[dict[str, Any]]:
    """The rows of all blocks in their order, as a server gets them from a worker with this manifest.

    Numbers with a fraction are Decimals.
    """
    manifest = read_manifest(str(source), None, block_rows, ColumnChoice(**choice))
    manifest = manifest_from_wire(manifest_to_wire(manifest))
    bodies = received_bodies(requests_of(manifest))
    assert len(bodies) == manifest.rows
    return [json.loads(body, parse_float=Decimal, parse_constant=_no_constant) for body in bodies]


def notes_of(source: Path | str, **choice: Any) -> str:
    """The lines that are said about a source."""
    return "\n".join(read_manifest(str(source), choice=ColumnChoice(**choice)).notes)
