from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as encryption
import pytest

from inference_swarm.data.dataset import read_manifest
from inference_swarm.data.manifest import Block
from inference_swarm.data.manifest_wire import manifest_from_wire, manifest_to_wire
from inference_swarm.errors import DataError, ProtocolError


def write(path: Path, rows: int = 10, start: int = 0, row_group_size: int = 1000, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"a": np.arange(start, start + rows), **columns})
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


def error_of(source: object, labels: object = None) -> str:
    with pytest.raises(DataError) as caught:
        read_manifest(str(source), None if labels is None else str(labels))
    return str(caught.value)


def test_blocks_lie_inside_row_groups_and_number_the_rows_of_all_files(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", rows=25, row_group_size=20)
    write(tmp_path / "2.parquet", rows=3)
    manifest = read_manifest(str(tmp_path), block_rows=8)
    assert manifest.blocks == (
        Block(0, 0, 0, 0, 8, 0),
        Block(1, 0, 0, 8, 8, 8),
        Block(2, 0, 0, 16, 4, 16),
        Block(3, 0, 1, 0, 5, 20),
        Block(4, 1, 0, 0, 3, 25),
    )
    assert (manifest.rows, manifest.schema.names) == (28, ["a"])
    assert [file.rows for file in manifest.files] == [25, 3]
    assert [file.size_bytes for file in manifest.files] == [
        (tmp_path / name).stat().st_size for name in ("1.parquet", "2.parquet")
    ]


def test_folder_glob_list_and_url_name_the_same_files(tmp_path: Path) -> None:
    write(tmp_path / "in" / "1.parquet")
    write(tmp_path / "in" / "sub" / "2.parquet", start=10)
    for ignored in ("_SUCCESS", "_metadata.parquet", ".hidden.parquet", "notes.txt"):
        (tmp_path / "in" / ignored).write_text("x")
    fingerprints = {
        read_manifest(source).fingerprint
        for source in (
            f"{tmp_path}/in",
            f"{tmp_path}/in/**/[12].parquet",
            f"{tmp_path}/in/1.parquet, {tmp_path}/in/sub/2.parquet",
            f"file://{tmp_path}/in",
            f"file://{tmp_path}/in/**/[12].parquet",
            f"file://{tmp_path}/in/1.parquet,{tmp_path}/in/sub",
        )
    }
    assert len(fingerprints) == 1


def test_the_fingerprint_follows_the_content_and_not_the_place_or_time(tmp_path: Path) -> None:
    original = write(tmp_path / "a" / "1.parquet")
    copied = tmp_path / "b" / "other.parquet"
    copied.parent.mkdir()
    shutil.copyfile(original, copied)
    os.utime(copied, (1, 1))
    fingerprint = read_manifest(str(original)).fingerprint
    assert read_manifest(str(copied)).fingerprint == fingerprint
    assert read_manifest(str(copied), block_rows=3).fingerprint == fingerprint
    assert read_manifest(str(write(copied, start=1))).fingerprint != fingerprint
    assert read_manifest(f"{original},{copied}").fingerprint != fingerprint


def test_no_row_data_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "1.parquet", rows=50_000, row_group_size=10_000, b=np.random.default_rng(0).random(50_000))
    whole = path.read_bytes()
    footer_bytes = int.from_bytes(whole[-8:-4], "little") + 8
    path.write_bytes(b"PAR1" + b"\xff" * (len(whole) - footer_bytes - 4) + whole[-footer_bytes:])
    assert read_manifest(str(path)).rows == 50_000


def test_a_footer_longer_than_the_first_read_is_read_whole(tmp_path: Path) -> None:
    names = [f"column_{number:04d}_{'x' * 60}" for number in range(700)]
    pq.write_table(pa.table({name: [1] for name in names}), tmp_path / "wide.parquet")
    assert read_manifest(str(tmp_path / "wide.parquet")).schema.names == names


