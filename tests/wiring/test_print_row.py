"""`--print-row`, by the real command: what is printed is what a run sends, and no secret is."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_server import Recording
from swarm_processes import Swarm

pytestmark = pytest.mark.processes


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    table = pa.table({"n": range(100), "text": [f"it's {n}" for n in range(100)], "y": [n % 2 for n in range(100)]})
    pq.write_table(table.slice(0, 60), folder_file(folder, "k=1", "1.parquet"), row_group_size=25)
    pq.write_table(table.slice(60), folder_file(folder, "k=2", "2.parquet"))
    return folder


def folder_file(folder: Path, *parts: str) -> Path:
    path = folder.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def printed(swarm: Swarm, *arguments: str) -> str:
    result = swarm.run(*arguments)
    assert (result.returncode, "Traceback" in result.stderr) == (0, False), result.stderr
    return result.stdout


def body_of(command: str) -> Any:
    return json.loads(shlex.split(command)[-1])


def test_the_row_that_is_printed_is_the_row_that_is_sent(swarm: Swarm, recording: Recording, data: Path) -> None:
    common = (
        "--data", str(data), "--label-column", "y", "--rename", "n=num", "--model", "m",
        "--header", "X-Key: SECRET", "--host", recording.url,
    )  # fmt: skip
    comments, *request, command = (text for text in printed(swarm, *common, "--print-row", "61").rstrip().split("\n\n"))
    assert f"row 61 of 100: row 1 of {data}/k=2/2.parquet" in comments
    assert "# its label, which is not sent: 1" in comments
    wanted = {"num": 61, "text": "it's 61", "k": 2}
    assert body_of(command) == json.loads(request[-1].splitlines()[-1]) == wanted
    assert "SECRET" not in comments + "".join(request) + command
    run = swarm.run(
        *common, "--headless", "-u", "1", "-r", "10", "-t", "20s", "--processes", "0", "--row-order", "once",
        "--results", str(swarm.results),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    rows = {row["num"]: row for row in map(json.loads, recording.bodies)}
    assert rows[61] == wanted
    assert len(recording.bodies) == len(rows) == 100
    assert set(recording.targets) == {"/invocation?model=m"}


def test_without_a_number_and_a_host_the_first_row_is_printed(swarm: Swarm, data: Path) -> None:
    text = printed(swarm, "--data", str(data), "--print-row", "--body-format", "split")
    assert "# no host is set: http://SERVER stands in its place" in text
    assert body_of(text.rstrip().splitlines()[-1]) == {
        "columns": ["n", "text", "y", "k"],
        "data": [[0, "it's 0", 0, 1]],
    }


def test_a_batch_is_printed_from_a_row_on_over_the_end_of_a_file_and_up_to_the_last_row(
    swarm: Swarm, data: Path
) -> None:
    common = ("--data", str(data), "--label-column", "y", "--columns", "n", "--batch-size", "4")
    text = printed(swarm, *common, "--print-row", "58")
    assert f"# rows 58 to 61 of 100: from row 58 of {data}/k=1/1.parquet on" in text
    assert "# their labels, which are not sent: 0, 1, 0, 1" in text
    assert body_of(text.rstrip().splitlines()[-1]) == [{"n": 58}, {"n": 59}, {"n": 60}, {"n": 61}]
    text = printed(swarm, *common, "--body-format", "instances", "--print-row", "99")
    assert body_of(text.rstrip().splitlines()[-1]) == {"instances": [{"n": 99}]}


@pytest.mark.parametrize("row", ["100", "-1"])
def test_a_row_that_is_not_there_is_refused(row: str, swarm: Swarm, data: Path) -> None:
    result = swarm.run("--data", str(data), f"--print-row={row}")
    assert result.returncode == 2
    assert f"There is no row {row}: the data has 100 rows." in result.stderr


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("hf://datasets/x/y.parquet", "hf://datasets/x/y.parquet cannot be read"),
        ("s3://KEY:SECRET@bucket/x?nope=SECRET", "s3://bucket/x cannot be read"),
        ("{folder}/pandas.parquet", "has pandas metadata that cannot be read"),
    ],
)
@pytest.mark.parametrize(
    "mode",
    [("--print-row",), ("--headless", "-t", "5s", "--processes", "0"), ("--headless", "-t", "5s", "--processes", "1")],
)
def test_data_that_cannot_be_read_ends_with_the_message_alone(
    source: str, message: str, mode: tuple[str, ...], swarm: Swarm, tmp_path: Path
) -> None:
    table = pa.table({"n": [1]}).replace_schema_metadata({b"pandas": b"null"})
    pq.write_table(table, tmp_path / "pandas.parquet")
    ports = ("--master-bind-port", str(swarm.master_port), "--master-port", str(swarm.master_port))
    result = swarm.run(
        "--host", "http://127.0.0.1:1", "--data", source.format(folder=tmp_path), "--results", str(swarm.results),
        *mode, *(ports if "1" in mode else ()),
    )  # fmt: skip
    text = result.stdout + result.stderr
    assert result.returncode == 2, text
    assert message in text
    assert "Traceback" not in text
    assert "SECRET" not in text
