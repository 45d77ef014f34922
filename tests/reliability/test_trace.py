"""Traces with real processes: each row at its instant, by one worker or several, also when one of them is killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from recording_server import Recording
from swarm_processes import Swarm, wait_until

pytestmark = pytest.mark.processes

ROWS = 600
LENGTH_S = 6.0
# Of this machine: the server of these tests is a thread of a busy process.
TOLERANCE_S = 0.1


def recorded_s() -> Any:
    """A crowd in the middle: the rate is five times as high there."""
    third = ROWS // 6
    return np.concatenate(
        [np.linspace(0, 2, third), np.linspace(2.01, 4, ROWS - 2 * third), np.linspace(4.01, LENGTH_S, third)]
    )


def write_trace(path: Path, *, is_shuffled: bool = False) -> Path:
    """Rows of an hour, to be replayed 600 times as fast."""
    stamps = np.datetime64("2024-05-01T10:00:00", "us") + (recorded_s() * 600 * 1e6).astype("timedelta64[us]")
    order = np.random.default_rng(1).permutation(ROWS) if is_shuffled else np.arange(ROWS)
    table = pa.table({"n": np.arange(ROWS)[order], "when": pa.array(stamps[order])})
    if path.suffix == ".csv":
        pa_csv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    return path


def received(recording: Recording) -> tuple[list[int], Any]:
    """The numbers of the rows in the order in which they came, and when, since the first."""
    rows = [json.loads(body)["n"] for body in recording.bodies]
    return rows, np.array(recording.times_s) - recording.times_s[0]


def replay(swarm: Swarm, recording: Recording, data: Path, *arguments: str) -> dict[str, Any]:
    result = swarm.run(
        "--headless", "--no-probe", "--host", recording.url, "--data", str(data), "--results", str(swarm.results),
        "--master-bind-port", str(swarm.master_port), "--master-port", str(swarm.master_port), "-u", "20",
        "--arrival", "trace", "--time-column", "when", "--speed", "600", *arguments,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return swarm.summary()


@pytest.mark.alone
@pytest.mark.parametrize(
    ("name", "workers", "arguments"),
    [
        ("sorted.parquet", "0", ()),
        ("shuffled.csv", "2", ()),
        ("sorted.csv", "2", ("--row-memory", "12KiB")),  # half of which is for the instants
    ],
)
def test_each_row_is_sent_once_at_its_instant(
    swarm: Swarm, recording: Recording, tmp_path: Path, name: str, workers: str, arguments: tuple[str, ...]
) -> None:
    data = write_trace(tmp_path / name, is_shuffled="shuffled" in name)
    summary = replay(swarm, recording, data, "--processes", workers, *arguments)
    rows, times_s = received(recording)
    assert sorted(rows) == list(range(ROWS))
    late_s = times_s - recorded_s()[rows]
    late_s -= np.percentile(late_s, 1)
    assert np.percentile(late_s, 90) < TOLERANCE_S
    arrivals = summary["arrivals"]
    assert (arrivals["wanted"], arrivals["sent"], arrivals["dropped"], arrivals["unaccounted"]) == (ROWS, ROWS, 0, 0)
    assert arrivals["wanted_rps"] == pytest.approx(ROWS / LENGTH_S, rel=0.01)
    assert summary["duration_s"] == pytest.approx(LENGTH_S, abs=0.5)


def test_the_report_draws_the_recorded_rate_beside_the_achieved_one(
    swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    replay(swarm, recording, write_trace(tmp_path / "rows.parquet"), "--processes", "0")
    (folder,) = swarm.run_folders()
    lines = (folder / "intervals.csv").read_text(encoding="utf-8").splitlines()
    heads = lines[0].split(",")
    wanted = [float(line.split(",")[heads.index("wanted_rps")] or 0) for line in lines[1:]]
    assert len(wanted) >= 2
    assert sum(wanted) > 0
    assert ">wanted<" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_trace_is_repeated_until_its_number_of_requests(swarm: Swarm, recording: Recording, tmp_path: Path) -> None:
    data = write_trace(tmp_path / "rows.parquet")
    summary = replay(swarm, recording, data, "--processes", "0", "--speed", "1800", "--loop", "--requests", "1000")
    rows, _ = received(recording)
    assert sorted(rows) == sorted([*range(ROWS), *range(400)])
    assert summary["request_limit"] == {"asked": 1000, "sent": 1000, "maybe_sent": 0, "never_sent": 0}


def test_no_row_comes_twice_and_the_result_names_those_of_a_worker_that_was_killed(
    swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    data = write_trace(tmp_path / "rows.parquet", is_shuffled=True)
    master = swarm.start_master(
        "--no-probe", "--host", recording.url, "--data", str(data), "-u", "20", "--arrival", "trace", "--time-column",
        "when", "--speed", "200", workers=3,
    )  # fmt: skip
    workers = [swarm.start_worker(number) for number in (1, 2, 3)]
    wait_until(lambda: recording.count > 60, 40, "a part of the trace")
    workers[0].kill()
    wait_until(lambda: master.poll() is not None, 60, "the end of the run")
    rows, _ = received(recording)
    assert len(rows) == len(set(rows))
    summary = swarm.summary()
    arrivals = summary["arrivals"]
    missing = ROWS - len(rows)
    # Of what nobody reported the killed worker had sent some.
    assert 0 < missing <= arrivals["unaccounted"] + arrivals["dropped"]
    assert arrivals["sent"] + arrivals["unaccounted"] + arrivals["dropped"] == ROWS
    assert summary["verdict"] == "incomplete"
    # From five seconds after the loss on the others send all of it.
    last_third = {row for row in range(ROWS) if recorded_s()[row] > 4.01}
    assert last_third <= set(rows)


def test_a_worker_that_joins_in_the_middle_takes_its_part(swarm: Swarm, recording: Recording, tmp_path: Path) -> None:
    data = write_trace(tmp_path / "rows.parquet")
    master = swarm.start_master(
        "--no-probe", "--host", recording.url, "--data", str(data), "-u", "20", "--arrival", "trace", "--time-column",
        "when", "--speed", "200", workers=1,
    )  # fmt: skip
    swarm.start_worker(1)
    wait_until(lambda: recording.count > 20, 40, "a part of the trace")
    swarm.start_worker(2)
    wait_until(lambda: master.poll() is not None, 60, "the end of the run")
    rows, _ = received(recording)
    assert sorted(rows) == list(range(ROWS))
    by_worker = swarm.summary()["by_worker"]
    assert len(by_worker) == 2
    assert min(record["sent"] for record in by_worker.values()) > 50


def test_a_trace_that_cannot_be_replayed_is_refused_before_anything_is_sent(
    swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("n,when\n1,2024-05-01T10:00:00Z\n2,noon\n", encoding="utf-8")
    result = swarm.run(
        "--headless", "--host", recording.url, "--data", str(data), "--results", str(swarm.results), "--processes", "0",
        "--arrival", "trace", "--time-column", "when",
    )  # fmt: skip
    assert result.returncode == 2, result.stderr
    assert "Column 'when' has no instant in row 1 of" in result.stderr
    assert "it is 'noon'" in result.stderr
    assert recording.count == 0
