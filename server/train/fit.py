"""Trains one of the three libraries on splits and writes its own format plus the sidecar."""

from __future__ import annotations

import datetime
import decimal
import importlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from server.models import library_version, model_files, save_schema
from server.openmp import load_openmp
from server.schema import Algorithm, Column, ModelSchema, category_positions
from server.train.frames import class_codes, infer_columns, model_frame
from server.train.metrics import Trained, score
from server.train.splits import Splits

_ROUNDS = 60
_DEPTH = 5
_LEARNING_RATE = 0.12


@dataclass(frozen=True, slots=True)
class Task:
    """The training data of a library, the rows to predict afterwards, and the place of its model."""

    x_train: pd.DataFrame
    y_train: np.ndarray[Any, Any]
    x_test: pd.DataFrame
    columns: tuple[Column, ...]
    class_count: int
    seed: int
    path: Path


def fit(splits: Splits, algorithm: Algorithm, folder: Path, seed: int) -> Trained:
    """Trains, writes the model and its sidecar into `folder`, and scores it on the test part."""
    everything = pd.concat([splits.x_train, splits.x_test], ignore_index=True)
    columns = infer_columns(everything, splits.x_train)
    as_text = algorithm is Algorithm.CATBOOST
    x_train = model_frame(splits.x_train, columns, categories_as_text=as_text)
    x_test = model_frame(splits.x_test, columns, categories_as_text=as_text)
    y_train, y_test = (class_codes(labels, splits.classes) for labels in (splits.y_train, splits.y_test))
    files = model_files(folder, splits.dataset, algorithm)
    folder.mkdir(parents=True, exist_ok=True)
    files.schema.unlink(missing_ok=True)  # a model without it counts as missing: half of one is never served
    _import_library(algorithm)  # seconds that are not training
    started = time.perf_counter()
    probabilities = _FITTERS[algorithm](Task(x_train, y_train, x_test, columns, len(splits.classes), seed, files.model))
    train_s = time.perf_counter() - started
    save_schema(
        files.schema,
        ModelSchema(
            dataset=splits.dataset,
            algorithm=algorithm,
            library=library_version(algorithm),
            source=splits.source,
            seed=seed,
            target=splits.target,
            classes=splits.classes,
            columns=columns,
            example=example_row(splits.x_test),
            train_rows=len(splits.x_train),
        ),
    )
    return Trained(
        dataset=splits.dataset,
        algorithm=algorithm,
        scores=score(y_test, probabilities),
        train_s=train_s,
        train_rows=len(splits.x_train),
        test_rows=len(splits.x_test),
        columns=len(columns),
        path=files.model,
    )


def _import_library(algorithm: Algorithm) -> None:
    if algorithm is Algorithm.LGBM:
        load_openmp()
    importlib.import_module({"catboost": "catboost", "lgbm": "lightgbm", "xgboost": "xgboost"}[algorithm.value])


def example_row(frame: pd.DataFrame) -> dict[str, Any]:
    """The first row as JSON values, for the documentation page."""
    return {str(name): _json_value(frame[name].iloc[0]) for name in frame.columns}


def _json_value(value: Any) -> Any:
    if pd.isna(value):
        return None
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    return value.item() if isinstance(value, np.generic) else value


def _threads() -> int:
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)


def _fit_catboost(task: Task) -> np.ndarray[Any, Any]:
    import catboost

    model = catboost.CatBoostClassifier(
        iterations=_ROUNDS,
        depth=_DEPTH,
        learning_rate=_LEARNING_RATE,
        loss_function="Logloss" if task.class_count == 2 else "MultiClass",
        max_ctr_complexity=1,
        random_seed=task.seed,
        thread_count=_threads(),
        allow_writing_files=False,
        verbose=False,
    )
    model.fit(task.x_train, task.y_train, cat_features=category_positions(task.columns))
    model.save_model(str(task.path), format="cbm")
    probabilities: np.ndarray[Any, Any] = model.predict_proba(task.x_test)
    return probabilities


def _fit_lightgbm(task: Task) -> np.ndarray[Any, Any]:
    import lightgbm

    parameters: dict[str, Any] = {
        "objective": "binary" if task.class_count == 2 else "multiclass",
        "num_leaves": 15,
        "learning_rate": _LEARNING_RATE,
        "seed": task.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": _threads(),
        "verbose": -1,
    }
    if task.class_count > 2:
        parameters["num_class"] = task.class_count
    booster = lightgbm.train(parameters, lightgbm.Dataset(task.x_train, task.y_train), num_boost_round=_ROUNDS)
    booster.save_model(task.path)
    return _two_columns(booster.predict(task.x_test))


def _fit_xgboost(task: Task) -> np.ndarray[Any, Any]:
    import xgboost

    parameters: dict[str, Any] = {
        "objective": "binary:logistic" if task.class_count == 2 else "multi:softprob",
        "max_depth": _DEPTH,
        "learning_rate": _LEARNING_RATE,
        "tree_method": "hist",
        "seed": task.seed,
        "nthread": _threads(),
        "verbosity": 1,
    }
    if task.class_count > 2:
        parameters["num_class"] = task.class_count
    booster = xgboost.train(
        parameters, xgboost.DMatrix(task.x_train, task.y_train, enable_categorical=True), num_boost_round=_ROUNDS
    )
    booster.save_model(task.path)
    return _two_columns(booster.predict(xgboost.DMatrix(task.x_test, enable_categorical=True)))


def _two_columns(probabilities: Any) -> np.ndarray[Any, Any]:
    values = np.asarray(probabilities)
    return np.column_stack([1 - values, values]) if values.ndim == 1 else values


_FITTERS = {
    Algorithm.CATBOOST: _fit_catboost,
    Algorithm.LGBM: _fit_lightgbm,
    Algorithm.XGBOOST: _fit_xgboost,
}
