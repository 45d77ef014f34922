"""Two runs of the results folder side by side, out of their histogram logs; judge/compare.py says what differs."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inference_swarm.errors import DataError
from inference_swarm.export.intervals import read_interval_table
from inference_swarm.export.web_runs import RunArchive, finite, side_by_side
from inference_swarm.judge.compare import CONFIDENCE, Batch, Estimate, RunSample, compare_runs
from inference_swarm.measure.histogram import Histogram
from inference_swarm.measure.hlog import read_hlog

_KEYS = ("run", "started_at", "verdict", "dataset", "model", "method", "users", "workers", "requests", "failures",
         "rate_rps", "duration_s", "latency_us", "service_us", "generator_bound")  # fmt: skip


def read_sample(folder: Path) -> RunSample:
    """The intervals of a run, oldest first. Raises DataError when its files are not there or not ours."""
    try:
        _, lines = read_hlog((folder / "latency.hlog").read_text(encoding="utf-8").splitlines())
        rows = read_interval_table((folder / "intervals.csv").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"Run {folder.name} has no interval files that can be read: {error}") from error
    by_start: dict[float, Histogram] = {}
    for line in lines:
        by_start.setdefault(round(line.start_s, 3), Histogram()).add(line.histogram)
    empty = Histogram()
    batches = [Batch(by_start.get(round(row.start_s, 3), empty), row.requests, row.seconds) for row in rows]
    return RunSample.from_batches(folder.name, batches)


def comparison_document(archive: RunArchive, one: str, other: str) -> dict[str, Any]:
    """Key figures of both, each metric with its confidence interval and a finding, and settings that differ."""
    first, second = archive.summary(one), archive.summary(other)
    compared = compare_runs(read_sample(archive.folder(one)), read_sample(archive.folder(other)))
    return {
        "one": {key: first.get(key) for key in _KEYS},
        "other": {key: second.get(key) for key in _KEYS},
        "confidence": CONFIDENCE,
        "metrics": [
            {
                "metric": row.metric,
                "is_time": re.match(r"p\d|mean|max", row.metric) is not None,
                "one": _estimate(row.one),
                "other": _estimate(row.other),
                "ratio": _estimate(row.ratio),
                "finding": str(row.finding),
            }
            for row in compared
        ],
        "settings": side_by_side(first, second),
    }


def _estimate(estimate: Estimate) -> dict[str, float | None]:
    return {name: finite(value) for name, value in asdict(estimate).items()}