def test_the_index_of_a_pandas_frame_is_no_feature(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [1.0, 2.0, 3.0]}, index=[7, 3, 9])
    frame.to_parquet(tmp_path / "X_test.parquet")
    assert pq.read_schema(tmp_path / "X_test.parquet").names == ["a", "b", "__index_level_0__"]
    assert read_manifest(str(tmp_path / "X_test.parquet")).schema.names == ["a", "b"]


def test_categories_of_different_code_width_are_one_schema(tmp_path: Path) -> None:
    for name, categories in (("1", 2), ("2", 300)):
        values = pa.array([str(number) for number in range(categories)])
        codes = pa.array(range(categories), pa.int8() if categories < 100 else pa.int16())
        pq.write_table(pa.table({"c": pa.DictionaryArray.from_arrays(codes, values)}), tmp_path / f"{name}.parquet")
    assert read_manifest(str(tmp_path)).rows == 302


def test_the_manifest_travels_as_plain_values(tmp_path: Path) -> None:
    features = write(tmp_path / "X_test.parquet", rows=25, row_group_size=20, s=["x"] * 25)
    labels = write(tmp_path / "y_test.parquet", rows=25)
    for manifest in (read_manifest(str(features), str(labels), 8), read_manifest(str(features))):
        wire = msgpack.unpackb(msgpack.packb(manifest_to_wire(manifest)))
        assert manifest_from_wire(wire) == manifest


def test_a_manifest_of_another_version_or_shape_is_refused(tmp_path: Path) -> None:
    wire = manifest_to_wire(read_manifest(str(write(tmp_path / "1.parquet"))))
    with pytest.raises(ProtocolError, match="version 4"):
        manifest_from_wire({**wire, "version": 3})
    with pytest.raises(ProtocolError, match="cannot be read"):
        manifest_from_wire({**wire, "files": b"x"})
    with pytest.raises(ProtocolError, match="cannot be read"):
        manifest_from_wire({**wire, "schema": b"x"})


def test_labels_must_be_one_column_with_a_row_for_each_row(tmp_path: Path) -> None:
    features = write(tmp_path / "X_test.parquet", rows=10)
    short = error_of(features, write(tmp_path / "y.parquet", rows=9))
    assert "y.parquet has 9 rows" in short
    assert "X_test.parquet has 10" in short
    assert "has 2 columns: a, b" in error_of(features, write(tmp_path / "y2.parquet", rows=10, b=range(10)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty (0 bytes)"),
        (b"a,b\n1,2\n", "is not a parquet file (it begins with b'a,b\\n1,2\\n')"),
        (b"PAR1\x00\x00", "its end is missing: 6 bytes"),
        (b"PAR1" + b"x" * 20, "its end is missing: 24 bytes"),
        (b"PAR1" + b"\xff" * 16 + (8).to_bytes(4, "little") + b"PAR1", "is damaged or was not copied completely"),
        (b"PAR1" + b"\xff" * 16 + (999).to_bytes(4, "little") + b"PAR1", "its footer claims 1007 of 28 bytes"),
        (b"PAR1" + b"\xff" * 16 + (8).to_bytes(4, "little") + b"PARE", "is encrypted"),
    ],
)
def test_a_file_that_is_no_whole_parquet_file_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.parquet"
    path.write_bytes(content)
    text = error_of(path)
    assert f"{path} {message}" in text or (str(path) in text and message in text)


def test_a_file_cut_off_anywhere_is_an_error_of_ours(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.parquet").read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / "cut.parquet").write_bytes(whole[:length])
        assert "cut.parquet" in error_of(tmp_path / "cut.parquet")


def test_missing_things_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert f"{tmp_path}/no.parquet does not exist" in error_of(tmp_path / "no.parquet")
    assert "does not exist" in error_of(f"file://{tmp_path}/no.parquet")
    assert f"{tmp_path}/empty holds no parquet file" in error_of(tmp_path / "empty")
    assert "holds no parquet file" in error_of(tmp_path / "*.parquet")
    assert "holds no parquet file" in error_of(f"file://{tmp_path}/*.parquet")
    assert "The data source is empty" in error_of(" , ")
    assert "foo://x cannot be read" in error_of("foo://x")


def test_credentials_in_a_url_are_not_repeated() -> None:
    text = error_of("s3://key:secret@bucket/x.parquet?no_such_option=hidden")
    assert "s3://bucket/x.parquet cannot be read" in text
    assert "secret" not in text
    assert "hidden" not in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "1.parquet")
    path.chmod(0)
    assert "may not be read by this process" in error_of(path)


