"""run_table.csv: one line for each run, below headers."""

from __future__ import annotations

import csv
import io
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
    """Append a line for a run, below the headers of the first one; a table with other columns is converted first."""
    path, columns = results / RUN_TABLE, list(row)
    if path.exists() and path.stat().st_size:
        with path.open(encoding="utf-8", newline="") as file:
            known = csv.DictReader(file)
            if known.fieldnames != columns:
                write_whole(path, _table(columns, [*known, row]))
                return
        with path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, columns).writerow(row)
    else:
        write_whole(path, _table(columns, [row]))


def _table(columns: Sequence[str], rows: Iterable[ReadDocument]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
