"""Settings in, the files to send out: what `--data` names, else the X_test.parquet of the dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inference_swarm.config.settings import Settings
from inference_swarm.data.locate import find_dataset, list_datasets
from inference_swarm.data.manifest import BLOCK_ROWS, Manifest, read_manifest
from inference_swarm.errors import DataError

OWN_SPLITS = Path(__file__).resolve().parent.parent.parent / "test_files" / "splits"
# Blocks of a small dataset are smaller, so that it still spreads evenly over many workers. Each costs 2 ms to load.
WANTED_BLOCKS = 512
LEAST_BLOCKS = 64
LEAST_BLOCK_ROWS = 16


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows and labels are read from, as `read_manifest` takes it."""

    features: str
    labels: str | None


def search_roots(settings: Settings) -> tuple[Path, ...]:
    """Folders of datasets: the user's own beside the locustfile, then those that training makes."""
    return (OWN_SPLITS, Path(settings.results_dir) / "splits")


def find_source(settings: Settings) -> Source:
    """Raises DataError when there is nothing to send; looks at names only, not into files."""
    if settings.data:
        return Source(settings.data, settings.labels or None)
    roots = search_roots(settings)
    name = settings.dataset_name
    if not name:
        found = list_datasets(roots)
        if len(found) != 1:
            raise DataError(
                f"No dataset is chosen, and there are {len(found)}{': ' + ', '.join(found) if found else ''}.",
                expected=f"one dataset below {roots[0]} or {roots[1]}, or the name of one",
                action="give --dataset-name, set DATASET_NAME, or make data with `scripts/start.sh train`",
            )
        name = found[0]
    files = find_dataset(name, roots)
    return Source(str(files.features.absolute()), str(files.labels.absolute()) if files.labels else None)


def read_source(source: Source) -> Manifest:
    """The manifest, with blocks small enough for the rows there are. Reads footers only; may take a while."""
    manifest = read_manifest(source.features, source.labels)
    return manifest.with_block_rows(choose_block_rows(manifest.rows))


def choose_block_rows(rows: int) -> int:
    """Rows of a block for a dataset of so many rows."""
    return max(min(LEAST_BLOCK_ROWS, -(-rows // LEAST_BLOCKS)), min(BLOCK_ROWS, -(-rows // WANTED_BLOCKS)))
