"""The runs in the results folder for the page: a list with key metrics, and files to open.

Reads files that `run_files` wrote; a run without a summary (under way, or interrupted) is left out.
"""

from __future__ import annotations

import json
from pathlib import Path

from inference_swarm.config.documents import Document
from inference_swarm.errors import DataError
from inference_swarm.export.run_folder import RUNS

MAX_RUNS = 200
SUMMARY = "summary.json"
# In the order in which the page offers them.
OPENED_FILES = ("report.html", "locust.html", "summary.json", "intervals.csv", "latency.hlog", "service.hlog")
_LISTED = (
    "run", "run_id", "started_at", "duration_s", "verdict", "dataset", "model", "method", "load", "users", "workers",
    "requests", "failures", "rate_rps", "rows_per_s", "late", "dropped", "abandoned", "generator_bound", "complete",
    "tone",
)  # fmt: skip


def open_files(folder: Path) -> tuple[str, ...]:
    """Return the existing result files."""
    return tuple(name for name in OPENED_FILES if (folder / name).is_file())


class RunArchive:
    """Folders below `results`/runs; a summary is read once."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self._read: dict[str, tuple[int, Document]] = {}

    def newest(self) -> list[Document]:
        """Return the key metrics of each run, the newest first."""
        rows = []
        for folder in self._folders():
            summary = self._summary(folder)
            if summary is None:
                continue
            row = {key: summary.get(key) for key in _LISTED}
            row["target"] = ((summary.get("settings") or {}).get("host") or {}).get("value")
            latency = summary.get("latency_us") or {}
            row |= {f"{name}_us": latency.get(name) for name in ("p50", "p99", "p99_9")}
            rows.append({**row, "run": folder.name, "files": open_files(folder)})
        rows.sort(key=lambda row: str(row["started_at"]), reverse=True)
        return rows[:MAX_RUNS]

    def models(self) -> set[str]:
        """Return the models of earlier runs, for the start form."""
        found = (self._summary(folder) for folder in self._folders())
        return {str(summary["model"]) for summary in found if summary and summary.get("model")}

    def folder(self, name: str) -> Path:
        """Return the folder of a run. Raises DataError when there is none of that name."""
        folder = self.results / RUNS / name
        if Path(name).name != name or name in (".", "..") or not (folder / SUMMARY).is_file():
            raise DataError(
                f"There is no run {name!r} in {self.results / RUNS}.",
                expected="the name of a folder with a summary.json",
            )
        return folder

    def answers(self, folder: Path) -> Document | None:
        """Return what a summary says of answers, but for what is over load; None where there is nothing."""
        found = (self._summary(folder) or {}).get("answers")
        return {key: value for key, value in found.items() if key != "over_load"} if isinstance(found, dict) else None

    def _folders(self) -> list[Path]:
        try:
            folders = [folder for folder in (self.results / RUNS).iterdir() if folder.is_dir()]
        except FileNotFoundError:
            return []
        return sorted(folders, key=lambda folder: folder.stat().st_mtime, reverse=True)[:MAX_RUNS]

    def _summary(self, folder: Path) -> Document | None:
        path = folder / SUMMARY
        try:
            changed_ns = path.stat().st_mtime_ns
            known = self._read.get(folder.name)
            if known is None or known[0] != changed_ns:
                document = json.loads(path.read_text(encoding="utf-8"))
                if not isinstance(document, dict):
                    return None
                known = self._read[folder.name] = (changed_ns, document)
        except (OSError, ValueError):
            return None
        return known[1]
