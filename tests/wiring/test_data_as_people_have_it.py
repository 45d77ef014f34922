"""Files and folders as people have them, in runs of the real command: what they mean goes out, or it is said."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from recording_server import Recording
from swarm_processes import ROOT, Swarm

pytestmark = pytest.mark.processes


def run(swarm: Swarm, recording: Recording, data: Path | str, *more: str, env: dict[str, str] | None = None) -> Any:
    """Send each row once."""
    return swarm.run(
        "--host", recording.url, "--data", str(data), "--row-order", "once", "--headless", "-u", "2", "-r", "100",
        "-t", "30s", "--processes", "0", "--results", str(swarm.results), *more, env=env,
    )  # fmt: skip


def put(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def int96_of_the_year_9999(folder: Path) -> None:
    pq.write_table(
        pa.table({"x": pa.array([dt.datetime(9999, 12, 31)], pa.timestamp("us"))}), folder / "1.parquet",
        use_deprecated_int96_timestamps=True, store_schema=False,
    )  # fmt: skip


def text_as_bytes(folder: Path) -> None:
    pq.write_table(pa.table({"x": pa.array([b"male"])}), folder / "1.parquet", store_schema=False)


def index_without_metadata(folder: Path) -> None:
    frame = pd.DataFrame({"age": [31, 45]}, index=[0, 7])
    pq.write_table(pa.Table.from_pandas(frame).replace_schema_metadata(None), folder / "1.parquet")


def partitions(folder: Path) -> None:
    pq.write_to_dataset(pa.table({"n": [1, 2], "country": ["DE", "FR"]}), folder, partition_cols=["country"])


def null_against_text(folder: Path) -> None:
    put(folder / "1.parquet", v=pa.nulls(1))
    put(folder / "2.parquet", v=["x"])


def integers_against_doubles_in_another_order(folder: Path) -> None:
    put(folder / "1.parquet", v=[1], w=["a"])
    put(folder / "2.parquet", w=pa.array(["b"], pa.large_string()), v=[1.5])


def microseconds_against_milliseconds(folder: Path) -> None:
    for number, unit in enumerate(("us", "ms")):
        put(folder / f"{number}.parquet", v=pa.array([dt.datetime(2024, 1, 1 + number)], pa.timestamp(unit)))


def upper_case_name(folder: Path) -> None:
    put(folder / "X.PARQUET", n=[1])


@pytest.mark.parametrize(
    ("write", "rows", "said"),
    [
        (int96_of_the_year_9999, [{"x": "9999-12-31T00:00:00.000000"}], ""),
        (text_as_bytes, [{"x": "male"}], "'x' holds bytes that are all UTF-8 and is sent as text"),
        (index_without_metadata, [{"age": 31}, {"age": 45}], "'__index_level_0__' is the index of a pandas frame"),
        (partitions, [{"n": 1, "country": "DE"}, {"n": 2, "country": "FR"}], "sent as columns: country (string)"),
        (null_against_text, [{"v": None}, {"v": "x"}], "it is sent as string"),
        (
            integers_against_doubles_in_another_order,
            [{"v": 1, "w": "a"}, {"v": 1.5, "w": "b"}],
            "it is sent as double",
        ),
        (
            microseconds_against_milliseconds,
            [{"v": "2024-01-01T00:00:00.000000"}, {"v": "2024-01-02T00:00:00.000000"}],
            "it is sent as timestamp[us]",
        ),
        (upper_case_name, [{"n": 1}], ""),
    ],
)
def test_what_a_folder_means_is_sent_and_what_was_decided_is_said_and_recorded(
    write: Callable[[Path], None], rows: list[Any], said: str, swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    folder = tmp_path / "people"
    folder.mkdir()
    write(folder)
    ended = run(swarm, recording, folder)
    assert ended.returncode == 0, ended.stderr
    assert sorted(map(json.loads, recording.bodies), key=str) == sorted(rows, key=str)
    summary = swarm.summary()
    assert said in ended.stderr
    assert [note for note in summary["data"]["notes"] if said in note] or not said
    assert json.loads(summary["data"]["request"].rpartition("\n")[2]) in rows
    assert (summary["failures"], summary["dataset"]) == (0, "people")
    assert summary["run"].endswith("_people")


def test_deleted_rows_of_a_delta_table_are_not_sent(swarm: Swarm, recording: Recording, tmp_path: Path) -> None:
    put(tmp_path / "table" / "part-0.parquet", n=[1])
    put(tmp_path / "table" / "_delta_log" / "x.parquet", n=[1])
    ended = run(swarm, recording, tmp_path / "table")
    assert ended.returncode == 2
    assert f"{tmp_path}/table is a Delta table, whose files may hold rows that were deleted" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert recording.count == 0


def test_labels_that_nobody_uses_do_not_refuse_a_run(swarm: Swarm, recording: Recording) -> None:
    folder = swarm.results / "splits" / "mine"
    put(folder / "X_test.parquet", n=[1])
    put(folder / "y_test.parquet", y=[1, 0], z=[0, 0])
    ended = swarm.run(
        "--host", recording.url, "--headless", "-u", "1", "-t", "20s", "--processes", "0", "--row-order", "once",
        "--results", str(swarm.results),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "labels are not used" in ended.stderr
    assert [json.loads(body) for body in recording.bodies] == [{"n": 1}]


def test_the_shipped_settings_send_nothing_that_nobody_asked_for(
    swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    swarm.write_config(json.loads((ROOT / "locust" / "config.json").read_text()))
    cleared = {"DATASET_NAME": "", "LOAD_MODEL": "", "PRED_METHOD": ""}
    ended = run(swarm, recording, put(tmp_path / "mine.parquet", n=[1]), env=cleared)
    assert ended.returncode == 0, ended.stderr
    assert set(recording.targets) == {"/invocation"}
    summary = swarm.summary()
    assert (summary["dataset"], summary["model"]) == ("mine", "")
    assert summary["run"].endswith("_mine")
    assert "stroke" not in json.dumps(summary)


def test_a_column_can_be_left_out_renamed_or_kept_as_the_label(
    swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    data = put(tmp_path / "1.parquet", id=[7], age=[31], churned=["no"])
    ended = run(swarm, recording, data, "--drop-columns", "id", "--label-column", "churned", "--rename", "age=num__age")
    assert ended.returncode == 0, ended.stderr
    assert recording.bodies == [b'{"num__age":31}']


@pytest.fixture
def bucket() -> Iterator[str]:
    """The query of a bucket's URLs; the keys are in the URL alone."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    query = f"?scheme=http&endpoint_override={host}:{port}&region=us-east-1&allow_bucket_creation=true"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield query
    server.stop()


