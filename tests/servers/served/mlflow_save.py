"""Saves the trained pipeline as mlflow serves it: python mlflow_save.py CSV FOLDER makes FOLDER/mlflow."""

from __future__ import annotations

import sys
from pathlib import Path

import mlflow.pyfunc
from mlflow.models import infer_signature
from train import read_rows


def main(csv: Path, folder: Path) -> None:
    rows, labels = read_rows(csv)
    mlflow.pyfunc.save_model(
        folder / "mlflow",
        python_model=str(Path(__file__).with_name("mlflow_model.py")),
        artifacts={"pipeline": str(folder / "model.joblib")},
        signature=infer_signature(rows, labels, params={"method": "predict"}),
        pip_requirements=[],
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
