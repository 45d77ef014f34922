"""Two runs of the results folder compared for the page: the result of export/comparison.py as a document."""

from __future__ import annotations

import math
from dataclasses import asdict

from inference_swarm.config.documents import Document
from inference_swarm.export.comparison import ComparedRuns, compare_saved, conclusion
from inference_swarm.export.saved_run import read_run
from inference_swarm.judge.compare import CONFIDENCE, Estimate
from inference_swarm.web.runs import RunArchive


def compare_in(archive: RunArchive, one: str, other: str) -> ComparedRuns:
    """Compare two runs by the names of their folders. Raises DataError."""
    return compare_saved(read_run(archive.folder(one)), read_run(archive.folder(other)))


def comparison_document(compared: ComparedRuns) -> Document:
    """Each metric with its confidence interval and a result, what else differs, and a sentence on the whole."""
    return {
        "one": compared.one.summary["run"],
        "other": compared.other.summary["run"],
        "conclusion": conclusion(compared),
        "differences": list(compared.differences),
        "confidence": CONFIDENCE,
        "metrics": [
            {
                "metric": row.metric,
                "one": _estimate(row.one),
                "other": _estimate(row.other),
                "ratio": _estimate(row.ratio),
                "result": str(row.result),
            }
            for row in compared.metrics
        ],
    }


def _estimate(estimate: Estimate) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in asdict(estimate).items()}
