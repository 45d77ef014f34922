"""Real model servers: an environment for each, the stroke data trained in it, and servers that end with their test."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from public_data import FOLDER
from real_servers import SERVED, RealServer, run_in, serve
from server_environments import environment_of

STROKE = FOLDER / "healthcare-dataset-stroke-data.csv"
NO_FEATURES = ["id", "stroke"]


@dataclass(frozen=True, slots=True)
class Trained:
    """A server's environment, its folder with the model, and what the model itself predicts for each row."""

    environment: Path
    folder: Path
    expected: dict[str, list[Any]]


@pytest.fixture(scope="session")
def stroke_csv() -> Path:
    """Skips without the file, but never in CI."""
    if not STROKE.is_file():
        reason = f"{STROKE} is not on this machine"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return STROKE


@pytest.fixture(scope="session")
def stroke_rows(stroke_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The features of the whole file, with their types and nulls, as parquet."""
    options = pa_csv.ConvertOptions(null_values=["N/A"], strings_can_be_null=False)
    table = pa_csv.read_csv(stroke_csv, convert_options=options).drop_columns(NO_FEATURES)
    assert table.num_rows == 5_110
    assert table.column("bmi").null_count == 201
    assert {str(kind) for kind in table.schema.types} == {"int64", "double", "string"}
    path = tmp_path_factory.mktemp("stroke") / "X_test.parquet"
    pq.write_table(table, path)
    return path


@pytest.fixture(scope="session")
def train(stroke_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trained]:
    """Trains once for each server, in its own environment."""
    made: dict[str, Trained] = {}

    def trained(name: str) -> Trained:
        if name not in made:
            environment, folder = environment_of(name), tmp_path_factory.mktemp(name)
            run_in(environment, folder, SERVED / "train.py", stroke_csv, folder)
            if name == "mlflow":
                run_in(environment, folder, SERVED / "mlflow_save.py", stroke_csv, folder)
            made[name] = Trained(environment, folder, json.loads((folder / "expected.json").read_text()))
        return made[name]

    return trained


@pytest.fixture
def start_server(train: Callable[[str], Trained], tmp_path: Path) -> Iterator[Callable[[str], RealServer]]:
    """Starts a server with its trained model; it ends with the test."""
    servers: list[RealServer] = []

    def start(name: str) -> RealServer:
        trained = train(name)
        servers.append(serve(name, trained.environment, trained.folder, tmp_path / f"{name}.log"))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def stroke_table(stroke_rows: Path) -> pa.Table:
    return pq.read_table(stroke_rows)