def test_keys_in_a_url_are_in_no_file_message_or_page(bucket: str, swarm: Swarm, recording: Recording) -> None:
    url = f"s3://KEYKEYKEY:SECRETSECRET@people/rows.parquet{bucket}"
    storage, _ = pafs.FileSystem.from_uri(url)
    storage.create_dir("people")
    with storage.open_output_stream("people/rows.parquet") as file:
        pq.write_table(pa.table({"n": [1, 2]}), file)
    ended = run(swarm, recording, url)
    assert ended.returncode == 0, ended.stderr
    assert sorted(recording.bodies) == [b'{"n":1}', b'{"n":2}']
    printed = swarm.run("--data", url, "--print-row")
    assert '{"n":1}' in printed.stdout
    assert swarm.summary()["data"]["source"] == "s3://people/rows.parquet"
    texts = [ended.stdout, ended.stderr, printed.stdout, printed.stderr]
    texts += [path.read_bytes().decode("latin-1") for path in swarm.results.rglob("*") if path.is_file()]
    assert {path.name for path in swarm.run_folders()[0].iterdir()} >= {"run.json", "summary.json", "report.html"}
    for text in texts:
        assert "SECRETSECRET" not in text
        assert "KEYKEYKEY" not in text
        assert "endpoint_override" not in text


def test_ten_thousand_columns_of_all_kinds_are_sent(swarm: Swarm, recording: Recording, tmp_path: Path) -> None:
    instant = pa.array([dt.datetime(9999, 1, 1), None], pa.timestamp("us"))
    kinds: list[tuple[pa.Array, Any]] = [
        (pa.array([1.5, None]), [1.5, None]), (pa.array([1, 2]), [1, 2]), (pa.array(["a", "é"]), ["a", "é"]),
        (pa.array([b"a", b"b"]), ["a", "b"]), (pa.array([True, None]), [True, None]),
        (instant, ["9999-01-01T00:00:00.000000", None]),
    ]  # fmt: skip
    chosen = {f"c{number:05d}": kinds[number % len(kinds)] for number in range(10_000)}
    table = pa.table({name: values for name, (values, _) in chosen.items()})
    pq.write_table(table, tmp_path / "wide.parquet", use_deprecated_int96_timestamps=True, store_schema=False)
    ended = run(swarm, recording, tmp_path / "wide.parquet")
    assert ended.returncode == 0, ended.stderr
    wanted = [{name: shown[row] for name, (_, shown) in chosen.items()} for row in range(2)]
    assert sorted(map(json.loads, recording.bodies), key=str) == sorted(wanted, key=str)
