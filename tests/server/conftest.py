"""Tiny models of every kind of column, trained once for all tests of the server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from server.app import create_app
from server.catalog import Catalog, load_catalog
from server.train.__main__ import main as train


@dataclass(frozen=True)
class Trained:
    """A results folder with two datasets: `kinds` (every column kind, string labels) and `triple` (three classes)."""

    results: Path
    catalog: Catalog


def every_kind(rows: int, seed: int = 7) -> pd.DataFrame:
    """One column of each kind, gaps in most of them, a label that depends on them."""
    rng = np.random.default_rng(seed)

    def gaps(values: pd.Series) -> pd.Series:
        return values.mask(rng.random(rows) < 0.15)

    number = rng.normal(0, 10, rows).round(3)
    count = rng.integers(0, 9, rows)
    moments = pd.Series(pd.to_datetime("2024-01-01") + pd.to_timedelta(rng.integers(0, 10**7, rows), unit="s"))
    word = pd.Series(rng.choice(["rot", "grün", 'q"uote', "a,b"], rows))
    score = pd.Series(number / 5) + count + 3 * (word == "rot") + 2 * (moments.dt.hour < 6) + rng.normal(0, 2, rows)
    return pd.DataFrame(
        {
            "amount [€]": gaps(pd.Series(number)),
            "count": gaps(pd.Series(count, dtype="Int64")),
            "big": pd.Series(rng.integers(0, 2**62, rows)),
            "flag": gaps(pd.Series(rng.random(rows) < 0.4, dtype="boolean")),
            "word": gaps(word),
            "group": gaps(pd.Series(rng.choice([3, 11, 200], rows), dtype="Int64")).astype("category"),
            "kind": pd.Series(rng.choice(["x", "y"], rows)).astype("category"),
            "at": gaps(moments.astype("datetime64[us]")),
            "day": gaps(moments.dt.date.astype("object")),
            "answer": np.where(score > score.median(), "yes", "no"),
            "third": np.where(score > score.quantile(0.66), 3, np.where(score > score.quantile(0.33), 2, 1)),
        }
    )


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Both datasets with all three models."""
    folder = tmp_path_factory.mktemp("server")
    results = folder / "results"
    every_kind(500).to_parquet(folder / "kinds.parquet")
    every_kind(400)[["amount [€]", "count", "word", "third"]].to_csv(folder / "triple.csv", index=False)
    common = ["--results", str(results)]
    assert train([*common, "--data", str(folder / "kinds.parquet"), "--target", "answer", "--drop-cols", "third"]) == 0
    assert train([*common, "--data", str(folder / "triple.csv"), "--target", "third"]) == 0
    return Trained(results, load_catalog(results / "models", "all", "all"))


@pytest.fixture
def client(trained: Trained) -> Iterator[TestClient]:
    """A server with all six models and fresh counters."""
    with TestClient(create_app(trained.catalog, max_body_bytes=200_000)) as client:
        yield client
