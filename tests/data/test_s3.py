"""A bucket behind a real HTTP S3 endpoint gives the rows and the fingerprint of the local files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from sent import sent_rows

from inference_swarm.data.blocks import iter_blocks
from inference_swarm.data.dataset import read_manifest
from inference_swarm.errors import DataError


@pytest.fixture(scope="module")
def query() -> Iterator[str]:
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield f"?scheme=http&endpoint_override={host}:{port}&region=us-east-1&allow_bucket_creation=true"
    server.stop()


def test_a_bucket_gives_the_same_blocks_rows_and_fingerprint_as_local_files(query: str, tmp_path: Path) -> None:
    table = pa.table({"a": np.arange(30_000), "b": np.random.default_rng(0).random(30_000)})
    bucket, _ = pafs.FileSystem.from_uri("s3://rows" + query)
    bucket.create_dir("rows")
    for name, part in (("1", table.slice(0, 20_000)), ("2", table.slice(20_000))):
        path = tmp_path / f"{name}.parquet"
        pq.write_table(part, path, row_group_size=9000)
        with bucket.open_output_stream(f"rows/data/{path.name}") as stream:
            stream.write(path.read_bytes())
    local = read_manifest(str(tmp_path))
    for source in (
        f"s3://rows/data{query}",
        f"s3://rows/data/*.parquet{query}",
        f"s3://rows/**/[12].parquet{query}",
        f"s3://rows/data/1.parquet{query},s3://rows/data/2.parquet{query}",
    ):
        remote = read_manifest(source)
        assert (remote.fingerprint, remote.blocks) == (local.fingerprint, local.blocks)
    rows = [row for loaded in iter_blocks(remote, remote.blocks[1::2]) for row in loaded.table.to_pylist()]
    assert rows == [row for loaded in iter_blocks(local, local.blocks[1::2]) for row in loaded.table.to_pylist()]
    with pytest.raises(DataError, match=r"s3://rows/data/3\.parquet does not exist"):
        read_manifest(f"s3://rows/data/3.parquet{query}")
    with pytest.raises(DataError, match=r"s3://rows/data/x\* holds no parquet file"):
        read_manifest(f"s3://rows/data/x*{query}")


def test_partitions_text_files_and_tables_in_a_bucket_are_what_they_are_on_disk(query: str) -> None:
    bucket, _ = pafs.FileSystem.from_uri("s3://layouts" + query)
    bucket.create_dir("layouts")

    def put(key: str, data: bytes) -> None:
        with bucket.open_output_stream(f"layouts/{key}") as stream:
            stream.write(data)

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"n": [1]}), sink)
    parquet = sink.getvalue().to_pybytes()
    put("people/country=DE/year=2024/1.PARQUET", parquet)
    put("people/_SUCCESS", b"")
    put("text/k=a%20b/1.csv", b"n,t\n1,x\n2,\n")
    put("table/1.parquet", parquet)
    put("table/_delta_log/00000000000000000000.json", b"{}")
    assert sent_rows(f"s3://layouts/people{query}") == [{"n": 1, "country": "DE", "year": 2024}]
    assert sent_rows(f"s3://layouts/text{query}") == [{"n": 1, "t": "x", "k": "a b"}, {"n": 2, "t": None, "k": "a b"}]
    for source in ("table", "table/*.parquet", "table/1.parque*"):
        with pytest.raises(DataError, match="s3://layouts/table is a Delta table"):
            read_manifest(f"s3://layouts/{source}{query}")
