"""The two public files train and serve, where they are on this machine."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from fastapi.testclient import TestClient
from public_data import FOLDER

from server.app import create_app
from server.catalog import load_catalog
from server.train.__main__ import main as train
from tests.server.test_predictions import json_rows


@pytest.mark.parametrize(
    ("file", "target", "drop", "columns", "test_rows"),
    [
        ("healthcare-dataset-stroke-data.csv", "stroke", "id", 10, 1_022),
        ("UNSW_NB15_testing-set.csv", "label", "id,attack_cat", 42, 906),
    ],
)
def test_a_public_file_trains_and_every_test_row_is_answered(
    tmp_path: Path, file: str, target: str, drop: str, columns: int, test_rows: int
) -> None:
    if not (FOLDER / file).is_file():
        pytest.skip(f"{FOLDER / file} is not on this machine")
    options = ["--data", str(FOLDER / file), "--target", target, "--drop-cols", drop, "--positive-label", "1"]
    assert train([*options, "--results", str(tmp_path)]) == 0
    name = Path(file).stem
    frame = pd.read_parquet(tmp_path / "splits" / name / "X_test.parquet")
    assert frame.shape == (test_rows, columns)
    rows = json_rows(frame)
    labels = pd.read_parquet(tmp_path / "splits" / name / "y_test.parquet")[target]
    with TestClient(create_app(load_catalog(tmp_path / "models", "all", "all"))) as client:
        for model in ("catboost", "lgbm", "xgboost"):
            answers = [client.post(f"/invocation?model={model}", json=row) for row in rows[:60]]
            assert {answer.status_code for answer in answers} == {200}
            batch = client.post(f"/invocation?model={model}", json=rows).json()["predictions"]
            assert [answer.json()["predictions"][0] for answer in answers] == batch[:60]
            assert (pd.Series(batch) == labels).mean() > 0.94
            proba = client.post(f"/invocation?model={model}&method=predict_proba", json=rows).json()["predictions"]
            ranks = pd.Series([row[1] for row in proba])
            assert ranks[labels == 1].median() > ranks[labels == 0].median()
