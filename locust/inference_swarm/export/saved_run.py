"""Reads back what a run left in its folder: for a report made later, and for comparing. An edge: files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jinja2 import TemplateError

from inference_swarm.config.documents import Document
from inference_swarm.errors import DataError
from inference_swarm.export.intervals import IntervalRow, read_interval_table
from inference_swarm.export.summary_version import SUMMARY_VERSION
from inference_swarm.measure.histogram import Histogram
from inference_swarm.measure.hlog import HlogInterval, read_hlog


@dataclass(frozen=True, slots=True)
class SavedRun:
    """A run as it was read from its files."""

    folder: Path
    summary: Document
    rows: list[IntervalRow]
    latency: list[HlogInterval]
    service: list[HlogInterval]


def read_run(folder: Path) -> SavedRun:
    """Read a run. Raises DataError that names the file."""
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        version = summary.get("version") if isinstance(summary, dict) else None
        if version != SUMMARY_VERSION:
            raise DataError(
                f"its summary.json is of version {version!r}",
                expected=f"version {SUMMARY_VERSION}, which this release writes",
            )
        rows = read_interval_table((folder / "intervals.csv").read_text(encoding="utf-8"))
        logs = [(folder / name).read_text(encoding="utf-8") for name in ("latency.hlog", "service.hlog")]
        latency, service = (read_hlog(text.splitlines())[1] for text in logs)
    except FileNotFoundError as error:
        raise DataError(
            f"{error.filename} does not exist",
            expected="the folder of a run that has ended, with summary.json, intervals.csv and latency.hlog",
            action="name a folder below experiment-results/runs",
        ) from error
    except (OSError, ValueError, DataError) as error:
        raise DataError(f"the run in {folder} cannot be read: {error}") from error
    return SavedRun(folder, summary, rows, latency, service)


@contextmanager
def as_it_was_written(*folders: Path) -> Iterator[None]:
    """Inside, a run of these folders is used; raises DataError where its files lack something or have another type."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, TemplateError) as error:
        names = " or ".join(str(folder) for folder in folders)
        raise DataError(
            f"the files in {names} are not as a run writes them: {type(error).__name__}: {error}",
            expected="summary.json as it was written by this release",
            action="take the files as they were, or run the test again",
        ) from error


def merge_intervals(intervals: list[HlogInterval]) -> Histogram:
    """Merge all of them into one histogram."""
    merged = Histogram()
    for interval in intervals:
        merged.add(interval.histogram)
    return merged
