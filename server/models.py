"""Model files in their libraries' own formats, never pickle: save, find, load, predict one row or many.

The libraries are imported when a model of theirs is loaded. One thread a prediction: a server's parallelism is its
processes, and starting threads for one row costs more than the prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pydantic

from server.encoding import Feature, RowEncoder
from server.errors import PROGRAM, SetupError
from server.openmp import load_openmp
from server.rows import read_rows
from server.schema import Algorithm, Label, ModelSchema, category_positions

SCHEMA_SUFFIX = ".schema.json"
_PACKAGES = {
    Algorithm.CATBOOST: ("catboost",),
    Algorithm.LGBM: ("lightgbm",),
    Algorithm.XGBOOST: ("xgboost-cpu", "xgboost"),
}


class Predictor(Protocol):
    """Features of rows in; for two classes the positive probability of each row, otherwise one list a row."""

    def __call__(self, rows: list[list[Feature]]) -> npt.NDArray[np.floating[Any]]: ...


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where one model lies."""

    model: Path
    schema: Path


def model_files(folder: Path, dataset: str, algorithm: Algorithm) -> ModelFiles:
    """The paths of a model, existing or not."""
    stem = f"{dataset}_{algorithm.file_name_part}"
    return ModelFiles(folder / f"{stem}{algorithm.suffix}", folder / f"{stem}{SCHEMA_SUFFIX}")


def find_models(folder: Path) -> dict[tuple[str, Algorithm], ModelFiles]:
    """Every model in `folder` that has both its files, by dataset and algorithm."""
    found = {}
    for schema in sorted(folder.glob(f"*{SCHEMA_SUFFIX}")):
        stem = schema.name.removesuffix(SCHEMA_SUFFIX)
        for algorithm in Algorithm:
            dataset = stem.removesuffix(f"_{algorithm.file_name_part}")
            if dataset != stem and (files := model_files(folder, dataset, algorithm)).model.is_file():
                found[dataset, algorithm] = files
    return found


def library_version(algorithm: Algorithm) -> str:
    """Package and version that trained the model, for the sidecar."""
    for package in _PACKAGES[algorithm]:
        try:
            return f"{package} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            continue
    return f"{_PACKAGES[algorithm][0]} (not installed)"


def save_schema(path: Path, schema: ModelSchema) -> None:
    """Writes the sidecar."""
    path.write_text(schema.model_dump_json(indent=1) + "\n", encoding="utf-8")


def load_schema(path: Path) -> ModelSchema:
    """Reads the sidecar; raises SetupError when it is not one."""
    try:
        return ModelSchema.model_validate_json(path.read_bytes())
    except (OSError, pydantic.ValidationError) as error:
        reason = str(error).splitlines()
        raise SetupError(
            f"{path} cannot be used: {' '.join(line.strip() for line in reason[:3])}",
            expected="the description that training writes beside each model.",
            action=f"train this model again: {PROGRAM} train.",
        ) from None


class ServedModel:
    """A loaded model: request body in, predictions out."""

    def __init__(self, schema: ModelSchema, predictor: Predictor) -> None:
        self.schema = schema
        self.name = f"{schema.dataset}/{schema.algorithm}"
        self.names = tuple(column.name for column in schema.columns)
        self._predictor = predictor
        self._encoder = RowEncoder(schema.columns, categories_as_text=schema.algorithm is Algorithm.CATBOOST)
        self._is_binary = len(schema.classes) == 2

    def features(self, body: bytes) -> list[list[Feature]]:
        """The body's rows as model features; raises RequestError."""
        return self.encode(read_rows(body, self.names))

    def encode(self, rows: list[list[Any]]) -> list[list[Feature]]:
        """Rows of JSON values in column order as model features; raises RequestError."""
        return [self._encoder.encode(row, number) for number, row in enumerate(rows)]

    def call(self, method: str, rows: list[list[Feature]]) -> list[Label] | list[list[float]]:
        """Return the result of `method` for the rows: `predict`, or `predict_proba`."""
        return self.predict(rows) if method == "predict" else self.predict_proba(rows)

    def predict(self, rows: list[list[Feature]]) -> list[Label]:
        """The most probable class of every row, as the label that the target column had."""
        classes = self.schema.classes
        if self._is_binary:
            return [classes[probability > 0.5] for probability in self._predictor(rows).tolist()]
        return [classes[code] for code in self._predictor(rows).argmax(axis=1).tolist()]

    def predict_proba(self, rows: list[list[Feature]]) -> list[list[float]]:
        """The probabilities of every row, in the order of `schema.classes`."""
        probabilities: list[Any] = self._predictor(rows).tolist()
        return [[1.0 - value, value] for value in probabilities] if self._is_binary else probabilities


def load_model(files: ModelFiles) -> ServedModel:
    """Loads a model and its sidecar; raises SetupError when either cannot be read."""
    schema = load_schema(files.schema)
    try:
        predictor = _LOADERS[schema.algorithm](files.model, schema)
    except SetupError:
        raise
    except Exception as error:  # the libraries raise their own types; whatever it is, the file is of no use
        raise SetupError(
            f"{files.model} cannot be loaded: {' '.join(str(error).split())[:200]}",
            expected=f"a model as {schema.library} writes it.",
            action=f"train this model again: {PROGRAM} train.",
        ) from error
    return ServedModel(schema, predictor)


def _load_catboost(path: Path, schema: ModelSchema) -> Predictor:
    import catboost

    model = catboost.CatBoost()
    model.load_model(str(path), format="cbm")
    categories = category_positions(schema.columns)
    is_binary = len(schema.classes) == 2

    def predict(rows: list[list[Feature]]) -> npt.NDArray[np.floating[Any]]:
        pool = catboost.Pool(rows, cat_features=categories, thread_count=1)
        probabilities: npt.NDArray[np.floating[Any]] = model.predict(
            pool, prediction_type="Probability", thread_count=1
        )
        return probabilities[:, 1] if is_binary else probabilities

    return predict


def _load_lightgbm(path: Path, schema: ModelSchema) -> Predictor:
    load_openmp()
    import lightgbm

    booster = lightgbm.Booster(model_file=path)

    def predict(rows: list[list[Feature]]) -> npt.NDArray[np.floating[Any]]:
        return np.asarray(booster.predict(np.array(rows, dtype=np.float64), num_threads=1))

    return predict


def _load_xgboost(path: Path, schema: ModelSchema) -> Predictor:
    import xgboost

    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(path)
    booster.set_param({"nthread": 1})

    def predict(rows: list[list[Feature]]) -> npt.NDArray[np.floating[Any]]:
        answer: npt.NDArray[np.floating[Any]] = booster.inplace_predict(
            np.array(rows, dtype=np.float32), validate_features=False
        )
        return answer

    return predict


_LOADERS = {
    Algorithm.CATBOOST: _load_catboost,
    Algorithm.LGBM: _load_lightgbm,
    Algorithm.XGBOOST: _load_xgboost,
}
