"""The pipeline as an mlflow model; the request has its method: {"params": {"method": "predict_proba"}}."""

from __future__ import annotations

from typing import Any

import joblib
import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext


class StrokeModel(PythonModel):  # type: ignore[misc]
    def load_context(self, context: PythonModelContext) -> None:
        self._pipeline = joblib.load(context.artifacts["pipeline"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> Any:
        method = (params or {}).get("method", "predict")
        return getattr(self._pipeline, method)(model_input)


mlflow.models.set_model(StrokeModel())
