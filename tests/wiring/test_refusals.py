"""What cannot be used is refused by the real command before anything is sent: exit code 2 and a sentence that helps."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_server import Recording
from swarm_processes import Swarm

pytestmark = pytest.mark.processes


def parquet(path: Path, table: pa.Table) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return parquet(tmp_path / "rows.parquet", pa.table({"a": [1, 2, 3]}))


def refuse(swarm: Swarm, *arguments: str, env: dict[str, str] | None = None) -> str:
    result = swarm.run("--headless", "-t", "2s", "--processes", "0", *arguments, env=env)
    assert result.returncode == 2, result.stdout + result.stderr
    return result.stderr


def test_no_data_names_both_places_and_the_command_that_makes_it(swarm: Swarm, recording: Recording) -> None:
    error = refuse(swarm, "--host", recording.url, "--dataset-name", "nowhere", "--results", str(swarm.results))
    assert "test_files/splits/nowhere/X_test.parquet" in error
    assert str(swarm.results / "splits" / "nowhere" / "X_test.parquet") in error
    assert "scripts/start.sh train" in error
    assert recording.count == 0


def test_an_unknown_dataset_is_answered_with_those_there_are(swarm: Swarm, recording: Recording) -> None:
    parquet(swarm.results / "splits" / "diabetic" / "X_test.parquet", pa.table({"a": [1]}))
    error = refuse(swarm, "--host", recording.url, "--dataset-name", "diabetc", "--results", str(swarm.results))
    assert "'diabetc'" in error
    assert "use 'diabetic'" in error


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "rows.parquet"),
        (b"a,b\n1,2\n", "parquet"),
        (b"PAR1" + b"\0" * 50, "rows.parquet"),
    ],
    ids=["empty file", "csv", "truncated"],
)
def test_a_file_that_is_no_parquet_is_named(
    swarm: Swarm, recording: Recording, tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(content)
    assert words in refuse(swarm, "--host", recording.url, "--data", str(path))
    assert recording.count == 0


def test_a_missing_file_is_named(swarm: Swarm, recording: Recording, tmp_path: Path) -> None:
    assert "absent.parquet" in refuse(swarm, "--host", recording.url, "--data", str(tmp_path / "absent.parquet"))


@pytest.mark.parametrize("table", [pa.table({}), pa.table({"a": pa.array([], pa.int64())})], ids=["columns", "rows"])
def test_data_without_columns_or_rows_is_refused(
    swarm: Swarm, recording: Recording, tmp_path: Path, table: pa.Table
) -> None:
    path = parquet(tmp_path / "rows.parquet", table)
    error = refuse(swarm, "--host", recording.url, "--data", str(path))
    assert "rows.parquet" in error
    assert "no " in error.lower()


def test_an_unknown_key_in_config_json_is_named_with_the_nearest(swarm: Swarm, data: Path) -> None:
    swarm.write_config({"host": "http://127.0.0.1:1", "spwan_rate": 3})
    error = refuse(swarm, "--data", str(data))
    assert "unknown key 'spwan_rate'" in error
    assert "did you mean 'spawn_rate'?" in error


def test_broken_json_is_named_with_its_line(swarm: Swarm, data: Path) -> None:
    swarm.config.write_text('{\n  "users": 5,,\n}', encoding="utf-8")
    assert "config.json, line 2" in refuse(swarm, "--host", "http://127.0.0.1:1", "--data", str(data))


def test_all_problems_are_reported_at_once(swarm: Swarm, data: Path) -> None:
    swarm.write_config({"users": "many", "wait_time": {"min_seconds": 3, "max_seconds": 1}})
    error = refuse(swarm, "--data", str(data))
    assert "3 problems with the settings" in error
    assert 'users is "many"' in error
    assert "host is not set" in error
    assert "--wait-min is 3" in error
    assert "--wait-max is 1" in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "127.0.0.1:8000"], ["--host is '127.0.0.1:8000' (command line)", "http:// or https://"]),
        (["--host", "http://h", "--users", "-5"], ["--users is -5 (command line)", "from 1 to 1,000,000"]),
        (["--host", "http://h", "--users", "x"], ["--users", "'x'"]),
        (["--host", "http://h", "--wait-min", "2"], ["--wait-min is 2 (command line)", "--wait-max is 0"]),
        (["--host", "http://h", "--row-order", "up"], ["--row-order", "random, sequential, shuffle, once"]),
        (["--host", "http://h", "--expect-status", "fine"], ["'fine'", "2xx"]),
        (["--host", "http://h", "--row-memory", "lots"], ["--row-memory", "256MiB"]),
    ],
)
def test_a_wrong_value_is_named_with_its_source_and_what_was_expected(
    swarm: Swarm, data: Path, arguments: list[str], words: list[str]
) -> None:
    error = refuse(swarm, "--data", str(data), *arguments)
    for word in words:
        assert word in error


def test_a_wrong_variable_is_named(swarm: Swarm, data: Path) -> None:
    error = refuse(swarm, "--host", "http://h", "--data", str(data), env={"SWARM_WAIT_MAX": "long"})
    assert "'long' is not a number of seconds" in error
    assert "2 workers" not in error


def test_a_wrong_number_of_workers_is_named(swarm: Swarm, data: Path) -> None:
    result = swarm.run("--headless", "--host", "http://h", "--data", str(data), env={"WORKERS": "two"})
    assert result.returncode == 2
    assert "WORKERS is 'two' (environment)" in result.stderr


def test_a_model_that_the_server_does_not_know_is_a_failure_with_the_servers_own_words(
    swarm: Swarm, recording: Recording, data: Path
) -> None:
    body = json.dumps({"detail": "model 'nope' is not loaded; loaded: xgboost"}).encode()
    recording.answer = lambda _: b"HTTP/1.1 404 Not Found\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    result = swarm.run(
        "--headless", "-u", "1", "-t", "1s", "--processes", "0", "--host", recording.url, "--model", "nope",
        "--data", str(data), "--results", str(swarm.results), "--wait-min", "0.1", "--wait-max", "0.1",
    )  # fmt: skip
    assert result.returncode == 1
    assert "model 'nope' is not loaded; loaded: xgboost" in result.stderr
    summary = swarm.summary()
    assert summary["errors"] == {"status": recording.count}
    assert summary["failures"] == summary["requests"] == recording.count
    assert recording.targets[0] == "/invocation?model=nope"


@pytest.mark.parametrize("flag", ["--run-name", "--dataset-name"])
@pytest.mark.parametrize("name", ["../../evil", "..", "/tmp/evil", "a\\b", "a\tb"])
def test_names_that_leave_their_folder_are_refused_before_anything_is_made(
    swarm: Swarm, recording: Recording, data: Path, flag: str, name: str
) -> None:
    error = refuse(swarm, "--host", recording.url, "--data", str(data), "--results", str(swarm.results), flag, name)
    assert f"{flag} is {name!r}" in error
    assert "the name of one folder" in error
    assert recording.count == 0
    assert not swarm.results.exists()


def test_a_column_in_the_place_of_a_file_of_labels_and_a_word_of_train_are_answered_with_what_is_meant(
    swarm: Swarm, recording: Recording, data: Path
) -> None:
    error = refuse(swarm, "--host", recording.url, "--data", str(data), "--labels", "a")
    assert "--labels is 'a', which is a column and not a file." in error
    assert "use --label-column a" in error
    error = refuse(swarm, "--host", recording.url, "--data", str(data), "--drop-cols", "a")
    assert "unrecognized arguments: --drop-cols" in error
    assert "Did you mean '--drop-columns'?" in error
    assert recording.count == 0


def test_a_web_port_that_is_taken_is_said_with_the_option_that_moves_it(swarm: Swarm, recording: Recording) -> None:
    done = swarm.run("--processes", "0", "--web-port", str(recording.port))
    assert done.returncode == 2, done.stderr
    assert f"--web-port is {recording.port}, which cannot be listened at: Address already in use" in done.stderr
    assert "choose another with --web-port (LOCUST_WEB_PORT)" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_option_is_answered_with_the_nearest_one_under_the_name_of_the_command(swarm: Swarm) -> None:
    wanted = "error: unrecognized arguments: --drop-cols\nDid you mean '--drop-columns'?\n"
    assert refuse(swarm, "--drop-cols", "id") == f"locust: {wanted}"
    assert refuse(swarm, "--drop-cols", "id", env={"SWARM_PROGRAM": "inference-swarm"}) == f"inference-swarm: {wanted}"
