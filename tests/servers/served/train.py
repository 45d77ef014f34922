"""Trains the stroke data in a model server's own environment, and writes down what the model itself predicts.

    python train.py CSV FOLDER

FOLDER gets `model.joblib`, a scikit-learn pipeline, and `expected.json`: for each row of the file, in its order, what
`predict` and `predict_proba` return. Knows nothing of any server.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import joblib
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

LABEL = "stroke"
NO_FEATURES = ["id", LABEL]
WORDS = ["gender", "ever_married", "work_type", "Residence_type", "smoking_status"]


def read_rows(csv: Path) -> tuple[pd.DataFrame, pd.Series]:
    """The features, as X_test.parquet has them, and the labels."""
    frame = pd.read_csv(csv, na_values=["N/A"], keep_default_na=False)
    return frame.drop(columns=NO_FEATURES), frame[LABEL]


def main(csv: Path, folder: Path) -> None:
    rows, labels = read_rows(csv)
    numbers = [name for name in rows.columns if name not in WORDS]
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
            ("words", OneHotEncoder(handle_unknown="ignore"), WORDS),
        ]
    )
    # Balanced, or it would predict 0 for nearly every row, and equal predictions would prove little.
    model = make_pipeline(columns, LogisticRegression(class_weight="balanced", max_iter=1000)).fit(rows, labels)
    joblib.dump(model, folder / "model.joblib")
    expected = {method: getattr(model, method)(rows).tolist() for method in ("predict", "predict_proba")}
    (folder / "expected.json").write_text(json.dumps(expected), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
