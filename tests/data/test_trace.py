"""A trace: the order and the instants of its rows, and which of them are in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from inference_swarm.data.columns import ColumnChoice
from inference_swarm.data.dataset import read_manifest
from inference_swarm.data.manifest import Manifest
from inference_swarm.data.manifest_wire import manifest_from_wire, manifest_to_wire
from inference_swarm.data.packed import PackedBodies
from inference_swarm.data.trace import Trace, read_trace
from inference_swarm.data.trace_store import TraceStore
from inference_swarm.data.truth import iter_with_truth
from inference_swarm.errors import DataError

MIB = 2**20
S = 10**9


def manifest_of(folder: Path, times: Any, block_rows: int = 10, **choice: Any) -> Manifest:
    path = folder / "rows.parquet"
    pq.write_table(pa.table({"n": np.arange(len(times)), "ts": times}), path, row_group_size=50)
    return read_manifest(str(path), block_rows=block_rows, choice=ColumnChoice(instant="ts", **choice))


@pytest.mark.parametrize(
    ("times", "speed", "days"),
    [
        ([0, 1], 1e-12, "11,574,074"),
        ([0, 1], 5e-324, "inf"),
        (pa.array([-(2**63), 2**63 - 1], pa.timestamp("ns")), 1.0, "213,504"),
    ],
)
def test_a_trace_longer_than_64_bits_of_ns_is_refused(tmp_path: Path, times: Any, speed: float, days: str) -> None:
    with pytest.raises(DataError, match=f"The trace of column 'ts' would take {days} days"):
        read_trace(manifest_of(tmp_path, times), speed, MIB)


def test_the_row_whose_number_is_out_of_64_bits_is_named(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, [*range(60), 5 * 10**10])
    with pytest.raises(DataError, match=r"'ts' has no instant in row 60 of .*rows\.parquet: it is 50000000000, which"):
        read_trace(manifest, 1.0, MIB)


def test_the_time_column_is_not_sent_unless_it_is_named(tmp_path: Path) -> None:
    assert manifest_of(tmp_path, [1, 2]).schema.names == ["n"]
    assert manifest_of(tmp_path, [1, 2], columns=("ts", "n")).schema.names == ["ts", "n"]


def test_a_worker_learns_the_column_with_the_manifest(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, pa.array([3, 1], pa.timestamp("ms", tz="UTC")))
    again = manifest_from_wire(manifest_to_wire(manifest))
    assert again.instant_field == manifest.instant_field == pa.field("ts", pa.timestamp("ms", tz="UTC"))
    assert read_trace(again, 1.0, MIB).offsets_ns.tolist() == [0, 2_000_000]


def test_unsorted_rows_are_put_into_the_order_of_time(tmp_path: Path) -> None:
    trace = read_trace(manifest_of(tmp_path, [1003, 1000, 1002, 1000]), 2.0, MIB)
    assert not trace.is_sorted
    assert [trace.row_of(number) for number in range(6)] == [1, 3, 2, 0, 1, 3]
    # Twice as fast; of two at the same instant one is a nanosecond later.
    assert trace.offsets_ns.tolist() == [0, 1, S, S + S // 2]
    assert trace.describe().startswith("4 rows, not in the order of time, first at 1970-01-01T00:16:40Z (epoch s)")


def test_sorted_rows_need_no_order_of_their_own(tmp_path: Path) -> None:
    trace = read_trace(manifest_of(tmp_path, [5, 5, 5, 6, 9]), 1.0, MIB)
    assert trace.rows is None
    assert trace.offsets_ns.tolist() == [0, 1, 2, S, 4 * S]
    assert trace.period_ns == 5 * S


def test_several_files_are_one_trace(tmp_path: Path) -> None:
    for name, times in (("a.csv", ["2024-05-01 00:00:02", "2024-05-01 00:00:00"]), ("b.csv", ["2024-05-01 00:00:01"])):
        pa_csv.write_csv(pa.table({"n": list(range(len(times))), "ts": times}), tmp_path / name)
    manifest = read_manifest(str(tmp_path), choice=ColumnChoice(instant="ts"))
    trace = read_trace(manifest, 1.0, MIB)
    assert ([trace.row_of(number) for number in range(3)], trace.offsets_ns.tolist()) == ([1, 2, 0], [0, S, 2 * S])


def test_a_row_without_an_instant_is_named_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read_trace(manifest_of(tmp_path, [*range(30), None, 31]), 1.0, MIB)
    assert "Column 'ts' has no instant in row 30 of " in str(error.value)
    assert "rows.parquet: it is empty" in str(error.value)


def test_what_no_run_could_replay_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="more than half of --row-memory"):
        read_trace(manifest_of(tmp_path, list(range(2000))), 1.0, 20_000)
    with pytest.raises(DataError, match=r"would take .* days"):
        read_trace(manifest_of(tmp_path, [1_714_557_600, 1_714_557_600_000]), 1.0, MIB)


def test_a_header_with_a_space_before_the_name_is_the_column_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("n, ts\n1,2024-05-01T00:00:01Z\n2,2024-05-01T00:00:00Z\n", encoding="utf-8")
    manifest = read_manifest(str(path), choice=ColumnChoice(instant="ts"))
    assert manifest.schema.names == ["n"]
    assert read_trace(manifest, 1.0, MIB).offsets_ns.tolist() == [0, S]


def test_a_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": [1], "time": [1]}), path)
    with pytest.raises(DataError, match=r"--time-column names 'tiem', which .* does not have"):
        read_manifest(str(path), choice=ColumnChoice(instant="tiem"))


class Loaded:
    """A store, whose tasks are done when asked for; `reads` are the blocks that were read."""

    def __init__(self, manifest: Manifest, trace: Trace, memory_bytes: int, *, is_repeated: bool) -> None:
        self.reads: list[int] = []
        self.wants = 0
        self.store = TraceStore(
            partial(iter_with_truth, manifest), self._encode, manifest.blocks, manifest.blocks[:1],
            row_memory_bytes=memory_bytes + trace.memory_bytes, head_of=lambda size: b"%d " % size, on_want=self._want,
        )  # fmt: skip
        self.store.begin(trace, is_repeated=is_repeated)

    def _want(self) -> None:
        self.wants += 1

    def _encode(self, table: pa.Table) -> PackedBodies:
        texts = [f"{value:04}".encode() for value in table.column("n").to_pylist()]
        return PackedBodies.pack([pa.array(texts, pa.binary())])

    def load(self, most: int = 1000) -> None:
        while most and (task := self.store.next_task()) is not None:
            encoded = task()
            self.reads.append(encoded.block.id)
            self.store.install(encoded)
            most -= 1

    def take(self, row: int) -> bytes | None:
        self.store.next_row = lambda: row
        return self.store.take()


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[..., Loaded]:
    def make(times: list[int], memory_bytes: int, *, is_repeated: bool = False) -> Loaded:
        manifest = manifest_of(tmp_path, times)
        return Loaded(manifest, read_trace(manifest, 1.0, 10 * MIB), memory_bytes, is_repeated=is_repeated)

    return make


def test_a_trace_that_fits_is_in_memory_whole_whatever_its_order(loaded: Callable[..., Loaded]) -> None:
    store = loaded([97 * row % 100 for row in range(100)], 10_000)
    store.load()
    assert store.reads == list(range(10))
    assert [store.take(row) for row in (99, 0, 57)] == [b"4 0099", b"4 0000", b"4 0057"]
    store.load()
    assert store.reads == list(range(10))


# 10 rows of 4 bytes, with two offsets of 4 bytes each.
BLOCK_BYTES = 120


def test_of_a_larger_one_the_blocks_ahead_are_in_memory(loaded: Callable[..., Loaded]) -> None:
    store = loaded(list(range(100)), 3 * BLOCK_BYTES)
    store.load()
    assert store.reads == [0, 1, 2]
    assert store.store.is_ready
    for row in range(100):
        request = store.take(row)
        assert request == b"4 %04d" % row
        store.load()
        assert store.store.status().held_bytes <= 3 * BLOCK_BYTES
    assert store.reads == list(range(10))


def test_a_trace_that_is_repeated_begins_again_with_its_first_blocks(loaded: Callable[..., Loaded]) -> None:
    store = loaded(list(range(100)), 3 * BLOCK_BYTES, is_repeated=True)
    for row in [*range(100), *range(100), 0]:
        store.load()
        assert store.take(row) == b"4 %04d" % row
    assert store.reads == [*range(10), *range(10), 0, 1]


def test_a_late_row_comes_back_into_memory(loaded: Callable[..., Loaded]) -> None:
    store = loaded(list(range(100)), 3 * BLOCK_BYTES)
    store.load()
    for row in range(60):
        store.take(row)
        store.load()
    before = store.wants
    assert store.take(3) is None
    assert store.wants > before
    store.load(1)
    assert store.take(3) == b"4 0003"
    store.load()
    assert store.take(60) == b"4 0060"


def test_a_worker_that_joins_in_the_middle_loads_what_comes_next(loaded: Callable[..., Loaded]) -> None:
    store = loaded(list(range(100)), 3 * BLOCK_BYTES)
    store.store.seek(70)
    store.load()
    assert store.reads == [7, 8, 9]


def test_unsorted_rows_above_the_memory_are_refused_with_what_to_do(loaded: Callable[..., Loaded]) -> None:
    store = loaded([97 * row % 100 for row in range(100)], 3 * BLOCK_BYTES)
    with pytest.raises(DataError) as error:
        store.load()
    assert "The trace is not in the order of time, and its requests need about 1.2 KiB" in str(error.value)
    assert "sort the rows by their instants and write them again, or raise --row-memory" in str(error.value)


def test_a_block_larger_than_the_memory_is_read_all_the_same(loaded: Callable[..., Loaded]) -> None:
    store = loaded(list(range(40)), 10)
    store.load()
    for row in range(40):
        if store.take(row) is None:
            store.load()
        assert store.take(row) == b"4 %04d" % row
