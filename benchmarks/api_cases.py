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
    "bentoml", "tf-serving", "azureml", "seldon-v1", "template",
)  # fmt: skip
TEMPLATE = '{"columns": {{columns}}}'


def settings_of(case: str) -> dict[str, Any]:
    """What is set for a case, by the names of settings."""
    binary = case.endswith("-binary")
    changes: dict[str, Any] = {"api": case.removesuffix("-binary"), "model": "m", "binary": binary}
    return changes | ({"template": TEMPLATE} if case == "template" else {})


def arguments_of(case: str) -> list[str]:
    """The same as arguments of a command line."""
    set_ = settings_of(case)
    binary = ["--binary"] if set_.pop("binary") else []
    return [*(text for name, value in set_.items() for text in (f"--{name}", value)), *binary]


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
    made = format_of(case, table.schema, batch_size)
    stored = [text for part in made.encode(table) for text in part.to_pylist()]
    return statistics.fmean(
        len(made.body_of(stored[first : first + batch_size])) for first in range(0, len(stored), batch_size)
    )
