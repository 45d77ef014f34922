"""Rows for runs in a pipeline."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """300 distinct rows."""
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": list(range(300)), "word": [f"w{n}" for n in range(300)]}), path)
    return path
