"""run_table.csv: one line for each run, below headers."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from inference_swarm.config.documents import Document, ReadDocument
from inference_swarm.export.run_folder import write_whole

RUN_TABLE = "run_table.csv"
RUN_TABLE_COLUMNS: Sequence[str] = (
    "run", "started_at", "duration_s", "measured_s", "dataset", "model", "method", "load", "wanted_rps", "users",
    "workers", "verdict", "exit_code", "requests", "succeeded", "failures", "abandoned", "dropped", "unaccounted",
    "never_sent", "rate_rps", "rows_per_s", "goodput_rps", "rows", "batch_size", "p50_us", "p95_us", "p99_us",
    "capacity", "capacity_of", "capacity_outcome",
)  # fmt: skip


def run_table_row(summary: ReadDocument) -> Document:
    """Return the row of run_table.csv."""
    arrivals, once, capacity = summary["arrivals"] or {}, summary["once"] or {}, summary.get("capacity") or {}
    known = {
        **summary,
        "wanted_rps": arrivals.get("wanted_rps"),
        "unaccounted": arrivals.get("unaccounted"),
        "never_sent": once.get("never_sent"),
        "batch_size": summary["settings"]["batch_size"]["value"],
        "capacity": capacity.get("load"),
        "capacity_of": ("users" if capacity["by_users"] else "rate") if capacity else None,
        "capacity_outcome": capacity.get("outcome"),
        **{f"{name}_us": summary["latency_us"][name] for name in ("p50", "p95", "p99")},
    }
    return {column: known[column] for column in RUN_TABLE_COLUMNS}


def append_to_run_table(results: Path, row: ReadDocument) -> None:
    """Append a line for a run. A table that is not as we write it (another version's, a spreadsheet's) is written anew.

    Its lines stay, and so do columns of its own, behind ours.
    """
    path, columns = results / RUN_TABLE, list(row)
    table = path.read_bytes() if path.exists() else b""
    names, rows = _read(table)
    if names[: len(columns)] == columns and table.endswith(b"\n") and _text_of(table).encode() == table:
        with path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, names, restval="").writerow(row)
    else:
        own = [name for name in names if name not in columns]
        write_whole(path, _table([*columns, *own], [*rows, row]))


def _read(table: bytes) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and lines; spreadsheets of some countries write a semicolon or a tab between cells."""
    text = _text_of(table)
    header = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count))
    names = next(reader, [])
    return names, [dict(itertools.zip_longest(names, row[: len(names)], fillvalue="")) for row in reader if row]


def _text_of(table: bytes) -> str:
    """Return the text; spreadsheets write UTF-8 with a byte order mark, or a code page of one byte a character."""
    try:
        return table.decode("utf-8-sig")
    except UnicodeDecodeError:
        return table.decode("cp1252", errors="replace")


def _table(columns: Sequence[str], rows: Iterable[ReadDocument]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
