"""The pipeline as a BentoML service with a method each for labels and probabilities; SERVED_FOLDER has the model."""

from __future__ import annotations

import os
from pathlib import Path

import bentoml
import joblib
import pandas as pd


@bentoml.service(workers=1)
class Stroke:
    def __init__(self) -> None:
        self._pipeline = joblib.load(Path(os.environ["SERVED_FOLDER"]) / "model.joblib")

    @bentoml.api
    def predict(self, df: pd.DataFrame) -> list[int]:
        labels: list[int] = self._pipeline.predict(df).tolist()
        return labels

    @bentoml.api
    def predict_proba(self, df: pd.DataFrame) -> list[list[float]]:
        probabilities: list[list[float]] = self._pipeline.predict_proba(df).tolist()
        return probabilities
