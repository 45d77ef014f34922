"""The APIs as the benchmarks measure them: settings, arguments, and what a table of rows becomes."""

from __future__ import annotations

import importlib
import statistics
import sys
from pathlib import Path
from typing import Any

LOCUST = Path(__file__).resolve().parents[1] / "locust"
CASES = (
    "invocation", "mlflow", "kserve-v1", "open-inference", "open-inference-binary", "sagemaker-csv", "sagemaker-json",
    "bentoml", "tf-serving", "azureml", "seldon-v1", "template", "open-inference-matrix",
    "open-inference-matrix-binary",
)  # fmt: skip
TEMPLATE = '{"columns": {{columns}}}'
BINARY, MATRIX = "-binary", "-matrix"


def settings_of(case: str) -> dict[str, Any]:
    """What is set for a case, by the names of settings."""
    named = case.removesuffix(BINARY)
    changes: dict[str, Any] = {"api": named.removesuffix(MATRIX), "model": "m", "binary": named != case}
    if named.endswith(MATRIX):
        changes |= {"api_params": "matrix=input", "column_types": "input=FP32"}
    return changes | ({"template": TEMPLATE} if case == "template" else {})


def sent_of(case: str, table: Any) -> Any:
    """The part of a table that a case sends: a matrix takes numbers only."""
    if MATRIX not in case:
        return table
    return table.select([field.name for field in table.schema if str(field.type) != "string"])


def arguments_of(case: str, table: Any) -> list[str]:
    """What is set for a case as arguments of a command line, for a file with the columns of this table."""
    flags = {"api_params": "--api-param", "column_types": "--column-type"}
    set_ = settings_of(case)
    binary = ["--binary"] if set_.pop("binary") else []
    columns = ["--columns", ",".join(sent_of(case, table).column_names)] if MATRIX in case else []
    named = (text for name, value in set_.items() for text in (flags.get(name, f"--{name}"), value))
    return [*named, *binary, *columns]


def format_of(case: str, schema: Any, batch_size: int = 1, **changes: Any) -> Any:
    """How rows of that schema become bodies: `encode`, `join`, `body_of`."""
    if str(LOCUST) not in sys.path:
        sys.path.insert(0, str(LOCUST))
    options = importlib.import_module("inference_swarm.config.options").OPTIONS
    settings = importlib.import_module("inference_swarm.config.settings").Settings
    values = {option.name: option.default for option in options} | settings_of(case) | changes
    return importlib.import_module("inference_swarm.apis.table").request_format(settings(**values), schema, batch_size)


def mean_body_bytes(case: str, table: Any, batch_size: int = 1) -> float:
    """The mean length of the bodies of a table's rows."""
    table = sent_of(case, table)
    made = format_of(case, table.schema, batch_size)
    stored = [text for part in made.encode(table) for text in part.to_pylist()]
    return statistics.fmean(
        len(made.body_of(stored[first : first + batch_size])) for first in range(0, len(stored), batch_size)
    )
