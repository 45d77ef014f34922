"""Many files, many columns, many partitions: what is said of them fits into a message, and each row has a place."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sent import sent_rows

from inference_swarm.data import manifest_wire
from inference_swarm.data.blocks import iter_blocks
from inference_swarm.data.data_files import DataFile, FileKind
from inference_swarm.data.dataset import read_manifest
from inference_swarm.data.json_rows import encode_rows
from inference_swarm.data.manifest import Columns, Manifest, RowPlace, choose_batch_rows, choose_block_rows
from inference_swarm.data.manifest_wire import manifest_from_wire, manifest_to_wire
from inference_swarm.data.threads import run_in_pool
from inference_swarm.errors import DataError, ProtocolError

DIGEST = "0123456789abcdef" * 4


def file(location: str, *rows: int) -> DataFile:
    return DataFile(location, 1000, DIGEST, rows)


def test_a_manifest_of_twenty_thousand_partitioned_files_takes_a_small_part_of_a_message() -> None:
    digests = np.random.default_rng(0).bytes(32 * 20_000).hex()
    schema = pa.schema([("n", pa.int64()), ("country", pa.string()), ("day", pa.int32())])
    files = tuple(
        DataFile(
            f"/data/warehouse/customers/country={number % 200}/day={number}/part-{number:05d}-c000.snappy.parquet",
            10**8 + number, digests[64 * number : 64 * number + 64], (100_000, 100_000, 7), FileKind.PARQUET,
            (str(number % 200), number),
        )
        for number in range(20_000)
    )  # fmt: skip
    manifest = Manifest(files, Columns(schema, ("n", "country", "day"), ("country", "day")), 8192)
    packed = msgpack.packb(manifest_to_wire(manifest))
    assert len(packed) < 2 * 1024 * 1024
    assert manifest_from_wire(msgpack.unpackb(packed)) == manifest


def test_a_manifest_that_no_message_holds_is_refused_where_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_wire, "MAX_WIRE_BYTES", 30_000)
    names = [np.random.default_rng(number).bytes(60).hex() for number in range(1000)]
    manifest = Manifest(tuple(file(name, 1) for name in names), Columns.plain(pa.schema([("n", pa.int64())])), 8192)
    with pytest.raises(DataError, match="The data source has 1000 files of 1000 row groups and 1 columns") as caught:
        manifest_to_wire(manifest)
    assert caught.value.action == "write the rows to fewer and larger files and row groups."


@pytest.mark.parametrize(
    "change",
    [
        {"files": b""},
        {"files": 7},
        {"schema": b"x"},
        {"schema": (2**62).to_bytes(8, "little") + b"x"},
        {"sources": []},
        {"partitions": ["k"]},
        {"block_rows": 0},
        {"block_rows": None},
        {"labels": None},
    ],
)
def test_a_manifest_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    wire = manifest_to_wire(Manifest((file("a", 3),), Columns.plain(pa.schema([("n", pa.int64())])), 8))
    with pytest.raises(ProtocolError, match="cannot be read"):
        manifest_from_wire({**wire, **change})


@settings(deadline=None)
@given(st.data())
def test_every_row_has_a_place_in_a_file_and_a_block(data: st.DataObject) -> None:
    groups = data.draw(
        st.lists(st.lists(st.integers(0, 7), max_size=4), min_size=1, max_size=5).filter(lambda g: any(map(sum, g)))
    )
    files = tuple(file(f"/f{number}", *rows) for number, rows in enumerate(groups))
    manifest = Manifest(files, Columns.plain(pa.schema([("n", pa.int64())])), data.draw(st.integers(1, 5)))
    places = [RowPlace(each.location, row) for each in files for row in range(each.rows)]
    assert [manifest.place_of(row) for row in range(manifest.rows)] == places
    for row in range(manifest.rows):
        block = manifest.block_of(row)
        assert block.first_row <= row < block.first_row + block.rows
    with pytest.raises(IndexError):
        manifest.place_of(manifest.rows)


def test_a_place_names_no_secret() -> None:
    manifest = Manifest((file("s3://K:S@b/x?y=z", 1),), Columns.plain(pa.schema([("n", pa.int64())])), 8)
    assert manifest.place_of(0) == RowPlace("s3://b/x", 0)


def test_ten_thousand_columns_are_read_and_encoded_in_small_blocks(tmp_path: Path) -> None:
    columns, rows = 10_000, 60
    table = pa.table({f"c{number:05d}": np.arange(rows) * number / 7 for number in range(columns)})
    pq.write_table(table, tmp_path / "wide.parquet")
    began_s = time.process_time()
    manifest = read_manifest(str(tmp_path))
    manifest = manifest.with_block_rows(choose_block_rows(manifest.rows, columns))
    loaded = next(iter_blocks(manifest, manifest.blocks[-1:]))
    bodies = encode_rows(loaded.table)
    assert time.process_time() - began_s < 10
    assert len(bodies) == loaded.block.rows
    assert bodies[-1].as_py().endswith(b'"c09999":%s}' % repr(59 * 9999 / 7).encode())


def test_columns_that_must_be_looked_into_are_read_in_one_pass(tmp_path: Path) -> None:
    instant = pa.array([dt.datetime(9999, 1, 1), None], pa.timestamp("us"))
    kinds = [pa.array([b"a", None]), pa.array([b"\xff", None]), instant]
    table = pa.table({f"c{number:05d}": kinds[number % 3] for number in range(3000)})
    pq.write_table(table, tmp_path / "1.parquet", use_deprecated_int96_timestamps=True, store_schema=False)
    began_s = time.process_time()
    manifest = read_manifest(str(tmp_path))
    assert time.process_time() - began_s < 3  # a pass for each column takes minutes
    assert manifest.notes == (
        f"{tmp_path}: 'c00000' holds bytes that are all UTF-8 and is sent as text; the same goes for 'c00003', "
        "'c00006', 'c00009', 'c00012', 'c00015' and 994 more",
        f"{tmp_path}: 'c00001' holds bytes that are not text and is sent in base64; the same goes for 'c00004', "
        "'c00007', 'c00010', 'c00013', 'c00016' and 994 more",
    )
    row = sent_rows(tmp_path)[0]
    assert [row[f"c{number:05d}"] for number in range(3)] == ["a", "/w==", "9999-01-01T00:00:00.000000"]


@pytest.mark.parametrize(
    ("rows", "columns", "block_rows"),
    [
        (10**9, 35, 8192),
        (10**9, 10_000, 104),
        (10**9, 10**7, 1),
        (1000, 35, 16),
        (1000, 10_000, 63),
        (10, 35, 1),
        (0, 0, 1),
    ],
)
def test_blocks_are_smaller_for_few_rows_and_for_many_columns(rows: int, columns: int, block_rows: int) -> None:
    assert choose_block_rows(rows, columns) == block_rows


@pytest.mark.parametrize(
    ("rows", "workers", "blocks"),
    [
        (400_000, 1, 512),  # as without workers
        (400_000, 256, 512),
        (400_000, 2000, 4000),
        (1000, 2000, 1000),  # a row each, which is not enough for all
        (10**9, 2000, -(-(10**9) // 8192)),  # there are more than enough
    ],
)
def test_each_worker_of_a_large_swarm_gets_rows(rows: int, workers: int, blocks: int) -> None:
    manifest = Manifest((file("x", rows),), Columns.plain(pa.schema([("n", pa.int64())])), 8192)
    manifest = manifest.with_block_rows(choose_block_rows(rows, 1)).for_workers(workers)
    assert len(manifest.blocks) == pytest.approx(blocks, rel=0.05)
    assert len(manifest.blocks) >= min(rows, workers)


@pytest.mark.parametrize(
    ("block_rows", "columns", "batch_rows"),
    [(8192, 35, 8192), (16, 35, 8192), (63, 10_000, 63), (40, 10_000, 80), (104, 10_000, 104)],
)
def test_rows_are_decoded_in_whole_blocks(block_rows: int, columns: int, batch_rows: int) -> None:
    assert choose_batch_rows(block_rows, columns) == batch_rows


def test_a_thousand_files_are_one_dataset(tmp_path: Path) -> None:
    for number in range(1000):
        (tmp_path / f"k={number % 7}").mkdir(exist_ok=True)
        pq.write_table(pa.table({"n": [number]}), tmp_path / f"k={number % 7}" / f"{number:04d}.parquet")
    rows = sent_rows(tmp_path, block_rows=100)
    assert sorted(row["n"] for row in rows) == list(range(1000))
    assert all(row["k"] == row["n"] % 7 for row in rows)


def in_a_thread(task: Callable[[], Any]) -> Any:
    """A pool's `apply` that lets no error through: it would be printed there, and end the test."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(task()))
    thread.start()
    thread.join()
    return found[0]


def test_a_refusal_in_a_thread_is_raised_where_it_was_asked_for_and_not_in_the_thread() -> None:
    threads: list[threading.Thread] = []

    def refuse() -> int:
        threads.append(threading.current_thread())
        raise DataError("no")

    with pytest.raises(DataError, match="no"):
        run_in_pool(in_a_thread, refuse)
    assert threads[0] is not threading.current_thread()
    assert run_in_pool(in_a_thread, lambda: 7) == 7
