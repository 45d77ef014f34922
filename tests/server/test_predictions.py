"""The row path of the server answers what the library answers for the whole DataFrame."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from server.catalog import Catalog
from server.models import model_files
from server.schema import Algorithm, ModelSchema
from server.train.frames import model_frame
from tests.server.conftest import Trained

DATASETS = ("kinds", "triple")


def json_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as strict JSON would bring them, made independently of the server: null for everything missing."""

    def plain(value: Any) -> Any:
        if pd.isna(value):
            return None
        if hasattr(value, "isoformat"):
            return value.isoformat()
        return value.item() if isinstance(value, np.generic) else value

    rows = [{name: plain(frame[name].iloc[i]) for name in frame.columns} for i in range(len(frame))]
    strict: list[dict[str, Any]] = json.loads(json.dumps(rows, allow_nan=False))
    return strict


def library_probabilities(models: Path, schema: ModelSchema, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    """The library's own prediction of the DataFrame from the model file."""
    features = model_frame(frame, schema.columns, categories_as_text=schema.algorithm is Algorithm.CATBOOST)
    path = model_files(models, schema.dataset, schema.algorithm).model
    if schema.algorithm is Algorithm.CATBOOST:
        import catboost

        return np.asarray(catboost.CatBoostClassifier().load_model(str(path)).predict_proba(features))
    if schema.algorithm is Algorithm.LGBM:
        import lightgbm

        values = np.asarray(lightgbm.Booster(model_file=path).predict(features))
    else:
        import xgboost

        values = xgboost.Booster(model_file=path).predict(xgboost.DMatrix(features, enable_categorical=True))
    return np.column_stack([1 - values, values]) if values.ndim == 1 else values


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("model", [str(key) for key in Algorithm])
def test_single_rows_and_batches_answer_what_the_library_answers_for_the_frame(
    client: TestClient, trained: Trained, dataset: str, model: str
) -> None:
    schema = trained.catalog.models[dataset, model].schema
    frame = pd.read_parquet(trained.results / "splits" / dataset / "X_test.parquet")
    expected = library_probabilities(trained.results / "models", schema, frame)
    assert np.ptp(expected[:, 0]) > 0.2  # the model learned something, so that equal answers mean something
    rows = json_rows(frame)
    url = f"/invocation?dataset={dataset}&model={model}"
    batch = client.post(f"{url}&method=predict_proba", json=rows).json()["predictions"]
    singles = [client.post(f"{url}&method=predict_proba", json=row).json()["predictions"][0] for row in rows[:40]]
    labels = client.post(url, json=rows).json()["predictions"]
    np.testing.assert_allclose(batch, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(singles, expected[:40], rtol=1e-5, atol=1e-7)
    assert labels == [schema.classes[code] for code in expected.argmax(axis=1)]
    assert all(math.isclose(sum(row), 1, rel_tol=1e-5) for row in batch)


def test_four_body_shapes_and_any_content_type_give_the_same_answer(client: TestClient, trained: Trained) -> None:
    rows = json_rows(pd.read_parquet(trained.results / "splits" / "kinds" / "X_test.parquet").head(3))
    url = "/invocation?dataset=kinds&model=lgbm&method=predict_proba"
    names = list(rows[0])[::-1]
    as_list = client.post(url, json=rows).json()["predictions"]
    assert len(as_list) == 3
    assert client.post(url, json=rows[1]).json()["predictions"] == as_list[1:2]
    assert client.post(url, json={"instances": rows}).json()["predictions"] == as_list
    split = {"columns": names, "data": [[row[name] for name in names] for row in rows]}
    assert client.post(url, json=split).json()["predictions"] == as_list
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/octet-stream", ""):
        answer = client.post(url, content=json.dumps(rows), headers={"Content-Type": kind})
        assert answer.json()["predictions"] == as_list


def test_labels_are_those_of_the_target_column(client: TestClient, trained: Trained) -> None:
    kinds = client.post("/invocation?dataset=kinds&model=xgboost", json=_example(trained.catalog, "kinds")).json()
    triple = client.post("/invocation?dataset=triple&model=catboost", json=_example(trained.catalog, "triple")).json()
    assert list(kinds) == ["predictions"]
    assert kinds["predictions"][0] in ("yes", "no")
    assert triple["predictions"][0] in (1, 2, 3)


@pytest.mark.parametrize("model", [str(key) for key in Algorithm])
def test_rows_with_only_nulls_unseen_categories_and_large_batches_are_answered(
    client: TestClient, trained: Trained, model: str
) -> None:
    example = _example(trained.catalog, "kinds")
    url = f"/invocation?dataset=kinds&model={model}"
    assert client.post(url, json=dict.fromkeys(example)).status_code == 200
    assert client.post(url, json=example | {"word": "never seen", "group": 77}).status_code == 200
    answer = client.post(url, json=[example] * 600)  # above the size that is answered in the event loop
    assert len(set(answer.json()["predictions"])) == 1
    assert len(answer.json()["predictions"]) == 600


def test_integer_columns_take_whole_floats_and_timestamps_take_iso_variants(
    client: TestClient, trained: Trained
) -> None:
    example = _example(trained.catalog, "kinds") | {"count": 4, "at": "2024-03-01T05:06:07", "day": "2024-03-01"}
    url = "/invocation?dataset=kinds&model=catboost&method=predict_proba"
    expected = client.post(url, json=example).json()
    for change in (
        {"count": 4.0},
        {"at": "2024-03-01 05:06:07.000"},
        {"at": "2024-03-01T05:06:07.000000000Z"},
        {"at": "2024-03-01T07:06:07+02:00"},
        {"day": "2024-03-01T00:00:00"},
    ):
        assert client.post(url, json=example | change).json() == expected


def _example(catalog: Catalog, dataset: str) -> dict[str, Any]:
    return catalog.models[dataset, "lgbm"].schema.example