def test_no_rows_no_columns_and_repeated_files_are_refused(tmp_path: Path) -> None:
    assert "has no rows" in error_of(write(tmp_path / "0.parquet", rows=0))
    pq.write_table(pa.table({}), tmp_path / "none.parquet")
    assert "has no columns" in error_of(tmp_path / "none.parquet")
    path = write(tmp_path / "1.parquet")
    assert "is in the data source twice" in error_of(f"{path},{path}")


def test_a_type_without_json_form_fails_before_rows_are_read(tmp_path: Path) -> None:
    table = pa.table({"x": pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["f", "f"])})
    pq.write_table(table, tmp_path / "1.parquet")
    assert "Column 'x'" in error_of(tmp_path / "1.parquet")


class _Keys(encryption.KmsClient):  # type: ignore[misc]
    """Keys that are wrapped in nothing."""

    def wrap_key(self, key: bytes, _name: str) -> bytes:
        return base64.b64encode(key)

    def unwrap_key(self, key: bytes, _name: str) -> bytes:
        return base64.b64decode(key)


def write_encrypted(path: Path, table: pa.Table, *, plaintext_footer: bool) -> None:
    factory = encryption.CryptoFactory(lambda _config: _Keys())
    config = encryption.EncryptionConfiguration("footer", column_keys={"key": ["a"]}, plaintext_footer=plaintext_footer)
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), config)
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)


@pytest.mark.processes
@pytest.mark.parametrize("plaintext_footer", [False, True])
def test_an_encrypted_file_is_refused_though_its_footer_can_be_read(plaintext_footer: bool, tmp_path: Path) -> None:
    path = tmp_path / "1.parquet"
    write_encrypted(path, pa.table({"a": [1, 2], "b": ["x", None]}), plaintext_footer=plaintext_footer)
    script = f"""
from inference_swarm.data.dataset import read_manifest
from inference_swarm.errors import DataError
try:
    read_manifest({str(path)!r})
except DataError as error:
    print(error.found)
"""
    # in a process of its own, which Arrow would end
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "locust")}
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.stdout, result.returncode) == (f"{path} is encrypted.\n", 0), result.stderr


def test_types_are_at_most_so_deep_that_a_worker_can_be_told(tmp_path: Path) -> None:
    kinds = [pa.int64()]
    for _ in range(65):
        kinds.append(pa.struct([("b", kinds[-1])]))
    pq.write_table(pa.table({"x": pa.nulls(1, kinds[64])}), tmp_path / "ok.parquet")
    manifest = read_manifest(str(tmp_path / "ok.parquet"))
    assert manifest_from_wire(manifest_to_wire(manifest)).schema == manifest.schema
    pq.write_table(pa.table({"x": pa.nulls(1, kinds[65])}), tmp_path / "deep.parquet")
    with pa.ipc.new_file(tmp_path / "deep.arrow", pa.schema([("x", kinds[65])])):
        pass
    for name in ("deep.parquet", "deep.arrow"):
        assert "more than 64 deep, in column 'x'" in error_of(tmp_path / name)
    lists = pa.int64()
    for _ in range(60):  # two levels each
        lists = pa.list_(lists)
    pq.write_table(pa.table({"x": pa.nulls(1, lists)}), tmp_path / "lists.parquet")
    assert "more than 64 deep, in its schema" in error_of(tmp_path / "lists.parquet")
