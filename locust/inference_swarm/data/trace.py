"""A manifest with a time column in, the trace out: when each row is to be sent, and in which order.

Every worker and the master read the same from the same files.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from inference_swarm.data.blocks import iter_blocks
from inference_swarm.data.instants import (
    NS_PER_S,
    BadInstant,
    Times,
    check_time_type,
    join_times,
    read_times,
    spread_seconds,
    unit_of,
)
from inference_swarm.data.manifest import Columns, Manifest
from inference_swarm.errors import DataError

BYTES_OF_ROW: Final = 8
# Instants of all rows may take this part of --row-memory.
SHARE_OF_MEMORY: Final = 0.5
MAX_LENGTH_S: Final = 1e8

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """`offsets_ns` since the first, strictly ascending: of rows with the same instant each is 1 ns after the last one.

    `rows[i]` is the row of the i-th instant; None: the rows are in the order of time.
    """

    offsets_ns: Rows
    rows: Rows | None
    began_ns: int
    """The instant of the first, in ns since 1970."""
    unit: str = ""
    """Of a column of numbers: the epoch unit they are taken for."""
    is_spread: bool = False
    """Whole seconds were recorded, and those of each are spread over it."""

    def __len__(self) -> int:
        return len(self.offsets_ns)

    @property
    def is_sorted(self) -> bool:
        return self.rows is None

    @property
    def period_ns(self) -> int:
        """How long after its first instant a trace that is repeated begins again: a mean gap after its last.

        At least a second, or rows of one instant, repeated, would be more than anyone can send.
        """
        last = int(self.offsets_ns[-1])
        return max(NS_PER_S, last + round(last / max(1, len(self) - 1)))

    @property
    def memory_bytes(self) -> int:
        return BYTES_OF_ROW * len(self) * (1 if self.is_sorted else 2)

    def row_of(self, number: int) -> int:
        """Return the row of an arrival; those of a repeated trace go on counting."""
        place = number % len(self)
        return place if self.rows is None else int(self.rows[place])

    def describe(self) -> str:
        """Return what was read, for the log."""
        began_s = self.began_ns / NS_PER_S
        try:
            begin = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began_s))
        except (ValueError, OverflowError, OSError):
            begin = f"{began_s:g} s"
        unit = f" (epoch {self.unit})" if self.unit else ""
        order = "in the order of time" if self.is_sorted else "not in the order of time"
        spread = "; whole seconds, those of each are spread evenly over it" if self.is_spread else ""
        return f"{len(self):,} rows, {order}, first at {begin}{unit}{spread}"


def read_trace(manifest: Manifest, speed: float, row_memory_bytes: int) -> Trace:
    """Read the instants of all rows. DataError names the row that has none, or says that there are too many."""
    field = manifest.instant_field
    assert field is not None
    check_time_type(field.name, field.type)
    if BYTES_OF_ROW * manifest.rows > SHARE_OF_MEMORY * row_memory_bytes:
        raise DataError(
            f"The instants of {manifest.rows:,} rows take {BYTES_OF_ROW * manifest.rows >> 20} MiB, more than half of "
            f"--row-memory ({row_memory_bytes >> 20} MiB).",
            expected="a trace whose instants fit into half of --row-memory on each worker.",
            action="raise --row-memory, or replay a part of the trace.",
        )
    times = _read_all(manifest, field)
    try:
        instants, is_spread = join_times(times, field.type), False
    except BadInstant as bad:
        raise _no_instant(manifest, field, bad.place, bad) from bad
    if manifest.is_of_whole_seconds:
        instants, is_spread = spread_seconds(instants)
    is_number = not (pa.types.is_timestamp(field.type) or pa.types.is_date(field.type))
    unit = unit_of(np.concatenate(times)) if is_number and not _is_of_texts(field.type, times) else ""
    rows = None if bool((instants[1:] >= instants[:-1]).all()) else np.argsort(instants, kind="stable")
    ordered = instants if rows is None else instants[rows]
    began_ns = int(ordered[0])
    length_s = (int(ordered[-1]) - began_ns) / NS_PER_S / speed
    if length_s > MAX_LENGTH_S:  # beyond it integers of ns would be others
        raise DataError(
            f"The trace of column {field.name!r} would take {length_s / 86400:,.0f} days.",
            expected="at most three years.",
            action="raise --speed, or look whether all values of the column have the same unit.",
        )
    offsets = np.rint((ordered - began_ns) / speed).astype(np.int64) if speed != 1 else ordered - began_ns
    numbers = np.arange(offsets.size)
    offsets = np.maximum.accumulate(offsets - numbers) + numbers
    return Trace(offsets, rows, began_ns, unit, is_spread)


def _is_of_texts(kind: pa.DataType, times: list[Times]) -> bool:
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return is_text and times[0].dtype == np.int64


def _read_all(manifest: Manifest, field: pa.Field) -> list[Times]:
    alone = replace(
        manifest, columns=Columns.plain(pa.schema([field])), labels=(), answers=(), answer_field=None, notes=()
    )
    parts: list[Times] = []
    for loaded in iter_blocks(alone, alone.blocks):
        try:
            parts.append(read_times(loaded.table.column(0)))
            if parts[-1].dtype != parts[0].dtype:
                raise BadInstant(0, "it is text where others are numbers, or the other way round")
        except BadInstant as bad:
            raise _no_instant(manifest, field, loaded.block.first_row + bad.place, bad) from bad
    return parts


def _no_instant(manifest: Manifest, field: pa.Field, row: int, bad: BadInstant) -> DataError:
    place = manifest.place_of(row)
    return DataError(
        f"Column {field.name!r} has no instant in row {place.row_in_file} of {place.location}: {bad.found}.",
        expected="an instant in every row: a timestamp, ISO 8601, or a number of s, ms, µs or ns.",
        action="correct it, or leave the row out.",
    )
