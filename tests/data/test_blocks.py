from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.data.blocks import iter_blocks, read_block
from inference_swarm.data.dataset import read_manifest
from inference_swarm.data.json_rows import encode_rows
from inference_swarm.data.manifest import Columns, Manifest
from inference_swarm.errors import DataError

ROWS = 1000
REAL_DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def dataset() -> pa.Table:
    return pa.table(
        {
            "a": np.arange(ROWS),
            "a.b": np.arange(ROWS) * 1.5,
            "s": [f"text {row}" if row % 7 else None for row in range(ROWS)],
            "c": pa.array([f"category {row % 5}" for row in range(ROWS)]).dictionary_encode(),
            "l": [[row, row + 1] for row in range(ROWS)],
        }
    )


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Two files, row groups of 130 and 300 rows, blocks of 50; labels in row groups of 77."""
    folder = tmp_path_factory.mktemp("blocks")
    (folder / "in").mkdir()
    table = dataset()
    pq.write_table(table.slice(0, 600), folder / "in" / "1.parquet", row_group_size=130)
    pq.write_table(table.slice(600), folder / "in" / "2.parquet", row_group_size=300)
    pq.write_table(pa.table({"y": np.arange(ROWS) * 2}), folder / "y.parquet", row_group_size=77)
    return read_manifest(str(folder / "in"), str(folder / "y.parquet"), block_rows=50)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_set_of_blocks_gives_exactly_its_rows_and_their_labels(manifest: Manifest, data: st.DataObject) -> None:
    blocks = data.draw(st.lists(st.sampled_from(manifest.blocks), unique=True))
    loaded = list(iter_blocks(manifest, blocks))
    assert [item.block for item in loaded] == sorted(blocks, key=lambda block: block.id)
    for block, table, labels, _ in loaded:
        assert table.to_pylist() == dataset().slice(block.first_row, block.rows).to_pylist()
        assert labels is not None
        assert labels.to_pylist() == [2 * row for row in range(block.first_row, block.first_row + block.rows)]


def test_all_blocks_together_are_the_dataset(manifest: Manifest) -> None:
    tables = [loaded.table for loaded in iter_blocks(manifest, manifest.blocks)]
    assert pa.concat_tables(tables).to_pylist() == dataset().to_pylist()


def test_one_block_can_be_read_with_some_columns_in_the_order_asked_for(manifest: Manifest) -> None:
    block = manifest.blocks[-2]
    wanted = dataset().slice(block.first_row, block.rows).select(["s", "a"])

    def read(*names: str) -> pa.Table:
        columns = Columns.plain(pa.schema([manifest.schema.field(name) for name in names]))
        return read_block(replace(manifest, columns=columns, labels=()), block)

    assert read("s", "a").to_pylist() == wanted.to_pylist()
    assert read("a").column_names == ["a"]  # and not `a.b` with it


def test_without_labels_there_are_none(tmp_path: Path) -> None:
    pq.write_table(dataset(), tmp_path / "1.parquet")
    plain = read_manifest(str(tmp_path))
    assert [loaded.labels for loaded in iter_blocks(plain, plain.blocks)] == [None]


def test_the_pandas_index_is_not_read(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1, 2]}, index=[7, 3]).to_parquet(tmp_path / "1.parquet")
    plain = read_manifest(str(tmp_path))
    assert read_block(plain, plain.blocks[0]).to_pylist() == [{"a": 1}, {"a": 2}]


def test_a_file_that_changed_since_the_manifest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "1.parquet"
    pq.write_table(pa.table({"a": [1, 2, 3]}), path)
    before = read_manifest(str(path))
    pq.write_table(pa.table({"a": [1, 2, 4]}), path)
    with pytest.raises(DataError, match=r"1\.parquet has changed since the run began .*3 rows then"):
        read_block(before, before.blocks[0])
    path.unlink()
    with pytest.raises(DataError, match=r"1\.parquet does not exist"):
        read_block(before, before.blocks[0])


def test_damaged_rows_are_an_error_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "1.parquet"
    pq.write_table(pa.table({"a": np.random.default_rng(0).random(1000)}), path, compression="zstd")
    whole = path.read_bytes()
    before = read_manifest(str(path))
    path.write_bytes(whole[:4] + b"\xff" * 2000 + whole[2004:])
    with pytest.raises(DataError, match=r"1\.parquet cannot be read"):
        read_block(before, before.blocks[0])


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="the real files are not here")
@pytest.mark.parametrize("name", ["UNSW_NB15_testing-set.csv", "healthcare-dataset-stroke-data.csv"])
def test_real_files_come_back_as_they_went_in(name: str, tmp_path: Path) -> None:
    frame = pd.read_csv(REAL_DATA / name)
    frame.to_parquet(tmp_path / "X_test.parquet", row_group_size=1000)
    real = read_manifest(str(tmp_path / "X_test.parquet"), block_rows=300)
    bodies = [body for loaded in iter_blocks(real, real.blocks) for body in encode_rows(loaded.table).to_pylist()]
    wanted = [
        {name: None if value != value else value for name, value in row.items()}
        for row in frame.to_dict(orient="records")
    ]
    assert [json.loads(body) for body in bodies] == wanted
