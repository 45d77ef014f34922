"""A bucket behind a real HTTP S3 endpoint gives the rows and the fingerprint of the local files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from inference_swarm.data.blocks import iter_blocks
from inference_swarm.data.dataset import read_manifest
from inference_swarm.errors import DataError

moto_server = pytest.importorskip("moto.server")


@pytest.fixture(scope="module")
def query() -> Iterator[str]:
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
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
    bucket, _ = pafs.FileSystem.from_uri("s3://swarm" + query)
    bucket.create_dir("swarm")
    for name, part in (("1", table.slice(0, 20_000)), ("2", table.slice(20_000))):
        path = tmp_path / f"{name}.parquet"
        pq.write_table(part, path, row_group_size=9000)
        with bucket.open_output_stream(f"swarm/data/{path.name}") as stream:
            stream.write(path.read_bytes())
    local = read_manifest(str(tmp_path))
    for source in (
        f"s3://swarm/data{query}",
        f"s3://swarm/data/*.parquet{query}",
        f"s3://swarm/**/[12].parquet{query}",
        f"s3://swarm/data/1.parquet{query},s3://swarm/data/2.parquet{query}",
    ):
        remote = read_manifest(source)
        assert (remote.fingerprint, remote.blocks) == (local.fingerprint, local.blocks)
    rows = [row for loaded in iter_blocks(remote, remote.blocks[1::2]) for row in loaded.table.to_pylist()]
    assert rows == [row for loaded in iter_blocks(local, local.blocks[1::2]) for row in loaded.table.to_pylist()]
    with pytest.raises(DataError, match=r"s3://swarm/data/3\.parquet does not exist"):
        read_manifest(f"s3://swarm/data/3.parquet{query}")
    with pytest.raises(DataError, match=r"s3://swarm/data/x\* holds no parquet file"):
        read_manifest(f"s3://swarm/data/x*{query}")
