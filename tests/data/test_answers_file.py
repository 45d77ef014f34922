"""Recorded answers: what is written is read, beside the rows that it was recorded for, and nothing else is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inference_swarm.data.answers_file import about_of, with_answers, write_answers
from inference_swarm.data.dataset import read_manifest
from inference_swarm.data.manifest import Manifest
from inference_swarm.data.manifest_wire import manifest_from_wire, manifest_to_wire
from inference_swarm.data.truth import RowTruth, iter_with_truth
from inference_swarm.errors import DataError
from tests.apis.sent_bodies import settings_of

ROWS = 100


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    pq.write_table(pa.table({"a": range(ROWS), "b": range(ROWS)}), tmp_path / "x.parquet", row_group_size=30)
    pq.write_table(pa.table({"y": [row % 3 for row in range(ROWS)]}), tmp_path / "y.parquet", row_group_size=70)
    return read_manifest(str(tmp_path / "x.parquet"), str(tmp_path / "y.parquet"), 8)


def truths(manifest: Manifest, answers: list[Any], path: Path) -> list[RowTruth]:
    """Write answers, and read them as workers do that got the manifest in a message, some blocks each."""
    about = about_of(settings_of(), manifest)
    write_answers(path, about, answers)
    known = manifest_from_wire(manifest_to_wire(with_answers(manifest, str(path), about)))
    found = {}
    for part in (known.blocks[::2], known.blocks[1::2]):
        for block, _, truth in iter_with_truth(known, part):
            assert truth is not None
            found.update({block.first_row + place: truth.rows[place][0] for place in range(block.rows)})
    return [found[row] for row in range(ROWS)]


@pytest.mark.parametrize(
    "answers",
    [
        list(range(ROWS)),
        [row / 7 for row in range(ROWS)],
        [f"class {row % 4}" for row in range(ROWS)],
        [[row / 100, 1 - row / 100] for row in range(ROWS)],
        [row % 2 == 0 for row in range(ROWS)],
        [None if row == 3 else row / 7 for row in range(ROWS)],
        [{"p": row / 7, "label": "é"} for row in range(ROWS)],
        [row if row % 2 else f"{row}" for row in range(ROWS)],
        [row if row % 2 else row / 3 for row in range(ROWS)],
        [[1, "a"], None, [2, "b"], *[[row, None] for row in range(3, ROWS)]],
        [2**53 + 1 if row else 0.5 for row in range(ROWS)],
    ],
    ids=["whole", "fractions", "texts", "lists", "flags", "nulls", "objects", "mixed", "numbers", "ragged", "large"],
)
def test_every_worker_reads_the_answers_of_its_rows(manifest: Manifest, answers: list[Any], tmp_path: Path) -> None:
    assert truths(manifest, answers, tmp_path / "new" / "answers.parquet") == [
        RowTruth(row % 3, answer) for row, answer in enumerate(answers)
    ]
    written = pq.read_table(tmp_path / "new" / "answers.parquet")
    assert written.column("row").to_pylist() == list(range(ROWS))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["answers.parquet"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "other"}, "--model: catboost recorded, other now"),
        ({"api": "mlflow", "pred_method": "predict"}, "--api: invocation recorded, mlflow now"),
        ({"pred_method": "predict_proba"}, "--pred-method: none recorded, predict_proba now"),
        ({"path": "/v2?key=secret"}, "--path: none recorded, /v2 now"),
    ],
)
def test_answers_of_another_model_or_api_are_refused(
    manifest: Manifest, changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "answers.parquet"
    write_answers(path, about_of(settings_of(model="catboost"), manifest), list(range(ROWS)))
    with pytest.raises(DataError) as refused:
        with_answers(manifest, str(path), about_of(settings_of(**{"model": "catboost", **changes}), manifest))
    assert said in str(refused.value)
    assert "record it again with --record-answers" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_answers_to_other_rows_are_refused(manifest: Manifest, tmp_path: Path) -> None:
    path, settings = tmp_path / "answers.parquet", settings_of()
    write_answers(path, about_of(settings, manifest), list(range(ROWS)))
    pq.write_table(pa.table({"a": range(ROWS + 1), "b": range(ROWS + 1)}), tmp_path / "x.parquet")
    other = read_manifest(str(tmp_path / "x.parquet"))
    with pytest.raises(DataError, match=r"rows: 100 recorded, 101 now; data \(fingerprint\): [0-9a-f]{32} recorded"):
        with_answers(other, str(path), about_of(settings, other))
    fewer = {**about_of(settings, manifest), "columns": ["a"]}
    with pytest.raises(DataError, match="columns that are sent: a, b recorded, a now"):
        with_answers(manifest, str(path), fewer)
    write_answers(path, about_of(settings, manifest), list(range(ROWS - 1)))
    with pytest.raises(DataError, match="rows: 99 in the file, 100 in the data"):
        with_answers(manifest, str(path), about_of(settings, manifest))


def test_a_file_of_something_else_is_refused(manifest: Manifest, tmp_path: Path) -> None:
    for name in ("x.parquet", "y.parquet"):
        with pytest.raises(DataError, match="is not a file of recorded answers") as refused:
            with_answers(manifest, str(tmp_path / name), about_of(settings_of(), manifest))
        assert "labels are for --labels" in str(refused.value)
    with pytest.raises(DataError, match="nowhere"):
        with_answers(manifest, str(tmp_path / "nowhere.parquet"), about_of(settings_of(), manifest))
