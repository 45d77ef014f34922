"""Reads the columns whose type does not say what they hold, all of them in one pass over the files.

In: described files, and a probe for each column. A pass for each column would parse the footer of a wide file as often
as it has columns. Values are read as `data/readers.py` gives them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from inference_swarm.data.arrow_types import with_timestamp_unit
from inference_swarm.data.data_files import Description
from inference_swarm.data.manifest import BLOCK_ROWS, choose_batch_rows
from inference_swarm.data.probe import BinaryProbe, Int96Probe
from inference_swarm.data.readers import READERS
from inference_swarm.data.storage import open_file


def examine(
    descriptions: Sequence[Description], binary: Mapping[str, BinaryProbe], int96: Mapping[str, Int96Probe]
) -> None:
    """Show each probe the values of its column in all files that have it."""
    for description in descriptions:
        names = set(description.schema.names)
        of_bytes = [name for name, probe in binary.items() if name in names and not probe.is_decided]
        of_instants = [name for name in int96 if name in description.int96]
        if not of_bytes and not of_instants:
            continue
        bytes_fields = [pa.field(name, binary[name].type) for name in of_bytes]
        ns, us = (
            [pa.field(name, with_timestamp_unit(int96[name].type, unit)) for name in of_instants]
            for unit in ("ns", "us")
        )
        for batch in _batches(description, bytes_fields):
            for name in of_bytes:
                binary[name].look(batch.column(name))
            if all(binary[name].is_decided for name in of_bytes):
                break
        for in_ns, in_us in zip(_batches(description, ns), _batches(description, us), strict=True):
            for name in of_instants:
                int96[name].look(in_ns.column(name), in_us.column(name))


def _batches(description: Description, fields: Sequence[pa.Field]) -> Iterator[pa.RecordBatch]:
    if not fields:
        return
    file = description.file
    batch_rows = choose_batch_rows(BLOCK_ROWS, len(fields))
    with open_file(file.location) as opened:
        groups = range(len(file.row_group_rows))
        for _, batch in READERS[file.kind].iter_batches(file.location, opened, file, groups, fields, batch_rows):
            yield batch
