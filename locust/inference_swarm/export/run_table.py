"""run_table.csv: one line for each run, below headers."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
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

    Its lines stay, and so do columns of its own, behind ours. One that is no table is put aside.
    """
    path, columns = results / RUN_TABLE, list(row)
    table = path.read_bytes() if path.exists() else b""
    own = _own_columns(table, columns)
    if own is not None:
        with path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow([*row.values(), *[""] * own])
        return
    try:
        lines = _lines_of(table)
    except csv.Error:
        path.rename(_free_name(path))
        lines = []
    write_whole(path, _table(columns, lines, row))


def _own_columns(table: bytes, columns: Sequence[str]) -> int | None:
    """Return how many columns the table has behind ours; None when no line of ours can be appended to it."""
    ours, (header, newline, _) = ",".join(columns).encode(), table.partition(b"\n")
    header = header.rstrip(b"\r")
    if not newline or not table.endswith(b"\n") or (header != ours and not header.startswith(ours + b",")):
        return None
    try:
        table.decode()
        return len(next(csv.reader([header.decode()]))) - len(columns)
    except (UnicodeDecodeError, csv.Error):
        return None


def _lines_of(table: bytes) -> list[list[str]]:
    """Return the lines with the header. Raises csv.Error.

    Spreadsheets write UTF-8 with a byte order mark, or a code page of one byte a character; those of some countries a
    semicolon or a tab between cells.
    """
    try:
        text = table.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = table.decode("cp1252", errors="replace")
    header = text.lstrip().partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count))
    return [line for line in reader if line]


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]], row: ReadDocument) -> str:
    """Return the table with our columns first, the others as they were behind them, and a line for the run."""
    width = max(map(len, lines), default=0)
    header, *rest = [[*line, *[""] * (width - len(line))] for line in lines] or [[]]
    places = [header.index(name) if name in header else None for name in columns]
    others = [place for place in range(width) if place not in places]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*columns, *[header[place] for place in others]])
    for line in rest:
        ours = ["" if place is None else line[place] for place in places]
        writer.writerow([*ours, *[line[place] for place in others]])
    writer.writerow([*row.values(), *[""] * len(others)])
    return text.getvalue()


def _free_name(path: Path) -> Path:
    numbers = itertools.count(1)
    return next(name for number in numbers if not (name := path.with_name(f"{path.name}.{number}")).exists())
