"""Names of files in, refusals out: folders in which the files alone are not the rows.

Delta, Iceberg and Hudi tables keep files whose rows were deleted or replaced; only their log tells which count. They
are refused with the command that writes their rows to one file, rather than read through their own package: that
would have to be on every worker, with its own credentials and its own idea of which rows a file holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from inference_swarm.config.redaction import without_secrets
from inference_swarm.errors import DataError


@dataclass(frozen=True, slots=True)
class TableFormat:
    """How a table is recognised, and what turns it into a file."""

    name: str
    marker: str  # a folder, or a file name at the end of the marker, below the table's own folder
    command: str


_DUCKDB: Final = """duckdb -c "COPY (FROM {reader}('{folder}')) TO 'rows.parquet'\""""
ICEBERG_MARKER: Final = "metadata/version-hint.text"
FORMATS: Final = (
    TableFormat("Delta table", "_delta_log", _DUCKDB.replace("{reader}", "delta_scan")),
    TableFormat("Iceberg table", ICEBERG_MARKER, _DUCKDB.replace("{reader}", "iceberg_scan")),
    TableFormat("Hudi table", ".hoodie", "spark.read.format('hudi').load('{folder}').write.parquet('rows')"),
    TableFormat(
        "folder that Spark streams into", "_spark_metadata", "spark.read.parquet('{folder}').write.parquet('rows')"
    ),
)
ICEBERG_METADATA: Final = ".metadata.json"


def markers_above(folder: str, levels: int = 8) -> list[str]:
    """Return the markers that a table would have in the folder or above it, for the caller to look up."""
    found: list[str] = []
    for _ in range(levels):
        found += [f"{folder}/{table.marker}" for table in FORMATS]
        parent = folder.rpartition("/")[0]
        if not parent or parent.endswith(("/", ":")) or parent == folder:
            break
        folder = parent
    return found


def check_no_table(folder: str, names: Iterable[str], existing_markers: Iterable[str]) -> None:
    """DataError when the names of files below `folder`, or the markers that exist, are those of a table."""
    for marker in existing_markers:
        for table in FORMATS:
            if marker.endswith("/" + table.marker):
                raise _refusal(table, marker.removesuffix("/" + table.marker))
    for name in names:
        parts = PurePosixPath(name).parts
        for table in FORMATS:
            first = table.marker.partition("/")[0]
            if first not in parts[:-1]:
                continue
            if "/" in table.marker and not (name.endswith((table.marker, ICEBERG_METADATA)) and parts[-2] == first):
                continue
            inside = "/".join(parts[: parts.index(first)])
            raise _refusal(table, f"{folder}/{inside}" if inside else folder)


def _refusal(table: TableFormat, folder: str) -> DataError:
    shown = without_secrets(folder)
    article = "an" if table.name[0] in "AEIOU" else "a"
    return DataError(
        f"{shown} is {article} {table.name}, whose files may hold rows that were deleted or replaced.",
        expected="files whose rows all count.",
        action=f"write its rows to a file first: {table.command.replace('{folder}', shown)}",
    )
