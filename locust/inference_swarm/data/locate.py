"""Settings in, the source of a run's rows out: what `--data` names, else the X_test.parquet of the dataset."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from inference_swarm.config.load_options import COLUMNS
from inference_swarm.config.settings import Settings
from inference_swarm.data.captures import read_capture
from inference_swarm.data.columns import ColumnChoice
from inference_swarm.data.dataset import read_manifest
from inference_swarm.data.manifest import Manifest, choose_block_rows
from inference_swarm.errors import DataError
from inference_swarm.program import OWN_SPLITS, PROGRAM, TRAINED_SPLITS

# In this order, below the folder of the checkout (or the working directory of a container).
DEFAULT_SEARCH_ROOTS: Final = (Path("locust/test_files/splits"), Path("experiment-results/splits"))
FEATURES_FILE: Final = "X_test.parquet"
LABELS_FILE: Final = "y_test.parquet"
# File systems take 255; the folder of a run may get a number at its end.
MAX_NAME_BYTES: Final = 200
_TRAIN: Final = f"run `{PROGRAM} train`, which makes the splits of all four datasets"


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """Where a dataset's rows lie, and their labels if there are any."""

    features: Path
    labels: Path | None


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows and labels are read from, and which columns are sent."""

    features: str
    labels: str | None = None
    are_labels_used: bool = False
    are_labels_needed: bool = False
    """Whether data without usable labels are refused."""
    answers: str = ""
    """Answers that were recorded for the rows."""
    choice: ColumnChoice = field(default_factory=ColumnChoice)
    trace_format: str = COLUMNS
    """Of a capture, whose rows are recorded requests: its format."""

    @property
    def has_labels(self) -> bool:
        """True when there is a file or a column of labels."""
        return bool(self.labels or self.choice.label)


def search_roots(results_dir: str) -> tuple[Path, ...]:
    """Folders of datasets: the user's own beside the locustfile, then those that training makes.

    Where results go does not decide which data there are: the default folder counts beside the one that is named.
    """
    roots = (OWN_SPLITS, Path(results_dir) / "splits", TRAINED_SPLITS)
    first_names: dict[Path, Path] = {}
    for root in roots:
        first_names.setdefault(root.resolve(), root)
    return tuple(first_names.values())


def find_source(settings: Settings, *, are_labels_needed: bool = False) -> Source:
    """Find the source of rows, by names only, without reading files. Raises DataError when there is nothing to send.

    Labels that lie beside a dataset are used when they are needed or answers are checked anyway; until then they are
    only looked at.
    """
    choice = ColumnChoice.of_settings(
        settings.columns, settings.drop_columns, settings.rename, settings.label_column, settings.time_column
    )
    if settings.data:
        return _source(settings, settings.data, settings.labels or None, choice, are_labels_needed=are_labels_needed)
    roots = search_roots(settings.results_dir)
    name = settings.dataset_name
    if not name:
        found = list_datasets(roots)
        if len(found) != 1:
            raise DataError(
                f"No data is chosen, and there are {len(found)} datasets{': ' + ', '.join(found) if found else ''}.",
                expected=f"--data, or one dataset below {roots[0]} or {roots[1]}, or the name of one",
                action=f"give --data or --dataset-name (SWARM_DATA, DATASET_NAME), or make data with `{PROGRAM} train`",
            )
        name = found[0]
    files = find_dataset(name, roots)
    labels = settings.labels or (str(files.labels.absolute()) if files.labels and not choice.label else None)
    return _source(settings, str(files.features.absolute()), labels, choice, are_labels_needed=are_labels_needed)


def _source(
    settings: Settings, features: str, labels: str | None, choice: ColumnChoice, *, are_labels_needed: bool
) -> Source:
    are_answers_checked = settings.checks_answers or bool(settings.expect_answers)
    is_needed = bool(settings.labels) or are_labels_needed
    return Source(
        features,
        labels,
        is_needed or are_answers_checked,
        is_needed,
        settings.expect_answers,
        choice,
        settings.trace_format,
    )


def read_source(source: Source) -> Manifest:
    """The manifest, with blocks small enough for the rows and columns there are. May take a while."""
    if source.trace_format != COLUMNS:
        manifest = read_capture(source.features, source.trace_format, source.choice.instant)
    else:
        manifest = read_manifest(
            source.features,
            source.labels,
            choice=source.choice,
            are_labels_used=source.are_labels_used,
            are_labels_needed=source.are_labels_needed,
        )
    return manifest.with_block_rows(choose_block_rows(manifest.rows, len(manifest.schema)))


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
    action = f"name a file of your own with --data, {_TRAIN}, or put the file at the first place."
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
    """Return whether the name stays inside its folder and is valid in a file system."""
    is_short = len(name.encode(errors="replace")) <= MAX_NAME_BYTES
    is_inside = name not in (".", "..") and not set(name) & set("/\\")
    return bool(name.strip()) and is_inside and is_short and name.isprintable()
