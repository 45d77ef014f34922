"""What a run would send of a source: its rows as requests, decoded again; and the lines that it would say."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from inference_swarm.data.blocks import iter_blocks
from inference_swarm.data.columns import ColumnChoice
from inference_swarm.data.dataset import read_manifest
from inference_swarm.data.json_rows import encode_rows
from inference_swarm.data.manifest_wire import manifest_from_wire, manifest_to_wire


def _no_constant(token: str) -> None:
    raise AssertionError(f"{token} is not strict JSON")


def sent_rows(source: Path | str, block_rows: int = 7, **choice: Any) -> list[dict[str, Any]]:
    """The rows of all blocks in their order, by way of a worker's manifest. Numbers with a fraction are Decimals."""
    manifest = read_manifest(str(source), None, block_rows, ColumnChoice(**choice))
    manifest = manifest_from_wire(manifest_to_wire(manifest))
    bodies = [
        body for loaded in iter_blocks(manifest, manifest.blocks) for body in encode_rows(loaded.table).to_pylist()
    ]
    assert len(bodies) == manifest.rows
    return [json.loads(body, parse_float=Decimal, parse_constant=_no_constant) for body in bodies]


def notes_of(source: Path | str, **choice: Any) -> str:
    """The lines that are said about a source."""
    return "\n".join(read_manifest(str(source), choice=ColumnChoice(**choice)).notes)
