"""Scores a model, keeps all scores in one CSV file and shows them as a table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from server.schema import Algorithm

COLUMNS = ("dataset", "model", "roc_auc", "accuracy", "train_s", "train_rows", "test_rows", "columns", "model_file")


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores on test data. `roc_auc` is one-versus-rest, weighted by class, if there are more than two classes."""

    roc_auc: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Trained:
    """The result of training one model."""

    dataset: str
    algorithm: Algorithm
    scores: Scores
    train_s: float
    train_rows: int
    test_rows: int
    columns: int
    path: Path


def score(codes: np.ndarray[Any, Any], probabilities: np.ndarray[Any, Any]) -> Scores:
    """`probabilities` has one column per class; `codes` are the true columns."""
    aucs, weights = [], []
    positives = range(1, 2) if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    for code in positives:
        aucs.append(_binary_auc(codes == code, probabilities[:, code]))
        weights.append(np.count_nonzero(codes == code))
    return Scores(
        roc_auc=float(np.average(aucs, weights=weights)),
        accuracy=float(np.mean(probabilities.argmax(axis=1) == codes)),
    )


def _binary_auc(is_positive: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> float:
    """The chance that a positive ranks above a negative (ties count half), by the rank sum."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives = int(np.count_nonzero(is_positive))
    negatives = len(values) - positives
    if not positives or not negatives:
        return float("nan")
    return float((ranks[is_positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def merge_metrics(path: Path, trained: Sequence[Trained]) -> list[dict[str, str]]:
    """Adds rows to the file, in place of older ones of the same dataset and model; returns all of its rows."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                rows[row.get("dataset", ""), row.get("model", "")] = {name: row.get(name) or "" for name in COLUMNS}
    for one in trained:
        rows[one.dataset, str(one.algorithm)] = {
            "dataset": one.dataset,
            "model": str(one.algorithm),
            "roc_auc": f"{one.scores.roc_auc:.4f}",
            "accuracy": f"{one.scores.accuracy:.4f}",
            "train_s": f"{one.train_s:.2f}",
            "train_rows": str(one.train_rows),
            "test_rows": str(one.test_rows),
            "columns": str(one.columns),
            "model_file": one.path.name,
        }
    ordered = [rows[key] for key in sorted(rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(ordered)
    return ordered


def table(rows: Sequence[dict[str, str]]) -> str:
    """The rows for a terminal: words to the left, numbers to the right."""
    shown = COLUMNS[:-1]
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in shown}
    lines = ["  ".join(_aligned(name, name, widths) for name in shown), "  ".join("-" * widths[name] for name in shown)]
    lines += ["  ".join(_aligned(row[name], name, widths) for name in shown) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _aligned(text: str, name: str, widths: dict[str, int]) -> str:
    return text.ljust(widths[name]) if name in ("dataset", "model") else text.rjust(widths[name])
