"""A dataset's name and the folders to search in, its parquet files out."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inference_swarm.errors import DataError

# In this order, below the folder of the checkout (or the working directory of a container).
DEFAULT_SEARCH_ROOTS: Final = (Path("locust/test_files/splits"), Path("experiment-results/splits"))
FEATURES_FILE: Final = "X_test.parquet"
LABELS_FILE: Final = "y_test.parquet"
_TRAIN: Final = "run `scripts/start.sh train`, which makes the splits of all four datasets"


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """Where a dataset's rows lie, and the expected answers if there are any."""

    features: Path
    labels: Path | None


def find_dataset(dataset_name: str, search_roots: Sequence[Path] = DEFAULT_SEARCH_ROOTS) -> DatasetFiles:
    """The first root that has `<dataset_name>/X_test.parquet` wins. DataError names every place looked in."""
    if not is_dataset_name(dataset_name):
        raise DataError(
            f"Dataset name {dataset_name!r} is not the name of a folder.",
            expected="a name without slashes, backslashes or control characters, other than `.` and `..`.",
            action="give the name only; a file or URL elsewhere has an option of its own.",
        )
    looked_at = [root / dataset_name / FEATURES_FILE for root in search_roots]
    for features in looked_at:
        if features.is_file():
            labels = features.with_name(LABELS_FILE)
            return DatasetFiles(features, labels if labels.is_file() else None)
    available = list_datasets(search_roots)
    nearest = difflib.get_close_matches(dataset_name, available, n=1)
    action = f"{_TRAIN}, or put the file at the first place."
    if nearest:
        action = f"use {nearest[0]!r} if that was meant; or {action}"
    elif available:
        action = f"use one of {', '.join(available)}; or {action}"
    raise DataError(
        f"There is no data for the dataset {dataset_name!r}.",
        expected=" or ".join(str(path) for path in looked_at) + ".",
        action=action,
    )


def list_datasets(search_roots: Sequence[Path] = DEFAULT_SEARCH_ROOTS) -> list[str]:
    """Names of all datasets that `find_dataset` finds, sorted; for the choices of the start form."""
    found = {
        features.parent.name for root in search_roots if root.is_dir() for features in root.glob(f"*/{FEATURES_FILE}")
    }
    return sorted(name for name in found if is_dataset_name(name))


def is_dataset_name(name: str) -> bool:
    """Whether the name stays inside the folder that it is looked up in."""
    return bool(name.strip()) and name not in (".", "..") and name.isprintable() and not set(name) & set("/\\")
